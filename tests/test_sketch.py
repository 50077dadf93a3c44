"""What a sketch says about a region."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from perflint.analysis import registry
from perflint.analysis.concurrency.fates import droppable, dropped, forgotten, unread
from perflint.analysis.concurrency.handlers import may_be_silent
from perflint.analysis.concurrency.roles import may_handle
from perflint.analysis.concurrency.spawns import starters
from perflint.analysis.facts import Facts
from perflint.analysis.sketch import Sketch, awaited_for, repeats, suspends
from perflint.model.config import Config
from perflint.model.source import Source

FIXTURES = Path(__file__).parent.parent / "fixtures"
ALL = Config(select=("ALL",), extend_select=("micro", "pedantic"))
TEXT = """\
import urllib.request as net
from time import sleep as pause

def work(items: "Annotated"):
    pause(first())
    for item in items:
        out.append(item)
        while item:
            item.pop(0)
            def later(): pause(2)
    with open("f") as file:
        match file:
            case [Point(x=0), *rest] if net.urlopen(rest):
                del file

class Held:
    size: int = compute()

for number in range(3):
    def inside(): outside()
"""


def sketches(text: str = TEXT) -> list[Sketch]:
    source = Source("a.py", text.encode())
    facts = Facts(source, ast.parse(text))
    return [Sketch(facts, region) for region in (facts.module, *facts.regions)]


def test_a_function_with_all_that_is_in_it() -> None:
    work = sketches()[1]
    assert {node.func.id for node in work.of(ast.Call) if isinstance(node.func, ast.Name)} == {
        *("pause", "first", "open"),
    }
    assert len(work.of(ast.Delete)) == 1 and len(work.loops) == 2
    assert work.words >= {"net", "urlopen", "Point", "rest"} and "Annotated" not in work.words


def test_each_node_of_a_nested_loop_once() -> None:
    work = sketches()[1]
    assert sorted(ast.unparse(call) for call in work.looped(ast.Call)) == [
        *("item.pop(0)", "out.append(item)", "pause(2)"),
    ]
    assert [ast.unparse(call) for call in work.looped_calls("pop", "open")] == ["item.pop(0)"]


def test_what_repeats_comprehensions_included() -> None:
    work = sketches("""\
def work(groups):
    before()
    rows = [read(row) for group in groups for row in group.rows() if all(keep(r) for r in row)]
    while rows:
        write({row: clean(row) for row in rows})
""")[1]
    assert sorted(ast.unparse(call.func) for call in work.repeated(ast.Call)) == [
        *("all", "clean", "group.rows", "keep", "read", "write"),
    ]
    assert repeats("keep", "none")(work) and repeats("rows")(work) and not repeats("before")(work)


def test_what_is_bound_and_entered() -> None:
    work = sketches("""\
async def work(pool):
    one = await pool.acquire()
    two: object = pool.connect()
    if three := first(): self.four = fourth()
    five = inner(pool.get())
    with opened() as six, other(): pass
    async with later(): pass
    def within(): pass
""")[1]
    assert sorted(map(ast.unparse, work.bound)) == [
        *("first()", "inner(pool.get())", "pool.acquire()", "pool.connect()"),
    ]
    assert sorted(map(ast.unparse, work.entered)) == ["opened()", "other()"]
    assert [item.name for item in work.functions] == ["within", "work"]
    assert ast.unparse(awaited_for(ast.parse("await f()", mode="eval").body)) == "f()"


def test_calls_are_those_of_the_whole_dotted_name() -> None:
    text = (
        "import requests\ndef f(cache):\n    requests.get(1)\n    cache.get(2)\n    cache.requests.get(3)\n"
    )
    work = sketches(text)[1]
    assert [ast.unparse(call) for call in work.calls_to("requests.get")] == ["requests.get(1)"]
    assert work.file_mentions("requests.get") and not work.file_mentions("requests.post", "httpx.get")


def test_names_as_the_file_imports_them() -> None:
    module, work, *_ = sketches()
    assert work.mentions("urllib.request.urlopen") and not module.mentions("time.sleep")
    assert not work.mentions("urllib.parse.quote")
    assert sorted(ast.unparse(call) for call in work.calls_to("time.sleep")) == ["pause(2)", "pause(first())"]


def test_the_module_without_its_functions() -> None:
    module = sketches()[0]
    assert {ast.unparse(call) for call in module.of(ast.Call)} == {"compute()", "range(3)", "outside()"}


def test_what_repeats_and_the_functions_inside() -> None:
    module, work, inner = sketches("def f():\n    def g(): a()\n    [b() for x in c()]\nd()\ndef h(): pass\n")
    assert sorted(map(ast.unparse, work.repeated(ast.Call))) == ["b()", "c()"]
    assert [node.name for node in work.functions] == ["f", "g"]
    assert module.functions == [] and not module.repeated(ast.Call) and inner.loops == []


def test_methods_names_and_waits() -> None:
    work = sketches("""\
import queue
from queue import Empty as Nothing
async def work(xs):
    ", ".join(xs); [1].index(2); xs.join(); join()
    try: x = xs.get()
    except (ValueError, queue.Full): pass
    except Other: pass
    def later(): return [x async for x in xs]
""")[1]
    assert [ast.unparse(call) for call in work.methods("join", "index")] == ["xs.join()"]
    classes = [item.type for item in work.of(ast.ExceptHandler) if item.type is not None]
    assert work.names_any(classes, ("queue.Full",)) and not work.names_any(classes, ("queue.Empty",))
    assert len(may_be_silent(work)) == 2
    assert suspends(work.of(ast.FunctionDef)) and not suspends(work.of(ast.Try))


def test_what_becomes_of_a_call() -> None:
    work = sketches("""\
async def work(xs):
    one(); await two(); [three() for x in xs]
    _ = four(); kept = five(); seen = six(); print(seen)
    xs.append(seven()); eight(nine()); call(lambda: ten())
""")[1]

    def told(question: Callable[[Sketch, list[ast.expr]], bool]) -> list[str]:
        return [
            call.func.id
            for call in sorted(work.of(ast.Call), key=lambda call: (call.lineno, call.col_offset))
            if isinstance(call.func, ast.Name) and question(work, [call])
        ]

    assert told(dropped) == ["one", "three", "print", "eight", "call"]
    assert told(droppable) == [
        *told(dropped)[:2],
        "four",
        "five",
        "six",
        "print",
        "seven",
        "eight",
        "call",
        "ten",
    ]
    assert told(forgotten) == ["one", "three", "four", "five", "print", "eight", "call", "ten"]


def test_a_local_that_is_read() -> None:
    work = sketches(
        "def work(a):\n    b = 1; c = [b for d in a]; c += d\n    del e\n    f = lambda g: (f, g)\n"
    )[1]
    assert [name for name in "abcdefg" if unread(work, name)] == [
        "c",
        "d",
        "e",
        "g",
    ]  # another `d`, another `g`


def test_threads_of_all_kinds_and_handlers() -> None:
    text = """\
import threading, multiprocessing
class Own(threading.Thread): pass
class Other: pass
def plain(): threading.Thread(target=f); Own(); Other(); context.Process(); ctx.Thread()
@app.get("/")
def page(): pass
def view(request): pass
def none(a, b): pass
"""
    _, plain, *functions = sketches(text)
    assert sorted(ast.unparse(call) for call in starters(plain)) == [
        *("Other()", "Own()", "context.Process()", "threading.Thread(target=f)"),
    ]
    assert [may_handle(item) for item in functions] == [True, True, False]


@pytest.mark.parametrize("folder", sorted(FIXTURES.iterdir()), ids=lambda folder: folder.name)
def test_no_question_fails(folder: Path) -> None:
    """The engine takes a failure for a yes, so that nobody would see it."""
    for path in sorted(folder.glob("*.py")):
        source = Source(path.name, path.read_bytes())
        facts = Facts(source, ast.parse(source.text))
        every = {region: Sketch(facts, region) for region in facts.every}
        for rule in registry.select(ALL):
            gate = rule.gate.resolved(ALL, facts)
            if gate is not None and gate.sketch is not None:
                for region in gate.admitted(facts):
                    gate.sketch(every[region])


def test_letters_that_python_reads_as_others_hide_nothing() -> None:
    """A long s is an s to Python: the text says less than the nodes there."""
    text = "def f():\n    \u017fleep(1)\n    größe(2)\n"
    facts = Facts(Source("a.py", text.encode()), ast.parse(text))
    for word in ("sleep", "größe"):
        sketch = Sketch(facts, facts.regions[0])
        assert sketch.says(re.compile(rb"sleep"))
        assert len(sketch.calls(word)) == 1
    assert facts.defines("g") and not Facts(Source("a.py", b"def f(): ..."), ast.parse("")).defines("g")
