"""The parts of a file that are read apart from each other."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from perflint.analysis.depth import too_deep
from perflint.analysis.marks import Mark
from perflint.model.diagnostics import Span


class Region:
    """An outermost function, or (with `function` false) the module's code outside of functions."""

    __slots__ = ("_deep", "function", "holes", "loops", "marks", "node", "parts", "span")  # there are many

    def __init__(self, span: Span, function: bool, node: ast.AST, parts: Iterable[Span] = ()) -> None:
        self.span = span
        self.function = function
        self.node = node  # the function, or the module
        self.holes: set[ast.AST] = set()  # what of the tree below is other regions'
        self.marks: set[Mark] = set()
        self.loops: list[Span] = []  # the outermost `for` and `while` statements
        self.parts: Sequence[Span] = tuple(parts)  # what of the span is its own: no other region's
        self._deep: bool | None = None

    @property
    def deep(self) -> bool:
        """Whether LibCST must not see it."""
        if self._deep is None:
            self._deep = too_deep(self.node)
        return self._deep

    def forget(self) -> None:
        """Let go of what can be made again."""


class Spots(NamedTuple):
    """The regions that hold a needle: anywhere, inside a loop, inside a function or a loop."""

    any: set[Region]
    looped: set[Region]
    inner: set[Region]


NOWHERE = Spots(set(), set(), set())


def within(spans: Sequence[Span], at: int) -> bool:
    """Whether one of the spans, in order and apart, holds the byte."""
    number = bisect_right(spans, at, key=lambda span: span.start) - 1
    return number >= 0 and at < spans[number].end
