"""Edits on text: what makes them valid, what they leave, and where everything else moves to."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate, pairwise

from perflint.model.diagnostics import Edit, Span

# A line feed that a rule wrote; text copied from the file keeps the line ends it came with.
_LINE_FEED = re.compile(r"(?<!\r)\n")


class EditError(ValueError):
    """The edits do not fit the text, or one another; the message is one plain sentence."""


def apply(data: bytes, edits: Iterable[Edit], newline: str = "\n") -> bytes:
    """`data` (UTF-8) with all edits done and every other byte as it was.

    Edits refer to `data` and may come in any order; equal ones count once. Line feeds in their
    text become `newline`. Raise EditError where an edit is out of bounds, overlaps another, or
    cuts a character or a line end in two.
    """
    return Patch(data, edits, newline).apply()


class Patch:
    """Checked edits on one text."""

    def __init__(self, data: bytes, edits: Iterable[Edit], newline: str = "\n") -> None:
        """Raise EditError as `apply` does."""
        self.data = data
        self.edits = sorted(set(edits))
        self.texts = [_encoded(edit.text, newline) for edit in self.edits]
        self._starts = [edit.span.start for edit in self.edits]
        self._ends = [edit.span.end for edit in self.edits]
        self._check()

    def apply(self) -> bytes:
        parts: list[bytes] = []
        done = 0
        for (span, _), text in zip(self.edits, self.texts, strict=True):
            parts += self.data[done : span.start], text
            done = span.end
        return b"".join((*parts, self.data[done:]))

    def moved(self, span: Span) -> Span:
        """Where the text of `span` stands after the edits."""
        return self.window(span)[1]

    def window(self, span: Span) -> tuple[Span, Span]:
        """`span`, widened to whole edits, before and after them.

        Text inserted right before or right after belongs to it, so that a wrapped expression
        is still the same place.
        """
        first = bisect_right(self._ends, span.start)
        first -= self._inserts(first - 1, span.start)
        last = bisect_left(self._starts, span.end)
        last += self._inserts(last, span.end)
        start = min([span.start, *self._starts[first : first + 1]])
        end = max([span.end, *self._ends[max(last - 1, 0) : last]])
        return Span(start, end), Span(start + self._shifts[first], end + self._shifts[last])

    def _inserts(self, index: int, at: int) -> bool:
        """Whether the edit of that index exists and only inserts text at that place."""
        return 0 <= index < len(self.edits) and self._starts[index] == self._ends[index] == at

    @cached_property
    def _shifts(self) -> list[int]:
        """How far the edits before the i-th one push the text behind them."""
        pairs = zip(self.edits, self.texts, strict=True)
        return list(accumulate((len(text) - (span.end - span.start) for (span, _), text in pairs), initial=0))

    def _check(self) -> None:
        for (start, end), _ in self.edits:
            if not 0 <= start <= end <= len(self.data):
                raise EditError(f"the edit at {start}-{end} is out of bounds")
            if not (self._boundary(start) and self._boundary(end)):
                raise EditError(f"the edit at {start}-{end} cuts a character or a line end in two")
        for (before, _), (after, _) in pairwise(self.edits):
            if before.overlaps(after):
                raise EditError(f"the edits at {before.start} and {after.start} overlap")

    def _boundary(self, offset: int) -> bool:
        """Whether neither a UTF-8 sequence nor a CRLF runs across `offset`."""
        around = self.data[max(offset - 1, 0) : offset + 1]
        return offset == len(self.data) or (around[-1] & 0xC0 != 0x80 and around != b"\r\n")


def _encoded(text: str, newline: str) -> bytes:
    try:
        return _LINE_FEED.sub(newline, text).encode("utf-8")
    except UnicodeEncodeError:
        raise EditError("the text of an edit is not valid Unicode") from None
