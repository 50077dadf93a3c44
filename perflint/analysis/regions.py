"""The parts of a file that are read apart from each other."""

from __future__ import annotations

import ast
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from perflint.analysis.marks import Mark
from perflint.model.diagnostics import Span


@dataclass(eq=False)
class Region:
    """An outermost function, or (with `function` false) the module's code outside of functions."""

    span: Span
    function: bool
    node: ast.AST  # the function, or the module
    holes: set[ast.AST] = field(default_factory=set)  # what of the tree below is other regions'
    marks: set[Mark] = field(default_factory=set)
    loops: list[Span] = field(default_factory=list)  # the outermost `for` and `while` statements
    parts: list[Span] = field(default_factory=list)  # what of the span is its own: no other region's


class Spots(NamedTuple):
    """The regions that hold a needle: anywhere, inside a loop, inside a function or a loop."""

    any: set[Region]
    looped: set[Region]
    inner: set[Region]


NOWHERE = Spots(set(), set(), set())


def within(spans: list[Span], at: int) -> bool:
    """Whether one of the spans, in order and apart, holds the byte."""
    number = bisect_right(spans, at, key=lambda span: span.start) - 1
    return number >= 0 and at < spans[number].end
