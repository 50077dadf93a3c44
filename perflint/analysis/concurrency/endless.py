"""Whether a function loops for ever: no test, no way out, nothing that ends the thread."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from perflint.analysis.outline import FunctionNode, Outline, own_nodes

_ENDS = {
    "exit",
    "quit",
    "_exit",
    "abort",
    "kill",
    "raise_signal",
    "interrupt_main",
    "execv",
    "execvp",
    "execve",
}
_FOR_EVER = re.compile(rb"\bwhile\b[\s(\\]*(True\b|\.\.\.|[\d.]|[bBrRuU]{0,2}[\x22\x27])")
_ENDING = re.compile(r"^_*(exit|stop|quit|terminate|shut_?down|die|bail|abort)", re.I)
_STOPS = re.compile(
    r"(exit|stop|shut_?down|clos|cancel|quit|done|interrupt|kill|terminat|abort|finish|ended)", re.I
)


def endless(function: FunctionNode, outline: Outline) -> bool:
    """Whether the function ends in a `while True` that neither it nor what it calls leaves on purpose."""
    if isinstance(function, ast.AsyncFunctionDef):
        return False
    return any(_no_exit(item, outline) for item in _always(function.body))


def may_be_endless(data: bytes) -> bool:
    """Whether the text holds a `while True` or the like."""
    return _FOR_EVER.search(data) is not None


def _always(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The loops that run whatever happens, as long as nothing raises."""
    for item in body:
        if isinstance(item, ast.While):
            yield item
        elif isinstance(item, (ast.With, ast.AsyncWith)):
            yield from _always(item.body)


def _no_exit(loop: ast.stmt, outline: Outline) -> bool:
    if not isinstance(loop, ast.While) or not isinstance(loop.test, ast.Constant) or not loop.test.value:
        return False
    inner = [node for node in own_nodes(loop) if isinstance(node, (ast.For, ast.AsyncFor, ast.While))]
    theirs = {part for node in inner for part in own_nodes(node) if isinstance(part, ast.Break)}
    return not any(_leaves(node, outline) for node in own_nodes(loop) if node not in theirs)


def _leaves(node: ast.AST, outline: Outline) -> bool:
    match node:
        case ast.Return() | ast.Raise() | ast.Break() | ast.Yield() | ast.YieldFrom() | ast.Assert():
            return True
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in _ENDS or _ENDING.match(name) is not None or _helper_stops(name, outline)
    return False


def _helper_stops(name: str, outline: Outline) -> bool:
    """Whether a function of this file, called in the loop, ends the thread by an exception made for that."""
    for function in outline.functions.get(name, ()):
        for node in ast.walk(function):
            match node:
                case ast.Raise(exc=ast.expr() as error) if _STOPS.search(
                    ast.unparse(error).partition("(")[0]
                ):
                    return True
                case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)) if called in _ENDS:
                    return True
    return False
