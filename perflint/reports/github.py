"""Workflow commands that GitHub Actions turns into annotations on the changed lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perflint.model.diagnostics import Finding, Severity
from perflint.model.outcome import Outcome
from perflint.reports.concise import position
from perflint.reports.style import Style, escape

_COMMANDS = {Severity.INFO: "notice", Severity.WARNING: "warning", Severity.ERROR: "error"}


def report(outcomes: Iterable[Outcome], _style: Style) -> Iterator[str]:
    for outcome in outcomes:
        for finding in outcome.active:
            yield _command(outcome, finding)


def _command(outcome: Outcome, finding: Finding) -> str:
    line, column = position(outcome, finding.span.start)
    end_line, end_column = position(outcome, finding.span.end)
    properties: dict[str, object] = {"file": outcome.path, "line": line, "endLine": end_line}
    if line == end_line:  # GitHub takes columns within one line only
        properties |= {"col": column, "endColumn": end_column}
    properties["title"] = f"{finding.code} {finding.name}"
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    payoff = f" ({finding.payoff})" if finding.payoff else ""
    return f"::{_COMMANDS[finding.severity]} {listed}::{_data(finding.message + payoff)}\n"


def _data(text: str) -> str:
    return escape(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
