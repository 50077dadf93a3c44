"""One line for each finding, as flake8 writes it: `path:line:column: CODE message`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perflint.model.diagnostics import Finding
from perflint.model.outcome import Outcome
from perflint.model.source import Position
from perflint.reports.style import Style, escape


def report(outcomes: Iterable[Outcome], style: Style) -> Iterator[str]:
    for outcome in outcomes:
        for finding in outcome.active:
            yield headline(outcome, finding, style) + "\n"


def headline(outcome: Outcome, finding: Finding, style: Style) -> str:
    """`path:line:column: CODE message`, for people."""
    line, column = position(outcome, finding.span.start)
    place = style.link(style.paint(escape(outcome.path), "bold"), outcome.path) + f":{line}:{column}"
    return f"{place}: {style.paint(finding.code, 'red', 'bold')} {escape(finding.message)}"


def position(outcome: Outcome, offset: int) -> Position:
    """Where people say an offset is; the very start of a file that could not be read."""
    return outcome.source.position(offset) if outcome.source else Position(1, 1)
