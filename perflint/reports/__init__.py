"""Findings as text, one file and one function for each format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from perflint.model.outcome import Outcome
from perflint.reports import concise, github, json, text
from perflint.reports.style import PLAIN, Style

__all__ = ["FORMATS", "PLAIN", "Report", "Style"]

# A report is written piece by piece, as the outcomes come in.
Report = Callable[[Iterable[Outcome], Style], Iterator[str]]

FORMATS: dict[str, Report] = {
    "text": text.report,
    "concise": concise.report,
    "json": json.report,
    "github": github.report,
}
