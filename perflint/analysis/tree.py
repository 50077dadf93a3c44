"""A LibCST tree of one region, with the metadata that is wanted and no more.

Spans, parents and comments are computed when first asked for, once per region. Walking skips
whitespace nodes, which are most of a tree.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

import libcst as cst

from perflint.analysis.regions import Region
from perflint.analysis.skeleton import Unclear
from perflint.analysis.spans import Extents
from perflint.analysis.split import Part, Split, name
from perflint.model.diagnostics import Span
from perflint.model.source import Source

Function = (cst.FunctionDef, cst.Lambda)
Loop = (cst.For, cst.While)
Comprehension = (cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)
ScopeNode = (cst.FunctionDef, cst.Lambda, cst.ClassDef, *Comprehension)

LARGE = 150_000  # characters that are not read at once
_PREFIX = "if 1:\n"  # makes an indented function a module

_QUIET = {
    *("lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace", "leading_lines", "lines_after_decorators"),
    *("header", "footer", "trailing_whitespace", "comma", "semicolon", "equal", "colon", "dot", "newline"),
    *("operator", "asynchronous", "star", "indent", "encoding", "default_indent", "default_newline"),
    *("has_trailing_newline", "first_colon", "second_colon", "whitespace", "relative", "separator"),
}


class TreeError(Exception):
    """LibCST cannot read the region."""


class Tree:
    """The statements of one region and what is known of its nodes."""

    def __init__(self, source: Source, region: Region, prefix: str = "") -> None:
        """Raise TreeError where LibCST cannot read the region."""
        text = prefix + source.slice(*region.span)
        self.source = source
        self.region = region
        self.module = _parse_module(text)
        self.root = _root(self.module, region)
        self._before: dict[cst.CSTNode | None, dict[cst.CSTNode, cst.BaseStatement]] = {}  # by block
        self._text = text.encode()
        self._ascii = text.isascii()
        self._shift = region.span.start - len(prefix)

    def span(self, node: cst.CSTNode) -> Span:
        """Where `node` stands in the file, its own parentheses included."""
        left, right = getattr(node, "lpar", ()), getattr(node, "rpar", ())
        # classes, imports and `with` keep other things than a list of parentheses there
        first = self._spans[left[0]] if left and isinstance(left, (list, tuple)) else self._spans[node]
        last = self._spans[right[-1]] if right and isinstance(right, (list, tuple)) else self._spans[node]
        return Span(self._offset(first[0]), self._offset(last[1], end=True))

    def code(self, node: cst.CSTNode) -> str:
        """The node's text as it stands in the file, its own parentheses included."""
        return self.source.slice(*self.span(node))

    def holds(self, text: bytes) -> bool:
        """Whether the region's text has it anywhere."""
        return self.source.data.find(text, *self.region.span) >= 0

    def shown(self, node: cst.CSTNode, limit: int = 40) -> str:
        """The node's text for a message: on one line, and cut short where it is long."""
        text = " ".join(self.code(node).split())
        if len(text) <= limit:
            return text
        if isinstance(node, cst.Attribute) and len(node.attr.value) < limit:
            return f"(...).{node.attr.value}"
        return f"{text[:limit]}..."

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node that holds `node`; None for the root."""
        return self._parents.get(id(node))

    def taker(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node that takes the value of `node`, awaited or not; None for the root."""
        parent = self.parent(node)
        return self.parent(parent) if isinstance(parent, cst.Await) else parent

    def ancestors(self, node: cst.CSTNode, within: cst.CSTNode | None = None) -> Iterator[cst.CSTNode]:
        """The parents of `node`, innermost first, up to and with the root, or else those inside of `within`."""
        parents = self._parents
        above = parents.get(id(node))
        while above is not None and above is not within:
            yield above
            above = parents.get(id(above))

    def function(self, node: cst.CSTNode) -> cst.FunctionDef | None:
        """The innermost function that holds `node`, be it in its head."""
        return next((above for above in self.ancestors(node) if isinstance(above, cst.FunctionDef)), None)

    def statement(self, node: cst.CSTNode) -> cst.BaseStatement:
        """The innermost statement line or compound statement that holds `node`, or is it."""
        while not isinstance(node, cst.BaseStatement):
            node = self._parents[id(node)]
        return node

    def before(self, node: cst.BaseStatement) -> cst.BaseStatement | None:
        """The statement directly before `node` in its block."""
        block = self.parent(node)
        if block not in self._before:
            body = _statements(block)
            self._before[block] = dict(zip(body[1:], body, strict=False))
        return self._before[block].get(node)

    def after(self, node: cst.BaseStatement) -> list[cst.CSTNode]:
        """The statements that follow in the same block."""
        body = _statements(self.parent(node))
        start = next((at for at, item in enumerate(body, 1) if item is node), len(body))
        return [*body[start:]]

    def comments(self, span: Span) -> bool:
        """Whether a comment stands inside `span`."""
        if b"#" not in self.source.data[span.start : span.end]:
            return False
        at = bisect_left(self._comments, span.start)
        return at < len(self._comments) and self._comments[at] < span.end

    @cached_property
    def _spans(self) -> Extents:
        try:
            return Extents(self.module, self._ascii)
        except Exception as error:  # LibCST recurses, and wraps what it meets at the limit
            raise TreeError("an expression is nested too deeply") from error

    def _offset(self, at: int, end: bool = False) -> int:
        """Where in the file a byte of LibCST's text stands."""
        lost = bisect_left(self._lost, at) if end else bisect_right(self._lost, at)
        return self._shift + at + lost

    @cached_property
    def _lost(self) -> list[int]:
        """Where LibCST's text lacks white space that the file has, once for each byte: it forgets the
        blank in `except Error :` and some at the end of the file."""
        if self._spans[self.module] == (0, len(self._text)):
            return []
        return _missing(self.module.code.encode(), self._text)

    @cached_property
    def _parents(self) -> dict[int, cst.CSTNode]:
        """By the id of the node: its hash is a function of Python."""
        found: dict[int, cst.CSTNode] = {}
        stack = [self.root]
        while stack:
            node = stack.pop()
            below = children(node)
            found.update(dict.fromkeys(map(id, below), node))
            stack += below
        return found

    @cached_property
    def _comments(self) -> list[int]:
        return sorted(map(self._offset, self._spans.comments))


def parse(source: Source, region: Region) -> Tree:
    """The tree of a region; raise TreeError where LibCST cannot read it."""
    indented = region.function and source.data[region.span.start : region.span.start + 1] in b" \t\f"
    return Tree(source, region, _PREFIX if indented else "")


def _root(module: cst.Module, region: Region) -> cst.CSTNode:
    match module.body:
        case _ if not region.function:
            return module
        case [cst.If(body=cst.IndentedBlock([cst.FunctionDef() as function]), orelse=None)]:
            return function
        case [cst.FunctionDef() as function]:
            return function
    raise TreeError("the region is not one function")


def _statements(block: cst.CSTNode | None) -> Sequence[cst.BaseStatement]:
    """Those of a block; none where the parent is none: an `elif` stands below an `if`."""
    body = getattr(block, "body", ())
    return body if isinstance(body, (list, tuple)) else ()


def _missing(short: bytes, full: bytes) -> list[int]:
    """The places in `short` at which it lacks white space of `full`; TreeError where more differs."""
    lost, at = [], 0
    for byte in full:
        if at < len(short) and short[at] == byte:
            at += 1
        elif byte in b" \t\f\r\n\\":
            lost.append(at)
        else:
            raise TreeError("its text would change on the way")
    return lost


def _parse_module(text: str) -> cst.Module:
    try:
        if len(text) > LARGE:
            with suppress(Unclear, cst.ParserSyntaxError, RecursionError):  # the whole text has the last word
                return _spliced(Split(text.encode()))
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise TreeError(" ".join(error.message.split())) from None
    except RecursionError:
        raise TreeError("nested too deeply") from None


def _spliced(split: Split) -> cst.Module:
    """The tree of a text that is read part by part. Raise Unclear where a part is not what it looked like."""
    module = cst.parse_module(split.rest().decode())
    parts = {name(number): part for number, part in enumerate(split.parts)}
    for node in [*walk(module)] if parts else ():
        field = _HOLDERS.get(node.__class__, "")
        items: Sequence[cst.CSTNode] = getattr(node, field) if field else ()
        if not any(_name(item) in parts for item in items):
            continue
        found: list[cst.CSTNode] = []
        for item in items:
            part = parts.pop(_name(item), None)
            found += [item] if part is None else _nodes(split, part)
        object.__setattr__(node, field, tuple(found))  # nobody else knows the node yet
    if parts:
        raise Unclear
    return module


_HOLDERS: dict[type[cst.CSTNode], str] = {
    **dict.fromkeys((cst.Module, cst.IndentedBlock), "body"),
    **dict.fromkeys((cst.List, cst.Tuple, cst.Set, cst.Dict), "elements"),
}


def _name(item: cst.CSTNode) -> str:
    """The name that is all of a statement or element, or nothing."""
    match item:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Name(value=found))]):
            return found
        case cst.Element(value=cst.Name(value=found)) | cst.DictElement(key=cst.Name(value=found)):
            return found
    return ""


def _nodes(split: Split, part: Part) -> Sequence[cst.CSTNode]:
    """The statements or elements of a part."""
    body: Sequence[cst.CSTNode] = cst.parse_module(split.alone(part).decode()).body[2:]
    for _ in part.margins[1:]:
        match body:
            case [cst.If(body=cst.IndentedBlock(body=body), orelse=None)]:
                continue
        raise Unclear
    if not part.bracket:
        return body
    match body:
        case [
            cst.SimpleStatementLine(
                body=[cst.Expr(value=cst.List() | cst.Tuple() | cst.Set() | cst.Dict() as literal)]
            )
        ]:
            return literal.elements[:-1]
    raise Unclear


def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """`node` and all below it in source order, whitespace left out."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def walk_scope(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Like `walk`, but stops at nested functions, lambdas and classes (it yields them, not their parts)."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here
        if here is node or not isinstance(here, (cst.FunctionDef, cst.Lambda, cst.ClassDef)):
            stack.extend(reversed(children(here)))


def children(node: cst.CSTNode) -> list[cst.CSTNode]:
    """The nodes directly below `node`, in source order, whitespace and punctuation left out."""
    found: list[cst.CSTNode] = []
    for value in _parts(node.__class__)(node):
        kind = value.__class__
        if kind is list or kind is tuple:
            found += value
        elif _is_node(kind):
            found.append(value)
    return found


@cache
def _is_node(kind: type[object]) -> bool:
    """Asked for types, because `isinstance` is slow with LibCST's abstract base classes."""
    return issubclass(kind, cst.CSTNode)


@cache
def _parts(kind: type[cst.CSTNode]) -> Callable[[cst.CSTNode], Iterable[Any]]:
    """What reads the fields of a node of this type that may hold others."""
    names = [item.name for item in fields(kind) if item.type is not str and item.type is not bool]
    names = [name for name in names if name not in _QUIET and not name.startswith("whitespace")]
    if not names:
        return lambda node: ()
    # `attrgetter` makes no tuple of a single value
    return attrgetter(*names) if len(names) > 1 else lambda node: (getattr(node, names[0]),)
