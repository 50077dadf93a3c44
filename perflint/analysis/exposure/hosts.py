"""Who can reach an address: everybody, this machine, or nobody knows."""

from __future__ import annotations

import ast
import re
from typing import Any, Literal

from perflint.analysis.exposure.values import UNKNOWN, expression, span_of, value
from perflint.analysis.outline import Home, Outline, leaf
from perflint.model.diagnostics import Applicability, Edit, Fix

Reach = Literal["public", "local", "unknown"]

_PUBLIC = re.compile(r"^(\[?::\]?|0\.0\.0\.0|0|\*|)(:\d+)?$")
_LOCAL = re.compile(r"^(127(\.\d+){3}|localhost|\[?::1\]?)(:\d+)?$|^unix:|^/", re.I)


def reach(host: object) -> Reach:
    """Who reaches a server that binds to this: a text such as `0.0.0.0` or `[::]:80`, or UNKNOWN.

    None is unknown here: what it stands for depends on the server.
    """
    if host is UNKNOWN or not isinstance(host, str):
        return "unknown"
    text = host.strip()
    if _PUBLIC.match(text):
        return "public"
    return "local" if _LOCAL.match(text) else "unknown"


def address(outline: Outline, node: ast.expr | None, home: Home) -> Any:
    """The address that an expression is, or UNKNOWN: a text, the first of a tuple, the head of `f"0.0.0.0:{port}"`."""
    held = expression(outline, node, home)
    match held:
        case ast.JoinedStr(values=[ast.Constant(value=str(head)), *_]) if head.endswith(":"):
            return f"{head}0"
        case ast.Tuple(elts=[first, *_]) | ast.List(elts=[first, *_]):
            return address(outline, first, home)
    return value(outline, held, home) if held is not None else UNKNOWN


def loopback(outline: Outline, node: ast.expr, home: Home) -> Fix | None:
    """Write 127.0.0.1 where the expression's literal stands; a constant that others read, too, is left alone."""
    literal = _literal(outline, node, home)
    if literal is None or (
        literal is not node and _inside(literal, node) is False and _shared(outline, node)
    ):
        return None
    span = span_of(outline, literal)
    text = outline.facts.source.slice(*span)
    match = re.fullmatch(r"""([fFrRuU]?)(["'])(\[?::\]?|0\.0\.0\.0|0|\*|)(:.*)?\2""", text)
    if match is None:
        return None
    prefix, quote, _, port = match.groups()
    edit = Edit(span, f"{prefix}{quote}127.0.0.1{port or ''}{quote}")
    return Fix("Bind to 127.0.0.1", (edit,), Applicability.UNSAFE)


def _literal(outline: Outline, node: ast.expr, home: Home) -> ast.expr | None:
    held = expression(outline, node, home)
    match held:
        case ast.Tuple(elts=[first, *_]) | ast.List(elts=[first, *_]):
            return _literal(outline, first, home)
        case ast.Constant() | ast.JoinedStr():
            return held
    return None


def _inside(node: ast.expr, above: ast.expr) -> bool:
    return any(part is node for part in ast.walk(above))


def _shared(outline: Outline, node: ast.expr) -> bool:
    """Whether the name or attribute that led to the literal is read more than once in the file, or exported."""
    name = next((part for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute))), None)
    word = leaf(name)
    exported = value(outline, outline.facts.constant("__all__"), Home())
    if isinstance(exported, tuple) and word in exported:
        return True
    reads = [part for part in ast.walk(outline.facts.tree) if _reads(part, word, isinstance(name, ast.Name))]
    return len(reads) > 1


def _reads(part: ast.AST, word: str, plain: bool) -> bool:
    match part:
        case ast.Attribute(attr=name, ctx=ast.Load()):
            return name == word
        case ast.Name(id=name, ctx=ast.Load()):
            return plain and name == word
    return False
