"""The names through which started work can be reached: futures, lists of them, loop variables over these."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import libcst as cst

from perflint.analysis.flow import bound_names
from perflint.analysis.match import dotted
from perflint.analysis.tree import walk, walk_scope

Starts = Callable[[cst.CSTNode], bool]

_KEEPS = {"append", "add", "extend", "appendleft", "insert"}
_ROUNDS = 6  # names that lead to names


def carriers(within: cst.CSTNode, starts: Starts, passes: Starts = lambda node: True) -> set[str]:
    """The places in `within` that hold what the calls that `starts` return, or containers of it.

    A loop over an iterable for which `passes` is false hands on nothing.
    """
    found: set[str] = set()
    for _ in range(_ROUNDS):
        before = len(found)
        for node in walk_scope(within):
            found.update(_bound(node, found, starts, passes))
        if len(found) == before:
            break
    return found


def carries(node: cst.CSTNode | None, places: set[str], starts: Starts = lambda node: False) -> bool:
    """Whether the expression mentions one of the places, or starts work itself."""
    return node is not None and any(
        starts(part)
        or (isinstance(part, (cst.Name, cst.Attribute, cst.Subscript)) and dotted(part) in places)
        for part in walk(node)
    )


def _bound(node: cst.CSTNode, places: set[str], starts: Starts, passes: Starts) -> Iterator[str]:
    match node:
        case cst.Assign(targets=targets, value=value) if carries(value, places, starts):
            for target in targets:
                yield from _container(target.target)
        case cst.AnnAssign(target=target, value=value) | cst.NamedExpr(target=target, value=value):
            if carries(value, places, starts):
                yield from _container(target)
        case cst.For(target=target, iter=iterable) | cst.CompFor(target=target, iter=iterable):
            if passes(iterable) and carries(iterable, places, starts):
                yield from bound_names(target)
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method)), args=args):
            place = dotted(owner)
            if method in _KEEPS and place and any(carries(item.value, places, starts) for item in args):
                yield place


def _container(target: cst.BaseExpression) -> set[str]:
    """What an assignment to `target` fills: `d` of `d[k] = future`, too."""
    found = bound_names(target)
    while isinstance(target, cst.Subscript):
        target = target.value
        found = found | bound_names(target)
    return found
