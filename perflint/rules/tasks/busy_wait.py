"""A loop sleeps until something is so.

Each turn of the loop costs a wake-up, and when the thing happens at last, the program sleeps on
until its nap is over. What is waited for can wake the waiter itself.

Bad:

    import queue
    import time


    def next_order(orders: queue.Queue):
        while orders.empty():
            time.sleep(0.05)
        return orders.get_nowait()

Good:

    import queue


    def next_order(orders: queue.Queue):
        return orders.get()

Found where sleeping for less than five seconds is all that a `while` does, and its test asks a queue, task,
future, thread, process, event or lock of the standard library, or an attribute that another method of
the class sets.

Not flagged: a test of anything else (files, processes, remote jobs: nothing wakes the waiter),
`while self._running: sleep(1)` and other loops that end with their own stop switch, loops with
other work or a deadline, `asyncio` code that polls an event of `threading`, sleeps of unknown
length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import coroutine
from perflint.analysis.facts import Gate
from perflint.analysis.match import sole_small
from perflint.analysis.outline import Store
from perflint.analysis.rule import Context, Rule
from perflint.model.diagnostics import Finding, Severity

rule = Rule(
    code="PRF315",
    name="busy-wait",
    summary="polling with sleep wastes wake-ups and answers late",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b"sleep",),
        names=("time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"),
        loop=True,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"}
_LONG = 5.0  # seconds; a loop that wakes so seldom is a schedule
# (method, negated) -> the types it is asked of, and what to do instead.
_ASKED: dict[tuple[str, bool], tuple[frozenset[str], str]] = {
    ("empty", False): (library.THREAD_QUEUES | library.ASYNC_QUEUES, "get()"),
    ("empty", True): (library.THREAD_QUEUES | library.ASYNC_QUEUES, "join()"),
    ("full", False): (library.THREAD_QUEUES | library.ASYNC_QUEUES, "put()"),
    ("done", True): (frozenset({library.FUTURE, library.TASK}), "result()"),
    ("ready", True): (frozenset({library.RESULT}), "wait()"),
    ("is_alive", False): (library.THREADS | {library.PROCESS}, "join()"),
    ("is_set", True): (library.EVENTS, "wait()"),
    ("locked", False): (library.THREAD_LOCKS | library.ASYNC_LOCKS, "acquire()"),
}
# `while self._running` and `while not self._closed` end when somebody stops them.
_GOES_ON = re.compile(
    r"(running|active|alive|started|enabled|connected|open|run|keep|continue|loop|should_run|monitoring)",
    re.I,
)
_STOPS = re.compile(
    r"(clos|stop|done|shut|exit|cancel|finish|terminat|quit|abort|kill|end|halt|interrupt)", re.I
)


@rule.visits(cst.While)
def check(node: cst.While, context: Context) -> Iterator[Finding]:
    small = sole_small(node.body)
    if not isinstance(small, cst.Expr) or node.orelse is not None:
        return
    waiting = isinstance(small.value, cst.Await)
    call = small.value.expression if isinstance(small.value, cst.Await) else small.value
    if not isinstance(call, cst.Call) or context.names.qualified(call.func) not in _SLEEPS:
        return
    if len(call.args) != 1 or not _short(call.args[0].value):
        return
    test, negated = _asked(node.test)
    answer = _object(test, negated, waiting, context) or _flag(test, negated, node, context)
    if answer is not None:
        message = (
            f"polling `{context.tree.code(node.test)}` with sleep adds latency and CPU; {answer} instead"
        )
        yield rule.finding(context, node.test, message)


def _short(node: cst.BaseExpression) -> bool:
    try:
        return isinstance(node, (cst.Integer, cst.Float)) and float(node.value.replace("_", "")) < _LONG
    except ValueError:  # a hexadecimal number
        return False


def _asked(test: cst.BaseExpression) -> tuple[cst.BaseExpression, bool]:
    """What is tested, and whether it is negated; `qsize() == 0` is `empty()`."""
    match test:
        case cst.UnaryOperation(operator=cst.Not(), expression=inner):
            found, negated = _asked(inner)
            return found, not negated
        case cst.Comparison(
            left=left, comparisons=[cst.ComparisonTarget(operator=cst.Is() | cst.Equal(), comparator=right)]
        ) if isinstance(right, cst.Name) and right.value in ("True", "False"):
            return left, right.value == "False"
    return test, False


def _object(test: cst.BaseExpression, negated: bool, waiting: bool, context: Context) -> str | None:
    """What to wait on instead of asking an object of the standard library again and again."""
    method, negated = _method(test, negated)
    known = _ASKED.get((method, negated))
    call = test if isinstance(test, cst.Call) else getattr(test, "left", None)
    if known is None or not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return None
    kind = context.objects.type(call.func.value)
    kinds, instead = known
    if kind not in kinds:
        return None
    receiver = context.tree.code(call.func.value)
    if len(receiver) > 60:
        return None
    if not waiting:
        threaded = kind not in library.ASYNC_QUEUES | library.ASYNC_LOCKS | {library.TASK}
        return (
            f"use `{receiver}.{instead}`"
            if threaded and not kind.startswith(("asyncio.", "anyio.", "trio."))
            else None
        )
    if coroutine(context.tree, call) is None:
        return None
    if kind == library.TASK:
        return f"await `{receiver}`" if "asyncio.Task" in kind else None
    if kind == library.FUTURE:
        return f"use `await asyncio.wrap_future({receiver})`"
    if kind.startswith(("asyncio.", "anyio.", "trio.")):
        return f"use `await {receiver}.{instead}`"
    if (
        kind in library.THREADS | {library.PROCESS} | library.THREAD_QUEUES
        and "asyncio" in context.facts.packages
    ):
        return f"use `await asyncio.to_thread({receiver}.{instead.removesuffix('()')})`"
    return None  # a thread that waits for an event of `threading` cannot be cancelled: polling has its point


def _method(test: cst.BaseExpression, negated: bool) -> tuple[str, bool]:
    match test:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=method)), args=[]):
            return method, negated
        case cst.Comparison(
            left=cst.Call(func=cst.Attribute(attr=cst.Name(value="qsize")), args=[]),
            comparisons=[cst.ComparisonTarget(operator=operator, comparator=cst.Integer(value="0"))],
        ):
            if isinstance(operator, cst.Equal):
                return "empty", negated
            if isinstance(operator, (cst.GreaterThan, cst.NotEqual)):
                return "empty", not negated
    return "", negated


def _flag(test: cst.BaseExpression, negated: bool, loop: cst.While, context: Context) -> str | None:
    """`while not self._ready`, which another method of the class sets to True."""
    match test:
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
            pass
        case _:
            return None
    if (_STOPS if negated else _GOES_ON).search(name):
        return None  # a keep-alive: the flag is the loop's own stop switch
    home = context.objects.home(loop)
    stores = context.facts.outline.attribute(home.owner, name)
    elsewhere = [item for item in stores if item.home.function is not home.function]
    if not stores or any(_constant(item) is None for item in stores):
        return None
    if not any(_constant(item) is negated and _later(item) for item in elsewhere):
        return None
    module = "asyncio" if coroutine(context.tree, loop) is not None else "threading"
    if module == "asyncio" and "asyncio" not in context.facts.packages:
        module = "anyio" if "anyio" in context.facts.packages else "trio"
    return f"wait on {'an' if module[0] == 'a' else 'a'} {module}.Event"


def _constant(store: Store) -> bool | None:
    value = getattr(store.value, "value", None)
    return value if isinstance(value, bool) else None


def _later(store: Store) -> bool:
    return store.home.function is not None and store.home.function.name not in ("__init__", "__new__")
