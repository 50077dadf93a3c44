"""Checking one file, as a job. Disk errors become findings; nothing is raised.

A job is a plain value that worker processes receive once and call with each path.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perflint.analysis import engine, registry
from perflint.model.config import Config
from perflint.model.outcome import Outcome
from perflint.model.source import Source, SourceError
from perflint.project import settings

if TYPE_CHECKING:
    from perflint.project.cache import State


class Check(NamedTuple):
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


class Recorded(NamedTuple):
    """Check a file, and say of which state of it the outcome speaks, for the cache."""

    check: Check

    def prepare(self) -> None:
        self.check.prepare()

    def __call__(self, path: Path) -> tuple[Outcome, State | None]:
        from perflint.project.cache import read  # with SQLite, which a run without the cache does not load

        try:
            raw, state = read(path)
        except OSError as error:
            return unreadable(path, error), None
        return self.check.text(path, raw), state

    def lost(self, path: Path) -> tuple[Outcome, State | None]:
        return self.check.lost(path), None


def inspect(path: str, raw: bytes, config: Config) -> Outcome:
    """Check `raw` as the content of `path`. Touches no disk: a cluster's workers have none of the files."""
    try:
        source = Source(path, raw)
    except SourceError as error:
        return problem(path, str(error))._replace(raw=raw)  # it follows from the content
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
