"""Shapes of statements that the facts note for the gates, read from the `ast` tree."""

from __future__ import annotations

import ast


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
