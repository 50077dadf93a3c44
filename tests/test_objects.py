"""The receiver proof: which object a name or attribute is."""

import pytest
from regions import call, context

from perflint.analysis.objects import Objects

HEAD = "import asyncio, queue, threading, multiprocessing as mp\nfrom concurrent.futures import ThreadPoolExecutor as TPE, Executor\nimport concurrent.futures\n"


def type_of(code: str, text: str, function: str | None = None, **options) -> str | None:
    """The type of the receiver of the call that holds `text`."""
    found = context(HEAD + code, function, **options)
    return found.objects.type(call(found, text).func.value)


KNOWN = {
    "a constructor's result": ("TPE().submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "one assignment": ("ex = TPE()\nex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "a with": ("with TPE() as ex:\n    ex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "a dotted name": ("ex = concurrent.futures.thread.ThreadPoolExecutor()\nex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "None besides": ("ex = None\nif x:\n    ex = TPE()\nex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "a local import": ("def g():\n    from queue import Queue\n    q = Queue()\n    q.submit()", "queue.Queue"),
    "a module's name": ("EX = TPE()\ndef g():\n    EX.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "a global statement": ("def start():\n    global EX\n    EX = TPE()\ndef g():\n    EX.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "an annotated parameter": ("def g(ex: Executor):\n    ex.submit(f)", "concurrent.futures.Executor"),
    "a quoted annotation": ("def g(ex: 'TPE | None'):\n    ex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "an optional annotation": ("from typing import Optional\ndef g(ex: Optional[TPE] = None):\n    ex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "an attribute": ("class A:\n    def __init__(self):\n        self.ex = TPE()\n    def g(self):\n        self.ex.submit(f)", "concurrent.futures.ThreadPoolExecutor"),
    "an attribute from a parameter": ("class A:\n    def __init__(self, q: queue.Queue):\n        self.q = q\n    def g(self):\n        self.q.submit(f)", "queue.Queue"),
    "an attribute annotated in the body": ("class A:\n    q: asyncio.Queue[int]\n    def g(self):\n        self.q.submit(f)", "asyncio.Queue"),
    "get_context": ("mp.get_context('spawn').Pool().submit(f)", "multiprocessing.Pool"),
    "a context in a name": ("ctx = mp.get_context()\nctx.Queue().submit(f)", "multiprocessing.Queue"),
    "a generic class": ("asyncio.Queue[int]().submit(f)", "asyncio.Queue"),
    "a generic class's attribute": ("class A:\n    def __init__(self):\n        self.q: object = queue.Queue[int](5)\n    def g(self):\n        self.q.submit(f)", "queue.Queue"),
    "a loop": ("asyncio.get_running_loop().submit(f)", "asyncio.AbstractEventLoop"),
    "a thread of one's own class": ("class T(threading.Thread):\n    pass\nT().submit(f)", "threading.Thread"),
    "a walrus": ("(ex := TPE()).submit(f)", "concurrent.futures.ThreadPoolExecutor"),
}  # fmt: skip

UNKNOWN = {
    "an untyped parameter": "def g(pool):\n    pool.submit(f)",
    "two types": "ex = TPE()\nex = asyncio.Queue()\nex.submit(f)",
    "a shadowed module": "def g(queue):\n    queue.Queue().submit(f)",
    "a class of the same name": "class TPE: pass\nTPE().submit(f)",
    "attributes that disagree": "class A:\n    def __init__(self, x):\n        self.ex = TPE()\n        self.ex = x\n    def g(self):\n        self.ex.submit(f)",
    "an attribute of another class": "class A:\n    def __init__(self):\n        self.ex = TPE()\nclass B:\n    def g(self):\n        self.ex.submit(f)",
    "a loop variable": "for ex in [TPE()]:\n    ex.submit(f)",
    "a rebinding in a loop target": "ex = TPE()\nfor ex in xs: pass\nex.submit(f)",
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind"), KNOWN.values(), ids=KNOWN)
def test_known(code: str, kind: str) -> None:
    assert type_of(code, "submit") == kind


@pytest.mark.parametrize("code", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown(code: str) -> None:
    assert type_of(code, "submit") is None


def test_what_a_method_returns() -> None:
    assert (
        type_of("ex = TPE()\nfuture = ex.submit(f)\nfuture.result()", "result") == "concurrent.futures.Future"
    )


def test_a_method_alone_is_a_region_and_still_knows_its_class() -> None:
    code = "class A:\n    def __init__(self):\n        self.ex = TPE()\n    def g(self):\n        self.ex.submit(f)\n"
    assert type_of(code, "submit", function="g") == "concurrent.futures.ThreadPoolExecutor"


def test_arguments_of_every_constructor() -> None:
    found = context(
        HEAD
        + "class A:\n    def __init__(self):\n        self.q = queue.Queue(5)\n    def reset(self):\n        self.q = queue.Queue(maxsize=n)\n    def g(self):\n        self.q.put(1)\n"
    )
    made = found.objects.of(call(found, "put").func.value)
    first, second = made.argument("maxsize", 0)
    assert (first.value, second.id) == (5, "n")
    assert made.argument("other", 3) == [None, None]


def test_the_vendored_runtime_is_the_runtime() -> None:
    code = "from app.perf import WorkerPool\npool = WorkerPool(2, 3)\npool.submit(f)"
    assert type_of(code, "submit", runtime_module="app.perf") == "perflint.runtime.WorkerPool"
    assert type_of(code, "submit") is None


@pytest.mark.parametrize(
    "line",
    [
        "from .perf import WorkerPool",
        "from ..app.perf import WorkerPool",
        "from app import perf\nWorkerPool = perf.WorkerPool",
    ],
)
def test_the_vendored_runtime_by_a_relative_import(line: str) -> None:
    code = f"{line}\npool = WorkerPool(2, 3)\npool.submit(f)"
    known = type_of(code, "submit", runtime_module="app.perf")
    assert known == (None if "=" in line else "perflint.runtime.WorkerPool")
    assert type_of(code, "submit", runtime_module="app.other") is None
    assert type_of(code, "submit") is None


def test_a_parameter_is_no_function_of_the_file() -> None:
    found = context(HEAD + "def work(): pass\ndef start(work):\n    threading.Thread(target=work)", "start")
    home = found.objects.home(call(found, "Thread"))
    assert "work" in home.bound
    assert (
        found.facts.outline.referred(found.objects.of(call(found, "Thread")).calls[0].keywords[0].value, home)
        is None
    )


def test_names_that_rest_on_one_another_are_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    bound = Objects._bound
    monkeypatch.setattr(Objects, "_bound", lambda *args: looked.append(args) or bound(*args))
    again = "".join(f"    node = node.step{number}()\n" for number in range(40))
    assert type_of(f"def g(node):\n{again}    node.submit(f)\n", "submit") is None
    assert len(looked) <= 4 * 41


def test_names_in_circles_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    bound = Objects._bound
    monkeypatch.setattr(Objects, "_bound", lambda *args: looked.append(args) or bound(*args))
    names = "abcdefgh"
    circle = "".join(f"    {one} = {other}.step()\n" for one in names for other in names)
    assert type_of(f"def g():\n{circle}    a.submit(f)\n", "submit") is None
    assert len(looked) < 10_000


def test_an_annotation_settles_a_circle() -> None:
    code = "def g(ex: Executor):\n    ex: Executor = ex.other()\n    ex.submit(f)\n"
    assert type_of(code, "submit") == "concurrent.futures.Executor"
