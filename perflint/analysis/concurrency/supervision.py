"""Whether somebody looks at how a started function ends."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from perflint.analysis.concurrency.roles import Start, closes
from perflint.analysis.facts import Facts

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
