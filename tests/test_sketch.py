"""What a sketch says about a region."""

import ast

from perflint.analysis.facts import Facts
from perflint.analysis.sketch import Sketch
from perflint.model.source import Source

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
