"""Fixing one file, as a job. Disk errors become findings; nothing is raised."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from perflint.analysis import engine
from perflint.fixing import fixer
from perflint.model.diagnostics import Applicability, Finding
from perflint.model.outcome import Outcome
from perflint.model.source import Source, SourceError
from perflint.project.jobs import Check, crashed, problem, unreadable
from perflint.project.writing import WriteError, replace


class Fixed(NamedTuple):
    """What came of fixing one file; `before` and `after` are None where nothing changed."""

    outcome: Outcome  # what remains, in terms of the fixed text
    applied: tuple[Finding, ...] = ()
    before: bytes | None = None
    after: bytes | None = None
    error: str = ""  # why the file could not be written, in one line


class Fix(NamedTuple):
    """Fix a file, and write it unless `write` is false."""

    check: Check
    allow: Applicability
    write: bool = True

    def prepare(self) -> None:
        self.check.prepare()

    def __call__(self, path: Path) -> Fixed:
        try:
            raw = path.read_bytes()
        except OSError as error:
            return Fixed(unreadable(path, error))
        fixed = self.text(path, raw)
        if self.write and fixed.before is not None and fixed.after is not None:
            try:
                replace(path, fixed.before, fixed.after)
            except WriteError as error:
                return Fixed(self.check.text(path, raw), error=str(error))
        return fixed

    def text(self, path: Path, raw: bytes) -> Fixed:
        """Fix `raw` as the content of `path`; nothing is written."""
        try:
            source = Source(str(path), raw)
        except SourceError as error:
            return Fixed(problem(path, str(error)))
        config = self.check.config_for(path)
        try:
            result = fixer.fix(source, partial(engine.check, config=config), self.allow)
        except Exception as error:
            return Fixed(crashed(path, error))
        after = result.source.raw(result.source.data) if result.applied else raw
        left = (*result.defects, *result.remaining)
        outcome = Outcome(str(path), left, raw=after if left else None)
        if after == raw:
            return Fixed(outcome)
        return Fixed(outcome, result.applied, raw, after)

    def lost(self, path: Path) -> Fixed:
        return Fixed(self.check.lost(path))
