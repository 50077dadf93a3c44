"""What is done with one file: check it, or fix it. Disk errors become findings; nothing is raised.

A job is a plain value that worker processes receive once and call with each path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perflint.analysis import engine, registry
from perflint.fixing import fixer
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability, Finding
from perflint.model.outcome import Outcome
from perflint.model.source import Source, SourceError
from perflint.project import settings
from perflint.project.cache import State, read
from perflint.project.writing import WriteError, replace


@dataclass(frozen=True)
class Check:
    """Check a file; `root` is the folder that the configuration's patterns are relative to."""

    config: Config
    root: Path

    def prepare(self) -> None:
        engine.prepare(self.config)

    def __call__(self, path: Path) -> Outcome:
        try:
            raw = path.read_bytes()
        except OSError as error:
            return unreadable(path, error)
        return self.text(path, raw)

    def text(self, path: Path, raw: bytes) -> Outcome:
        """Check `raw` as the content of `path`."""
        return inspect(str(path), raw, self.config_for(path))

    def config_for(self, path: Path) -> Config:
        return settings.for_file(self.config, self.root, path)

    def lost(self, path: Path) -> Outcome:
        """For a file that ended its worker process twice."""
        message = "the worker process died on this file; it may need more memory than there is"
        return Outcome(str(path), (registry.own("PRF001", message),))


@dataclass(frozen=True)
class Recorded:
    """Check a file, and say of which state of it the outcome speaks, for the cache."""

    check: Check

    def prepare(self) -> None:
        self.check.prepare()

    def __call__(self, path: Path) -> tuple[Outcome, State | None]:
        try:
            raw, state = read(path)
        except OSError as error:
            return unreadable(path, error), None
        return self.check.text(path, raw), state

    def lost(self, path: Path) -> tuple[Outcome, State | None]:
        return self.check.lost(path), None


@dataclass(frozen=True)
class Fixed:
    """What came of fixing one file; `before` and `after` are None where nothing changed."""

    outcome: Outcome  # what remains, in terms of the fixed text
    applied: tuple[Finding, ...] = ()
    before: bytes | None = None
    after: bytes | None = None
    error: str = ""  # why the file could not be written, in one line


@dataclass(frozen=True)
class Fix:
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


def inspect(path: str, raw: bytes, config: Config) -> Outcome:
    """Check `raw` as the content of `path`. Touches no disk: a cluster's workers have none of the files."""
    try:
        source = Source(path, raw)
    except SourceError as error:
        return problem(path, str(error))
    try:
        active, suppressed = engine.inspect(source, config)
    except Exception as error:
        return crashed(path, error)
    return Outcome(path, active, suppressed, raw if active or suppressed else None)


def problem(path: Path | str, message: str) -> Outcome:
    """PRF000 for a file or folder that cannot be read."""
    return Outcome(str(path), (registry.own("PRF000", message),))


def unreadable(path: Path, error: OSError) -> Outcome:
    return problem(path, f"cannot be read: {(error.strerror or str(error)).lower()}")


def crashed(path: Path | str, error: Exception) -> Outcome:
    """PRF001 for an error that is ours; it must not end the run."""
    return Outcome(
        str(path), (registry.own("PRF001", f"perflint crashed here: {type(error).__name__}: {error}"),)
    )
