"""Whether somebody looks at how work ends: a started function, a task that an attribute keeps."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from perflint.analysis.concurrency.roles import Start, closes
from perflint.analysis.facts import Facts
from perflint.analysis.outline import Outline

_BLIND = {
    "cancel",
    "done",
    "cancelled",
    "get_name",
    "set_name",
    "get_loop",
}  # methods that tell nothing of a failure
_CONTAINER = {"add", "append", "appendleft", "discard", "remove", "clear", "keys"}
_LOOKS = {"result", "exception", "gather", "wait", "wait_for", "as_completed", "run_until_complete"}
_FORGETS = {"discard", "remove", "pop"}
_KEEPS = {"append", "add"}


def observed(facts: Facts, start: Start, joins: bool = False) -> bool:
    """Whether the exception of a started task surfaces: in its group, or where the starter waits for it.

    `joins` says that something waits for what the task works off, before it would look at the task.
    A thread's or process's exception surfaces nowhere, but some look whether their threads are alive, other
    than to shut down; and some ask whether the last task is done before they start the next.
    """
    if start.by in ("thread", "process", "timer"):
        calls = ((call, home) for call, home in facts.outline.calls if home.owner is start.home.owner)
        return any(
            getattr(call.func, "attr", "") == "is_alive" and not closes(getattr(home.function, "name", ""))
            for call, home in calls
        )
    if start.by in ("group", "to-thread"):
        return True
    scope = start.home.function or facts.tree
    places = _carriers(scope, start.call)
    return any(_looks(node, start.call, places, joins) for node in ast.walk(scope))


def watched(outline: Outline, attribute: str) -> bool:
    """Whether anything in the file may learn from an attribute of that name how the task in it ended."""
    parents = outline.parents
    return any(
        isinstance(node, ast.Attribute) and node.attr == attribute and not _looks_away(node, parents)
        for node in parents
    )


def _looks_away(node: ast.expr, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether this use of the attribute tells nothing about a failure."""
    parent = parents[node]
    if not isinstance(getattr(node, "ctx", None), ast.Load):
        return True
    match parent:
        case ast.Attribute(attr=method):
            return _method(parent, method, parents)
        case ast.Subscript(value=value) if value is node:
            return _looks_away(parent, parents)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if test is node:
            return True
        case ast.UnaryOp(op=ast.Not()) | ast.Compare() | ast.Delete() | ast.Assert():
            return True
        case ast.BoolOp():
            return not isinstance(parents[parent], (ast.Assign, ast.Return, ast.Call, ast.Await))
        case ast.Call(func=ast.Name(id="len" | "bool")):
            return True
        case ast.For(iter=iterable, target=ast.Name(id=item), body=body) if iterable is node:
            return all(
                _looks_away(part, parents)
                for statement in body
                for part in ast.walk(statement)
                if isinstance(part, ast.Name) and part.id == item
            )
    return False


def _method(parent: ast.Attribute, method: str, parents: dict[ast.AST, ast.AST]) -> bool:
    call = parents[parent]
    if method in _FORGETS and isinstance(call, ast.Call) and call.func is not parent:
        return True  # handed over as a callback
    if not isinstance(call, ast.Call) or call.func is not parent:
        return False
    if method == "add_done_callback":
        match call.args:
            case [ast.Attribute(attr=name)] | [ast.Lambda(body=ast.Call(func=ast.Attribute(attr=name)))]:
                return name in _FORGETS
        return False
    if method == "pop":
        return isinstance(parents[call], (ast.Expr, ast.Lambda))
    return method in _BLIND | _CONTAINER


def _looks(node: ast.AST, call: ast.Call, places: set[str], joins: bool) -> bool:
    match node:
        case ast.Return(value=ast.expr() as value):
            return _holds(value, call, places)
        case ast.Call(func=ast.Attribute(value=receiver, attr="add_done_callback"), args=[callback]):
            forgets = isinstance(callback, ast.Attribute) and callback.attr in _FORGETS
            return not forgets and _holds(receiver, call, places)
        case ast.Call(func=ast.Attribute(value=receiver, attr="done"), args=[]):
            return _place(receiver) in places
        case ast.Await(value=value):
            return not joins and _holds(value, call, places)
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)) if name in _LOOKS:
            return not joins and _holds(node, call, places)
    return False


def _holds(node: ast.AST, call: ast.Call, places: set[str]) -> bool:
    return any(part is call or _place(part) in places for part in ast.walk(node))


def _carriers(scope: ast.AST, call: ast.Call) -> set[str]:
    """The names and attributes through which the started work can be reached."""
    found: set[str] = set()
    for _ in range(3):
        before = len(found)
        for node in ast.walk(scope):
            found.update(place for place in _bound(node, call, found) if place)
        if len(found) == before:
            break
    return found


def _bound(node: ast.AST, call: ast.Call, places: set[str]) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets, value=value) if _holds(value, call, places):
            yield from (_place(target) for target in targets)
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=args) if method in _KEEPS:
            if any(_holds(item, call, places) for item in args):
                yield _place(owner)
        case ast.For(target=target, iter=iterable) | ast.comprehension(target=target, iter=iterable):
            if _holds(iterable, call, places):
                yield _place(target)


def _place(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            base = _place(value)
            return f"{base}.{attr}" if base else ""
    return ""
