"""How long a call on a queue, lock, event or thread may wait."""

from __future__ import annotations

import ast
from typing import Literal, NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.possible import calls_on
from perflint.analysis.sketch import Sketch

Wait = Literal[
    "never",  # it answers or raises at once
    "deadline",  # at most so long
    "forever",
    "unknown",  # its arguments do not tell
]


class _Shape(NamedTuple):
    """Where the parameters stand, as Python counts positions; None: the method has no such parameter."""

    block: int | None
    timeout: int | None


_QUEUES = library.THREAD_QUEUES | library.PROCESS_QUEUES
_CONDITIONS = {
    f"{module}.{name}" for module in ("threading", "multiprocessing") for name in ("Condition", "Barrier")
}
_EVENTS = {"threading.Event", "multiprocessing.Event"}
_SEMAPHORES = {
    f"{module}.{name}"
    for module in ("threading", "multiprocessing")
    for name in ("Semaphore", "BoundedSemaphore")
}
LOCKS = library.THREAD_LOCKS - _SEMAPHORES - _CONDITIONS
_JOINED = library.THREADS | {library.PROCESS} | _QUEUES - {"queue.SimpleQueue"}
ENDING = library.THREADS | {library.PROCESS, library.FUTURE, library.RESULT}
# method -> the types on which it blocks the thread that calls it
BLOCKING: dict[str, frozenset[str]] = {
    "get": _QUEUES | {library.RESULT},
    "put": _QUEUES,
    "join": _JOINED,
    "result": frozenset({library.FUTURE}),
    "exception": frozenset({library.FUTURE}),
    "wait": frozenset(_CONDITIONS | _EVENTS | {library.RESULT}),
    "acquire": LOCKS | _SEMAPHORES,
    **dict.fromkeys(("map", "starmap", "apply"), library.POOLS),
}

_PUT, _GET, _ACQUIRE, _WAIT = _Shape(1, 2), _Shape(0, 1), _Shape(0, 1), _Shape(None, 0)
_NAMES = (ast.Name, ast.Attribute)  # a time limit of this name is unknown
_BLOCK = {"block", "blocking"}
_FOREVER_ASYNC = {"put", "get", "acquire", "wait", "join"}
_AT_ONCE = {"queue.SimpleQueue": {"put"}, "multiprocessing.SimpleQueue": {"put"}}


def waiting(kind: str, method: str, call: cst.Call) -> Wait | None:
    """How long `method` of an object of this type may wait; None where it is no method that waits.

    For asyncio, anyio and trio it is the awaited call that waits.
    """
    if kind in library.QUEUES | library.THREAD_LOCKS | library.ASYNC_LOCKS and method.endswith("_nowait"):
        return "never"
    if kind in library.ASYNC_QUEUES | library.ASYNC_LOCKS or (
        kind in library.EVENTS and not kind.startswith(("threading", "multiprocessing"))
    ):
        return "forever" if method in _FOREVER_ASYNC else None
    if method in _AT_ONCE.get(kind, ()):
        return "never"
    shape = _shape(kind, method)
    return _by_arguments(shape, call) if shape is not None else None


def _shape(kind: str, method: str) -> _Shape | None:
    if kind in library.QUEUES:
        return {"put": _PUT, "get": _GET, "join": _Shape(None, None)}.get(method)
    if kind in library.THREAD_LOCKS and method == "acquire":
        return _ACQUIRE
    if method == "wait" and (kind in library.EVENTS or kind.endswith((".Condition", ".Barrier"))):
        return _WAIT
    if kind in library.THREADS | {library.PROCESS} and method == "join":
        return _WAIT
    return None


def _by_arguments(shape: _Shape, call: cst.Call) -> Wait:
    block, timeout = _argument(call, _BLOCK, shape.block), _argument(call, {"timeout"}, shape.timeout)
    if any(item.star for item in call.args):
        return "unknown"
    if _is(block, "False") or (isinstance(block, cst.Integer) and block.value == "0"):
        return "never"
    if block is not None and not _is(block, "True") and not isinstance(block, cst.Integer):
        return "unknown"
    if timeout is None or _is(timeout, "None"):
        return "forever"
    if isinstance(timeout, (cst.Integer, cst.Float)):
        return "deadline"
    if isinstance(timeout, cst.UnaryOperation):  # locks take -1 for no limit
        return "forever"
    return "unknown" if isinstance(timeout, (cst.Name, cst.Attribute)) else "deadline"


def _argument(call: cst.Call, names: set[str], position: int | None) -> cst.BaseExpression | None:
    for index, item in enumerate(call.args):
        if item.keyword is not None:
            if item.keyword.value in names:
                return item.value
        elif index == position:
            return item.value
    return None


def _is(node: cst.BaseExpression | None, name: str) -> bool:
    return isinstance(node, cst.Name) and node.value == name


def timed(sketch: Sketch, method: str, kinds: frozenset[str]) -> set[ast.expr]:
    """The calls that may wait for some time only, and the `await` for them: those that pass more than names."""
    calls = calls_on(sketch, kinds, method)
    given = ((call, [*call.args, *(item.value for item in call.keywords)]) for call in calls)
    found = {call for call, items in given if any(not isinstance(item, _NAMES) for item in items)}
    return {*found, *(node for node in sketch.of(ast.Await) if node.value in found)}
