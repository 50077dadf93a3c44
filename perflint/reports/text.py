"""Findings for people: the place, the code with the span underlined, the payoff, and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perflint.model.diagnostics import Finding
from perflint.model.outcome import Outcome
from perflint.reports.concise import headline
from perflint.reports.style import Style, escape


def report(outcomes: Iterable[Outcome], style: Style) -> Iterator[str]:
    for outcome in outcomes:
        for finding in outcome.active:
            yield "\n".join((*_lines(outcome, finding, style), "\n"))


def _lines(outcome: Outcome, finding: Finding, style: Style) -> Iterator[str]:
    yield headline(outcome, finding, style)
    if outcome.source is None:
        return
    # Which nobody needs where nothing is found.
    from perflint.reports.frame import diff, frame

    source = outcome.source
    if source.data:
        yield from frame(source, finding.span, style)
    for span, note in finding.related:
        yield f"  line {source.line_of(span.start)}: {escape(note)}"
    if finding.payoff:
        yield f"  {style.paint('payoff', 'cyan')}: {escape(finding.payoff)}"
    if finding.fix:
        yield from (f"  {line}" for line in diff(source, finding.fix, style))
