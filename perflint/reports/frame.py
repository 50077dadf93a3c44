"""Source lines as people see them: the flagged place underlined, and a fix as a small diff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from perflint.fixing.edits import apply
from perflint.model.diagnostics import Applicability, Edit, Fix, Span
from perflint.model.source import Source
from perflint.reports.style import Style, columns, escape

TAB = 4  # columns
WIDTH = 120  # columns of source that are shown; a line may be megabytes long
DIFF_LINES = 14
COMPARED = 1000  # lines; finding out which ones are equal takes time squared

_ELLIPSIS = "..."
_LINE_END = re.compile(r"\r\n|\r|\n")


def frame(source: Source, span: Span, style: Style) -> Iterator[str]:
    """The first line of `span`, and a line that underlines it."""
    number = source.line_of(span.start)
    start, end = source.line_span(number)
    last = min(max(span.end, span.start), end)
    left = max(start, span.start - WIDTH // 2)
    before = source.data[left : span.start].decode("utf-8", "ignore")
    marked = source.data[span.start : min(last, span.start + WIDTH)].decode("utf-8", "ignore")
    after = source.data[last : min(end, last + WIDTH)].decode("utf-8", "ignore")
    shown_before = (_ELLIPSIS if left > start else "") + _printable(before)
    shown_marked = _printable(marked, columns(shown_before))
    room = max(WIDTH - columns(shown_before + shown_marked), 0)
    shown_after = _clip(_printable(after, columns(shown_before + shown_marked)), room)
    gutter = " " * len(str(number))
    underline = " " * columns(shown_before) + style.paint("^" * max(columns(shown_marked), 1), "red", "bold")
    bar = style.paint("|", "blue")
    yield f"{gutter} {bar}"
    yield f"{style.paint(str(number), 'blue')} {bar} {(shown_before + shown_marked + shown_after).rstrip()}"
    yield f"{gutter} {bar} {underline}"


def diff(source: Source, fix: Fix, style: Style) -> Iterator[str]:
    """The lines that the fix takes away and puts in their place."""
    label = f"({fix.applicability.name.lower()})"
    looks = "green" if fix.applicability is Applicability.SAFE else "yellow"
    yield f"fix {style.paint(label, looks)}: {escape(fix.title)}"
    lines = list(islice(_changes(source, fix.edits), DIFF_LINES + 1))
    for sign, text in lines[:DIFF_LINES]:
        look = "red" if sign == "-" else "green"
        yield style.paint(f"  {sign} {_clip(_printable(text), WIDTH)}".rstrip(), look)
    if len(lines) > DIFF_LINES:
        yield f"    {_ELLIPSIS}"


def _changes(source: Source, edits: Iterable[Edit]) -> Iterator[tuple[str, str]]:
    """The lines that each hunk removes and adds, marked `-` and `+`."""
    for hunk in _hunks(source, edits):
        first = source.line_of(hunk[0].span.start)
        last = max(source.line_of(edit.span.end) for edit in hunk)
        start, end = source.line_span(first)[0], source.line_span(last)[1]
        moved = (Edit(Span(span.start - start, span.end - start), text) for span, text in hunk)
        old = _LINE_END.split(source.slice(start, end))
        new = _LINE_END.split(apply(source.data[start:end], moved).decode())
        if len(old) + len(new) > COMPARED or set(old).isdisjoint(
            new
        ):  # not all of it would be shown, or all differs
            yield from (("-", line) for line in old)
            yield from (("+", line) for line in new)
        else:
            from difflib import SequenceMatcher  # seldom needed

            for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
                if tag != "equal":
                    yield from (("-", line) for line in old[i:j])
                    yield from (("+", line) for line in new[k:m])


def _hunks(source: Source, edits: Iterable[Edit]) -> Iterator[list[Edit]]:
    """Edits in order, those on the same or the next line together."""
    hunk: list[Edit] = []
    for edit in sorted(edits):
        if hunk and source.line_of(edit.span.start) > source.line_of(hunk[-1].span.end) + 1:
            yield hunk
            hunk = []
        hunk.append(edit)
    if hunk:
        yield hunk


def _printable(text: str, column: int = 0) -> str:
    """`text` escaped, and with tabs as spaces up to the next tab stop; it starts at `column`."""
    parts = text.split("\t")
    shown = escape(parts[0])
    for part in parts[1:]:
        shown += " " * (TAB - (column + columns(shown)) % TAB) + escape(part)
    return shown


def _clip(text: str, width: int) -> str:
    """`text` cut to about `width` columns."""
    if len(text) <= width:
        return text
    return text[: max(width - len(_ELLIPSIS), 0)] + _ELLIPSIS
