"""The shared analyses of the pool rules: consumers of queues, who watches them, how items are counted."""

import textwrap

import libcst as cst
import pytest
from regions import call, context, loop

from perflint.analysis import library
from perflint.analysis.concurrency.accounting import Account, Unclear, item_names
from perflint.analysis.concurrency.carriers import carriers
from perflint.analysis.concurrency.consumers import consumer, endless, exposed, fatal, joined
from perflint.analysis.concurrency.fates import called_back, droppable, forsaken
from perflint.analysis.concurrency.guarded import catches, may_fail
from perflint.analysis.concurrency.loggers import logging_expression
from perflint.analysis.concurrency.supervision import observed
from perflint.analysis.rewrite import indent_unit, indented, statement_lines
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.fixing.edits import apply

HEAD = "import asyncio, queue, threading, multiprocessing\nfrom concurrent.futures import ThreadPoolExecutor as TPE\n"


def worker(body: str, header: str = "while True:") -> str:
    lines = textwrap.indent(textwrap.dedent(body), " " * 8)
    return f"{HEAD}q = queue.Queue()\ndef w(self, d):\n    {header}\n{lines}\nthreading.Thread(target=w)\n"


TAKEN = {
    "x = q.get()": "q",
    "x = q.get(timeout=1)": "q",
    "x = q.get_nowait()": "q",
    "x = self.jobs_queue.get()": "self.jobs_queue",
    "work(q.get())": "q",
    "x = d.get('x')": None,
    "x = d.get()": None,
    "x = self.jobs.get()": "self.jobs",
    "x = self.inbox.get(timeout=1)": "self.inbox",
    "x = self.status.get()": None,
    "x = self.jobs.get('x')": None,
    "x = self.clients.recv()": None,
    "for y in x:\n    q.get()": None,
}


@pytest.mark.parametrize("body", TAKEN)
def test_what_a_loop_takes_from(body: str) -> None:
    found = context(worker(body), "w")
    item = consumer(found, loop(found))
    assert (item.queue if item else None) == TAKEN[body]


HEADERS = {
    "while True:": True,
    "while not self.stopped:": True,
    "while not stop.is_set():": True,
    "while not q.empty():": False,
    "while q.qsize():": False,
    "while n < 5:": False,
    "for x in iter(q.get, None):": True,
}


@pytest.mark.parametrize("header", HEADERS)
def test_endless(header: str) -> None:
    found = context(worker("pass", header), "w")
    assert endless(loop(found)) is HEADERS[header]


EXPOSED = {
    "x = q.get()\nwork(x)": ["work(x)"],
    "work(q.get())": ["work(q.get())"],
    "x = q.get()\nout.put(x)": [],
    "x = q.get()\ntick()": [],
    "x = q.get()\nprint(x)": [],
    "x = q.get()\ny = x.a\nwork(y)": ["work(y)"],
    "x = q.get()\nwith open(x):\n    pass": [],
    "x = q.get()\nItem(x)": [],
    "x = q.get()\ntry:\n    work(x)\nexcept Exception:\n    pass": [],
    "x = q.get()\ntry:\n    work(x)\nfinally:\n    more(x)": ["work(x)"],
    "x = q.get()\nasyncio.create_task(work(x))": [],
    "prepare(1)\nx = q.get()\nwork(x)": ["work(x)"],
}


@pytest.mark.parametrize("body", EXPOSED)
def test_exposed(body: str) -> None:
    found = context(worker(body), "w")
    item = consumer(found, loop(found))
    assert [found.tree.code(node) for node in exposed(found, item)] == EXPOSED[body]


STARTED = {
    "threading.Thread(target=w)": True,
    "multiprocessing.Process(target=w)": True,
    "asyncio.create_task(w())": True,
    "tg.create_task(w())": False,
    "w()": False,
    "def f():\n    t = asyncio.create_task(w())\n    t.add_done_callback(ended)": False,
    "def f():\n    t = asyncio.create_task(w())\n    t.add_done_callback(tasks.discard)": True,
    "async def f():\n    t = asyncio.create_task(w())\n    await t": False,
    "async def f():\n    ts = [asyncio.create_task(w())]\n    await asyncio.gather(*ts)": False,
    "async def f():\n    ts = []\n    ts.append(asyncio.create_task(w()))\n    for t in ts:\n        await t": False,
    "def f(ex):\n    return ex.submit(w)": False,
    "def f(ex):\n    fs = [ex.submit(w)]\n    for x in fs:\n        x.result()": False,
    "def f(ex):\n    ex.submit(w)": True,
    "p = threading.Thread(target=w)\np.is_alive()": False,
}


@pytest.mark.parametrize("start", STARTED)
def test_who_is_told(start: str) -> None:
    found = context(
        f"{HEAD}q = queue.Queue()\ndef w():\n    while True:\n        work(q.get())\n{start}\n", "w"
    )
    item = consumer(found, loop(found))
    assert bool(fatal(found, item)) is STARTED[start]


def test_a_join_comes_before_the_look() -> None:
    code = (
        "async def f():\n    t = asyncio.create_task(w())\n    await q.join()\n    await t\ndef w(): pass\n"
    )
    found = context(HEAD + code)
    [function] = found.facts.outline.functions["w"]
    [start] = found.roles.starts(function)
    assert observed(found.facts, start) and not observed(found.facts, start, joins=True)
    assert joined(found, "self.q") and not joined(found, "jobs")


COUNTED = {
    "x = q.get()\nwork(x)\nq.task_done()": {"raised": {0}, "normal": {1}},
    "x = q.get()\ntry:\n    work(x)\nfinally:\n    q.task_done()": {"raised": {1}, "normal": {1}},
    "x = q.get()\nq.task_done()\nwork(x)": {"raised": {1}, "normal": {1}},
    "x = q.get()\nif x is None:\n    break\nq.task_done()": {"left": {None}, "normal": {1}},
    "x = q.get()\nif y:\n    continue\nq.task_done()": {"turned": {0}, "normal": {1}},
    "x = q.get()\nif y:\n    q.task_done()": {"normal": {0, 1}},
    "x = q.get()\nif x:\n    q.task_done()": {"normal": {None, 1}},
    "try:\n    x = q.get()\nexcept E:\n    return\nq.task_done()": {"normal": {1}},
    "x = q.get()\ntry:\n    work(x)\nexcept Exception:\n    log(x)\nq.task_done()": {"normal": {1}},
    "x = q.get()\ntry:\n    work(x)\nexcept E:\n    pass\nq.task_done()": {"raised": {0}, "normal": {1}},
    "x = q.get()\ntry:\n    work(x)\nexcept E:\n    q.task_done()\nfinally:\n    q.task_done()": {
        "raised": {1},
        "normal": {1, 2},
    },
    "x = q.get()\nmatch x:\n    case 1:\n        q.task_done()": {"normal": {0, 1}},
}


@pytest.mark.parametrize("body", COUNTED)
def test_paths(body: str) -> None:
    found = context(worker(body), "w")
    block = loop(found).body
    names = item_names(found, block, "q")
    out = Account(found, "q", names).block(block.body, frozenset({None}))
    for name in ("normal", "raised", "turned", "left"):
        states = set(getattr(out, name)) - ({None} if name == "raised" else set())
        assert states == COUNTED[body].get(name, set()), name


@pytest.mark.parametrize(
    "body",
    ["a = q.get()\nb = q.get()\nq.task_done()", "x = q.get()\nfor y in x:\n    q.task_done()"],
)
def test_other_ways_of_counting_are_unclear(body: str) -> None:
    found = context(worker(body), "w")
    block = loop(found).body
    with pytest.raises(Unclear):
        Account(found, "q", set()).block(block.body, frozenset({None}))


CARRIED = {
    "f = spawn()": {"f"},
    "fs = [spawn() for x in xs]\nfor f in fs: pass": {"fs", "f"},
    "fs.append(spawn())": {"fs"},
    "d[k] = spawn()": {"d[k]", "d"},
    "self.f = spawn()\ng = self.f": {"self.f", "g"},
    "if (f := spawn()): pass": {"f"},
    "fs = {spawn(): 1}\n[f for f in done(fs)]": {"fs"},
    "f = other()": set(),
}


@pytest.mark.parametrize("body", CARRIED)
def test_carriers(body: str) -> None:
    found = context(f"def g(self, d, k, xs, fs):\n{textwrap.indent(body, '    ')}\n", "g")
    spawned = call(found, "spawn()") if "spawn" in body else None
    passes = lambda node: "done" not in found.tree.code(node)  # noqa: E731
    assert carriers(found.tree.root.body, lambda node: node is spawned, passes) == CARRIED[body]


FORSAKEN = {
    "spawn()": "dropped",
    "f = spawn()": "unread",
    "fs = []\nfs.append(spawn())\nprint(len(fs))": "unread",
    "fs = [spawn()]\nwait(fs)": "unread",
    "fs = [spawn()]\nlook(fs)": None,
    "fs = []\nfs.append(spawn())\nreturn fs": None,
    "xs.append(spawn())": None,
    "return spawn()": None,
}


@pytest.mark.parametrize("body", FORSAKEN)
def test_forsaken(body: str) -> None:
    found = context(f"def g(xs):\n{textwrap.indent(body, '    ')}\n", "g")
    idle = lambda read: found.tree.code(found.tree.parent(found.tree.parent(read))) == "wait(fs)"  # noqa: E731
    assert forsaken(found.names, found.flow, call(found, "spawn()"), idle) == FORSAKEN[body]
    sketch = Sketch(found.facts, found.facts.regions[0])
    may_be = droppable(sketch, sketch.calls("spawn"))
    assert may_be or (FORSAKEN[body] is None and body.startswith("return"))


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("[*[spawn() for x in xs]]", True),
        ("fs: dict = {x: spawn() for x in xs}", True),
        ("f = lambda: (spawn(), 1)", True),
        ("return spawn()", False),
        ("look(spawn())", False),
        ("f = spawn().result()", False),
    ],
)
def test_what_may_be_dropped_is_told_without_a_tree(body: str, answer: bool) -> None:
    found = context(f"def g(xs):\n    {body}\n", "g")
    sketch = Sketch(found.facts, found.facts.regions[0])
    assert droppable(sketch, sketch.calls("spawn")) is answer


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("loop.call_soon(lambda: spawn())", True),
        ("map(lambda: spawn(), xs)", False),
        ("f = lambda: spawn()", False),
    ],
)
def test_called_back(code: str, answer: bool) -> None:
    found = context(f"def g(loop, xs):\n    {code}\n", "g")
    assert called_back(found.names, call(found, "spawn()")) is answer


FUNCTIONS = {
    "x = 1\n    try: work()\n    except Exception: pass": (True, True),
    "with lock:\n        try: work()\n        except Exception: pass": (True, True),
    "try: work()\n    except ValueError: pass": (False, True),
    "event.set()": (False, False),
    "return 1 / 0": (False, True),
    "raise ValueError": (False, True),
}


@pytest.mark.parametrize("body", FUNCTIONS)
def test_functions_that_catch_or_cannot_fail(body: str) -> None:
    found = context(f"def f(lock, event):\n    {body}\n")
    [function] = found.facts.outline.functions["f"]
    assert (catches(function), may_fail(function)) == FUNCTIONS[body]


def test_a_logger_or_how_to_make_one() -> None:
    own = context("import logging\nlog = logging.getLogger('x')\ndef f():\n    spawn()\n", "f")
    assert logging_expression(own, call(own, "spawn")) == ("log", None)
    bare = context("def f():\n    spawn()\n", "f")
    expression, edit = logging_expression(bare, call(bare, "spawn"))
    assert expression == "logging.getLogger(__name__)" and edit.text.startswith("import logging")
    star = context("from x import *\ndef f():\n    spawn()\n", "f")
    assert logging_expression(star, call(star, "spawn")) is None


def test_indented_leaves_strings_and_blank_lines() -> None:
    code = 'def f():\n    while x:\n        # a\n        a = """\n  b\n"""\n\n        c = (1,\n    2)\n'
    found = context(code, "f")
    [block] = [node.body for node in walk(found.tree.root) if isinstance(node, cst.While)]
    first, last = block.body[0], block.body[-1]
    lines = statement_lines(found.tree, first)._replace(end=statement_lines(found.tree, last).end)
    unit = indent_unit(found.tree, block)
    text = apply(found.source.data, indented(found.tree, lines, unit)).decode()
    assert unit == "    "
    assert text == code.replace("        a =", "            a =").replace(
        "        c", "            c"
    ).replace("    2)", "        2)")


def test_spellings_lead_back_to_the_type() -> None:
    found = library.spellings(library.EXECUTORS | library.POOLS)
    assert {library.canonical(name) for name in found} == library.EXECUTORS | library.POOLS
    assert {"concurrent.futures.thread.ThreadPoolExecutor", "multiprocessing.dummy.Pool"} <= set(found)
