"""A JSON list of objects, one for each finding, the suppressed ones included.

Lines and columns count from 1, columns in code points. `start` and `end` of an edit are byte
offsets into the text as UTF-8, without a byte order mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from perflint.model.diagnostics import Edit, Finding, Fix, Span
from perflint.model.outcome import Outcome
from perflint.reports.concise import position
from perflint.reports.style import Style


def report(outcomes: Iterable[Outcome], _style: Style) -> Iterator[str]:
    separator = "[\n  "
    for outcome in outcomes:
        both = [(finding, False) for finding in outcome.active] + [
            (finding, True) for finding in outcome.suppressed
        ]
        for finding, suppressed in sorted(both, key=lambda pair: (pair[0].span, pair[0].code)):
            yield separator + json.dumps(_finding(outcome, finding, suppressed))
            separator = ",\n  "
    yield "[]\n" if separator.startswith("[") else "\n]\n"


def _finding(outcome: Outcome, finding: Finding, suppressed: bool) -> dict[str, object]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.label,
        "message": finding.message,
        "path": outcome.path,
        **_range(outcome, finding.span),
        "payoff": finding.payoff,
        "suppressed": suppressed,
        "fix": _fix(outcome, finding.fix) if finding.fix else None,
    }


def _fix(outcome: Outcome, fix: Fix) -> dict[str, object]:
    return {
        "title": fix.title,
        "applicability": fix.applicability.name.lower(),
        "edits": [_edit(outcome, edit) for edit in fix.edits],
    }


def _edit(outcome: Outcome, edit: Edit) -> dict[str, object]:
    return {**_range(outcome, edit.span), "start": edit.span.start, "end": edit.span.end, "text": edit.text}


def _range(outcome: Outcome, span: Span) -> dict[str, object]:
    line, column = position(outcome, span.start)
    end_line, end_column = position(outcome, span.end)
    return {"line": line, "column": column, "end_line": end_line, "end_column": end_column}
