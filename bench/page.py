"""Figures of a run in a page of the documentation."""

from __future__ import annotations

from pathlib import Path


def write(page: Path, begin: str, end: str, figures: str) -> None:
    """Replace what stands between two marks."""
    head, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{head}{begin}\n{figures}\n{end}{rest.split(end)[1]}", encoding="utf-8")
