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
future, thread, process, event or lock of the standard library (or all of a list), or an attribute or
global that another function sets.

Not flagged: a test of anything else (files, processes, remote jobs: nothing wakes the waiter),
`while self._running: sleep(1)` and other loops that end with their own stop switch, loops with
other work or a deadline, `asyncio` code that polls an event of `threading`, sleeps of unknown
length.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import coroutine
from perflint.analysis.concurrency.elements import receiver as object_of
from perflint.analysis.concurrency.flags import may_ask, set_elsewhere
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, sole_small, unawaited
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch, awaited_for
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Finding, Severity

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
_METHODS = {"qsize", *(method for method, _ in _ASKED)}


def _hopeful(sketch: Sketch) -> bool:
    bodies = [loop.body for loop in sketch.of(ast.While) if not loop.orelse and may_ask(loop.test, _METHODS)]
    only = (awaited_for(body[0].value) for body in bodies if len(body) == 1 and isinstance(body[0], ast.Expr))
    pauses = [
        call for call in only if isinstance(call, ast.Call) and len(call.args) + len(call.keywords) == 1
    ]
    return any(not call.args or isinstance(call.args[0], (ast.Constant, ast.Name)) for call in pauses)


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
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"}
_LONG = 5.0  # seconds; a loop that wakes so seldom is a schedule
# (method, negated) -> the types it is asked of, and what to do instead.
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
    call = unawaited(small.value)
    if not isinstance(call, cst.Call) or context.names.qualified(call.func) not in _SLEEPS:
        return
    if len(call.args) != 1 or not _short(call.args[0].value, context):
        return
    answer = _answer(node.test, node, waiting, context)
    if answer is not None:
        message = (
            f"polling `{context.tree.code(node.test)}` with sleep adds latency and CPU; {answer} instead"
        )
        yield rule.finding(context, node.test, message)


def _answer(test: cst.BaseExpression, loop: cst.While, waiting: bool, context: Context) -> str | None:
    """What to do instead of the polling; None where any part of the test asks something else."""
    asked, negated = _asked(test)
    match asked:
        case cst.BooleanOperation(left=left, right=right):
            if dotted(_asked(left)[0]) in {dotted(part) for part in walk(right)} - {None}:
                return _answer(right, loop, waiting, context)  # `self._thread and self._thread.is_alive()`
            first = _answer(left, loop, waiting, context)
            return first if _answer(right, loop, waiting, context) is not None else None
    return _object(asked, negated, waiting, context) or _flag(asked, negated, loop, context)


def _short(node: cst.BaseExpression, context: Context) -> bool:
    text = getattr(node, "value", "")
    if isinstance(node, cst.Name) and context.scope(node).owner(text) in (None, context.names.top):
        value = getattr(context.facts.constant(text), "value", None)
        return isinstance(value, (int, float)) and value < _LONG
    try:
        return isinstance(node, (cst.Integer, cst.Float)) and float(text.replace("_", "")) < _LONG
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
        case cst.Comparison(
            left=left,
            comparisons=[cst.ComparisonTarget(operator=operator, comparator=cst.Name(value="None"))],
        ) if isinstance(operator, (cst.Is, cst.IsNot)):
            return left, isinstance(operator, cst.Is)
    return test, False


def _object(test: cst.BaseExpression, negated: bool, waiting: bool, context: Context) -> str | None:
    """What to wait on instead of asking an object of the standard library again and again."""
    test = _each(test)
    method, negated = _method(test, negated)
    known = _ASKED.get((method, negated))
    call = test if isinstance(test, cst.Call) else getattr(test, "left", None)
    if known is None or not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return None
    made = object_of(context.objects, call.func.value)
    kinds, instead = known
    if made is None or made.type not in kinds:
        return None
    kind, receiver = made.type, context.tree.code(call.func.value)
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


def _each(test: cst.BaseExpression) -> cst.BaseExpression:
    """`t.is_alive()` of `any(t.is_alive() for t in threads)`."""
    match test:
        case cst.Call(
            func=cst.Name(value="any" | "all"),
            args=[cst.Arg(value=cst.GeneratorExp(elt=item) | cst.ListComp(elt=item))],
        ):
            return item
    return test


def _method(test: cst.BaseExpression, negated: bool) -> tuple[str, bool]:
    match test:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="qsize")), args=[]):
            return "empty", not negated
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
    """`while not self._ready` or `while self._socket is None`, which another function sets."""
    name = (dotted(test) or "").rpartition(".")[2]
    if (_STOPS if negated else _GOES_ON).search(name) or not set_elsewhere(context, test, negated, loop):
        return None  # a keep-alive: the flag is the loop's own stop switch
    module = "asyncio" if coroutine(context.tree, loop) is not None else "threading"
    if module == "asyncio" and "asyncio" not in context.facts.packages:
        module = "anyio" if "anyio" in context.facts.packages else "trio"
    return f"wait on {'an' if module[0] == 'a' else 'a'} {module}.Event"
