"""Shapes of statements that the facts note for the gates, read from the `ast` tree."""

from __future__ import annotations

import ast
from enum import Enum, auto


class Mark(Enum):
    """A statement inside a loop that gives its target a value made from the old one."""

    ADD = auto()  # t += e, where e is not a number
    OR = auto()  # t |= e
    REBIND_ADD = auto()  # t = t + e, t = e + t
    REBIND_OR = auto()  # t = t | e
    REBIND_TEXT = auto()  # t = f"{t}..", "%s.." % t, "..".format(t), "".join([t, ..])
    REBIND_DISPLAY = auto()  # t = [*t, e], (*t, e), {*t, e}, {**t, k: v}
    REBIND_CALL = auto()  # t = f(.. t ..)
    REBIND_SLICE = auto()  # t = t[1:]
    ADD_ONE = auto()  # t += [e], t.extend([e]), t.update({k: v}), t |= {e}
    COLLECT = auto()  # a `for` whose whole body is `t.append(e)` or `t.add(e)`, perhaps under one `if`


GROWING = (ast.AugAssign, ast.Assign, ast.AnnAssign)


def growth(node: ast.AugAssign | ast.Assign | ast.AnnAssign) -> set[Mark]:
    """The marks of one statement in a loop."""
    if isinstance(node, ast.AugAssign):
        if isinstance(node.op, ast.Add) and not _number(node.value):
            return {Mark.ADD}
        return {Mark.OR} if isinstance(node.op, ast.BitOr) else set()
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
    mark = _SHAPES.get(type(value))
    if isinstance(value, ast.BinOp):
        mark = _OPERATORS.get(type(value.op))
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if value.func.attr in ("format", "join"):
            mark = Mark.REBIND_TEXT
    elif isinstance(value, ast.Subscript) and not isinstance(value.slice, ast.Slice | ast.Tuple):
        return Mark.REBIND_CALL if _mentions(value, _root(target)) else None  # np.r_[a, x] has a Tuple
    return mark if mark is not None and _mentions(value, _root(target)) else None


_SHAPES = {
    ast.JoinedStr: Mark.REBIND_TEXT,
    ast.List: Mark.REBIND_DISPLAY,
    ast.Tuple: Mark.REBIND_DISPLAY,
    ast.Set: Mark.REBIND_DISPLAY,
    ast.Dict: Mark.REBIND_DISPLAY,
    ast.Call: Mark.REBIND_CALL,
    ast.Subscript: Mark.REBIND_SLICE,
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
