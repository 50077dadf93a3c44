"""Findings as text, one file and one function for each format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

from perflint.model.outcome import Outcome
from perflint.reports.style import PLAIN, Style

__all__ = ["FORMATS", "PLAIN", "Report", "Style"]

# A report is written piece by piece, as the outcomes come in.
Report = Callable[[Iterable[Outcome], Style], Iterator[str]]


def _format(name: str) -> Report:
    """Loaded when it is used: a run over unchanged files takes no longer than imports do."""

    def report(outcomes: Iterable[Outcome], style: Style) -> Iterator[str]:
        yield from import_module(f"perflint.reports.{name}").report(outcomes, style)

    return report


FORMATS = {name: _format(name) for name in ("text", "concise", "json", "github")}
