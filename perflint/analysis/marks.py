"""Shapes of statements that the facts note for the gates, read from the `ast` tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from enum import Enum, auto


class Mark(Enum):
    """A statement inside a loop that gives its target a value made from the old one."""

    ADD = auto()  # t += e, where e is not a number
    REBIND_ADD = auto()  # t = t + e, t = e + t
    REBIND_OR = auto()  # t = t | e
    REBIND_TEXT = auto()  # t = f"{t}..", "%s.." % t, "..".format(t), "".join([t, ..])
    REBIND_DISPLAY = auto()  # t = [*t, e], (*t, e), {*t, e}, {**t, k: v}
    REBIND_COPY = auto()  # t = dict(t, ..), t = t.union(..)
    ADD_ONE = auto()  # t += [e], t.extend([e]), t.update({k: v}), t |= {e}
    COLLECT = auto()  # a `for` whose whole body is `t.append(e)` or `t.add(e)`, perhaps under one `if`


REBINDING = frozenset(mark for mark in Mark if mark.name.startswith("REBIND"))
MAPPING_REBOUND = frozenset({Mark.REBIND_COPY, Mark.REBIND_DISPLAY, Mark.REBIND_OR})
GROWING = (ast.AugAssign, ast.Assign, ast.AnnAssign)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")


def marked(loops: Iterable[ast.AST]) -> set[Mark]:
    """The marks of loops and of all statements in them."""
    marks: set[Mark] = set()
    stack = list(loops)
    while stack:
        node = stack.pop()
        marks |= noted(node)
        if isinstance(node, _LOOPS) and collects(node):
            marks.add(Mark.COLLECT)
        for block in _BLOCKS:
            stack += getattr(node, block, ())
    return marks


def noted(node: ast.AST) -> set[Mark]:
    """The marks of one statement in a loop, without those of a loop that it may be."""
    marks = growth(node) if isinstance(node, GROWING) else set()
    if adds_one(node):
        marks.add(Mark.ADD_ONE)
    return marks


def growth(node: ast.AugAssign | ast.Assign | ast.AnnAssign) -> set[Mark]:
    """What the statement makes of its targets."""
    if isinstance(node, ast.AugAssign):
        return {Mark.ADD} if isinstance(node.op, ast.Add) and not _number(node.value) else set()
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    marks = set()
    for target in targets:
        for part, value in _pairs(target, node.value):
            mark = _rebinding(part, value)
            if mark is not None:
                marks.add(mark)
    return marks


def _pairs(target: ast.expr, value: ast.expr | None) -> list[tuple[ast.expr, ast.expr]]:
    if value is None:
        return []
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


def _rebinding(target: ast.expr, value: ast.expr) -> Mark | None:
    match value:
        case ast.BinOp(op=operator):
            mark = _OPERATORS.get(type(operator))
        case ast.Call(func=ast.Name(id=word) | ast.Attribute(attr=word)):
            mark = _CALLS.get(word)
        case _:
            mark = _SHAPES.get(type(value))
    return mark if mark is not None and _mentions(value, _root(target)) else None


_SHAPES = {
    ast.JoinedStr: Mark.REBIND_TEXT,
    ast.List: Mark.REBIND_DISPLAY,
    ast.Tuple: Mark.REBIND_DISPLAY,
    ast.Set: Mark.REBIND_DISPLAY,
    ast.Dict: Mark.REBIND_DISPLAY,
}
_CALLS = {
    **dict.fromkeys(("format", "join"), Mark.REBIND_TEXT),
    **dict.fromkeys(("dict", "union"), Mark.REBIND_COPY),
}
_OPERATORS = {ast.Add: Mark.REBIND_ADD, ast.BitOr: Mark.REBIND_OR, ast.Mod: Mark.REBIND_TEXT}


def _root(target: ast.expr) -> str | None:
    while isinstance(target, (ast.Attribute, ast.Subscript, ast.Starred)):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def _mentions(value: ast.expr, name: str | None) -> bool:
    return name is not None and any(
        isinstance(part, ast.Name) and part.id == name for part in ast.walk(value)
    )


def _number(value: ast.expr) -> bool:
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    return isinstance(value, ast.Constant) and isinstance(value.value, (int, float, complex))


def collects(loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    """Whether all that the loop does is call `append` or `add` once, perhaps under one `if`."""
    body = loop.body
    if len(body) == 1 and isinstance(body[0], ast.If) and not body[0].orelse:
        body = body[0].body
    match body:
        case [ast.Expr(value=ast.Call(func=ast.Attribute(attr="append" | "add")))]:
            return not isinstance(loop, ast.While)
    return False


def adds_one(node: ast.AST) -> bool:
    """Whether the statement makes a container of one item to add that item to another."""
    match node:
        case ast.AugAssign(op=ast.Add() | ast.BitOr(), value=value):
            return _single(value)
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(attr="extend" | "update"), args=args, keywords=keywords)
        ):
            return len(args) + len(keywords) == 1 and (not args or _single(args[0]))
    return False


def _single(node: ast.expr) -> bool:
    match node:
        case ast.List(elts=[_]) | ast.Tuple(elts=[_]) | ast.Set(elts=[_]) | ast.Dict(keys=[_]):
            return True
    return False
