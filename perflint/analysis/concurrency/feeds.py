"""A queue's two ends: who puts into it without a pause, and who takes out of it for ever."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from perflint.analysis.concurrency.roles import Roles
from perflint.analysis.facts import Facts
from perflint.analysis.outline import FunctionNode, Home, Outline, leaf
from perflint.analysis.sketch import GAP

_PUTS, _GETS = ("put", "put_nowait"), ("get", "get_nowait")
_HARMLESS = {
    *_PUTS,
    *_GETS,
    "join",
    "task_done",
    "qsize",
    "empty",
    "full",
    "close",
    "join_thread",
    "shutdown",
}
_SENTINEL = re.compile(
    r"(^|[._])(\w*sentinel|\w*stop\w*|\w*shutdown\w*|eof|done|end|close[d]?|_?[A-Z][A-Z0-9_]+)$"
)
_CALLBACK = re.compile(r"_*(on|handle)_|.*_(callback|received)$|emit$")
_THREADSAFE = "call_soon_threadsafe"


class Place(NamedTuple):
    """Where a queue is kept: an attribute of a class, a local of a function, or a module's name."""

    name: str
    owner: ast.ClassDef | None = None
    function: FunctionNode | None = None


class End(NamedTuple):
    """One put or get. `deferred` where the method is handed over: `call_soon_threadsafe(q.put_nowait, x)`."""

    call: ast.Call
    home: Home
    method: str
    item: ast.expr | None
    deferred: bool = False


def ends(outline: Outline, place: Place) -> Iterator[End]:
    """Every put and get of the file on that queue."""
    for call, home in outline.calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in (*_PUTS, *_GETS):
            item = call.args[0] if call.args else None
            if _is(call.func.value, place, home):
                yield End(call, home, call.func.attr, item)
        for index, argument in enumerate(call.args):
            match argument:
                case ast.Attribute(value=receiver, attr=method) if method in (*_PUTS, *_GETS):
                    if _is(receiver, place, home):
                        after = call.args[index + 1] if len(call.args) > index + 1 else None
                        yield End(call, home, method, after, deferred=True)


def may_have_ends(facts: Facts, name: str) -> bool:
    """Whether the file's text shows a put and a get on something of that name."""
    parts = (rb"\b%s%s\.%s%s" % (name.encode(), GAP, GAP, method) for method in (b"put", b"get"))
    return not facts.plain or all(facts.shows(re.compile(part)) for part in parts)


def escapes(outline: Outline, place: Place) -> bool:
    """Whether the file uses the queue in a way other than its well-known methods: others may fill it."""
    root: ast.AST = place.owner or place.function or outline.facts.tree
    seen = used = 0
    for node in ast.walk(root):
        if isinstance(node, ast.Attribute) and node.attr in _HARMLESS:
            used += _names(node.value, place)
        if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", None), ast.Load):
            seen += _names(node, place)
    return seen != used


def measured(outline: Outline, place: Place) -> bool:
    """Whether the file compares how much the queue holds: `if q.qsize() >= HIGH_WATER`."""
    root: ast.AST = place.owner or place.function or outline.facts.tree
    return any(
        isinstance(part, ast.Attribute) and part.attr == "qsize" and _names(part.value, place)
        for node in ast.walk(root)
        if isinstance(node, ast.Compare)
        for part in ast.walk(node)
    )


def consumes(roles: Roles, end: End) -> bool:
    """Whether it takes items for as long as there are any, in a worker or on behalf of an iterator."""
    function = end.home.function
    if not end.method.startswith("get") or function is None:
        return False
    if function.name in ("__anext__", "__next__"):
        return True
    looping = bool(_loops(function, end.call)) or getattr(end.call.func, "id", "") == "iter"
    return looping and (_yields(function) or _works(roles, function))


def produces(roles: Roles, end: End) -> bool:
    """Whether nothing bounds how many items it puts: a loop with no end, a handler, a callback."""
    function = end.home.function
    if not end.method.startswith("put") or function is None or _is_sentinel(end.item):
        return False
    if _when_done(roles.outline, function):  # as many as there are tasks
        return False
    if roles.handler(function) or pushed(end) or _for_ever(function, end.call):
        return True
    return not _loops(function, end.call) and any(
        home.function is not None and _for_ever(home.function, call)
        for call, home in _calls(roles.outline, function)
    )


def pushed(end: End) -> bool:
    """Whether a callback that cannot wait puts the item."""
    function = end.home.function
    if end.deferred and getattr(end.call.func, "attr", "") == _THREADSAFE:
        return True
    return (
        function is not None and not _loops(function, end.call) and _CALLBACK.match(function.name) is not None
    )


def handles_full(end: End) -> bool:
    """Whether a put that does not wait stands in a `try` that catches `Full`."""
    for node in ast.walk(end.home.function) if end.home.function is not None else ():
        if isinstance(node, ast.Try) and any(end.call in ast.walk(item) for item in node.body):
            caught = [ast.unparse(item.type) if item.type is not None else "Full" for item in node.handlers]
            if any("Full" in item for item in caught):
                return True
    return False


# Parts


def _is(node: ast.expr, place: Place, home: Home) -> bool:
    if not _names(node, place):
        return False
    if place.owner is not None:
        return home.owner is place.owner
    if place.function is not None:
        return place.function in home.functions and place.name not in home.bound
    return place.name not in home.bound


def _names(node: ast.expr, place: Place) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            return place.owner is not None and name == place.name
        case ast.Name(id=name):
            return place.owner is None and name == place.name
    return False


def _loops(function: FunctionNode, call: ast.Call) -> list[ast.For | ast.AsyncFor | ast.While]:
    """The loops of the function whose body (or test) holds the call."""
    found: list[ast.For | ast.AsyncFor | ast.While] = []
    for node in ast.walk(function):
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            parts: list[ast.AST] = [*node.body, *([node.test] if isinstance(node, ast.While) else [])]
            if any(call is item for part in parts for item in ast.walk(part)):
                found.append(node)
    return found


def _for_ever(function: FunctionNode, call: ast.Call) -> bool:
    """Whether a loop of the function that has no end makes the call."""
    return any(isinstance(loop, ast.AsyncFor) or _endless(loop) for loop in _loops(function, call))


def _when_done(outline: Outline, function: FunctionNode) -> bool:
    """Whether the function is called when a task ends: `task.add_done_callback(self._ended)`."""
    return any(
        getattr(call.func, "attr", "") == "add_done_callback"
        and any(leaf(part) == function.name for item in call.args for part in ast.walk(item))
        for call, _ in outline.calls
    )


def _calls(outline: Outline, function: FunctionNode) -> Iterator[tuple[ast.Call, Home]]:
    """The calls of the file that call the function."""
    for call, home in outline.calls:
        if leaf(call.func) == function.name and outline.referred(call.func, home) is function:
            yield call, home


def _endless(loop: ast.AST) -> bool:
    """`while True`, `while not self.closed`, `while line := read()`; a count or a work list has an end."""
    match loop:
        case ast.While(test=ast.Constant() | ast.Attribute() | ast.NamedExpr()):
            return True
        case ast.While(test=ast.UnaryOp(op=ast.Not(), operand=tested)):
            return "empty" not in ast.unparse(tested)
        case ast.While(test=ast.Compare(left=ast.NamedExpr())):
            return True
        case ast.For(iter=ast.Call(func=ast.Name(id="iter"), args=[_, _])):
            return True
        case ast.For(iter=ast.Call(func=ast.Attribute(value=ast.Name(id="itertools"), attr="count"))):
            return True
    return False


def _works(roles: Roles, function: FunctionNode, depth: int = 2) -> bool:
    """Whether the function runs as a worker, itself or by the functions that call it."""
    if roles.starts(function):
        return True
    if depth == 0:
        return False
    callers = {home.function for _, home in _calls(roles.outline, function)}
    return any(
        item is not None and item is not function and _works(roles, item, depth - 1) for item in callers
    )


def _yields(function: FunctionNode) -> bool:
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function))


def _is_sentinel(item: ast.expr | None) -> bool:
    match item:
        case ast.Constant():
            return True
        case ast.Name() | ast.Attribute():
            return _SENTINEL.search(ast.unparse(item)) is not None
        case ast.Call(func=ast.Name(id="object")):
            return True
    return False
