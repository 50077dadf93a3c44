"""Findings and fixes as plain values: hashable, comparable, picklable, free of syntax nodes.

Named tuples, here and in what a run over unchanged files loads: the first dataclass takes longer than most modules.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Span(NamedTuple):
    """Half-open range of byte offsets into the file's text as UTF-8 (without a byte order mark)."""

    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        """Whether both hold a byte in common, or are the same empty place."""
        return self == other or (self.start < other.end and other.start < self.end)

    def holds(self, other: Span) -> bool:
        return self.start <= other.start and other.end <= self.end


class Edit(NamedTuple):
    """Replace the bytes of `span` by `text`."""

    span: Span
    text: str


class Applicability(IntEnum):
    """What a fix promises."""

    DISPLAY = 0  # shown to a person, never applied
    UNSAFE = 1  # valid code that may behave differently; applied on request
    SAFE = 2  # same results, same exceptions, no comment lost


class Severity(IntEnum):
    INFO = 1  # a constant factor, or linear only by an implementation detail
    WARNING = 2  # the growth class or the resource bound is wrong
    ERROR = 3  # it will hang, lose data or expose

    @property
    def label(self) -> str:
        return self.name.lower()


class Fix(NamedTuple):
    """Edits that belong together: all are applied, or none."""

    title: str
    edits: tuple[Edit, ...]
    applicability: Applicability = Applicability.UNSAFE


class Finding(NamedTuple):
    """One place that costs more than it needs to.

    `payoff` is the measured gain for the target Python, or empty where nothing was measured.
    `related` names other places that explain this one.
    """

    code: str
    name: str
    severity: Severity
    span: Span
    message: str
    payoff: str = ""
    fix: Fix | None = None
    related: tuple[tuple[Span, str], ...] = ()
