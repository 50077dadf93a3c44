"""From options to a configuration and the files to work on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from perflint.cli.terminal import warn
from perflint.model.config import Config, ConfigError
from perflint.model.outcome import Outcome
from perflint.project import files, jobs, settings, shards

STDIN = Path("-")


@dataclass(frozen=True)
class Work:
    """What to look at, and how: files, or one text from standard input."""

    config: Config
    root: Path
    paths: tuple[Path, ...] = ()
    problems: tuple[Outcome, ...] = ()
    stdin: Path | None = None  # what the text is called

    @cached_property
    def check(self) -> jobs.Check:
        return jobs.Check(self.config, self.root)

    @property
    def passed_over(self) -> bool:
        """Whether the configuration excludes the text on standard input."""
        return self.stdin is not None and files.excluded(self.stdin, self.root, self.config.exclude)


def work(
    paths: Sequence[Path],
    config_file: Path | None,
    stdin_filename: str | None,
    shard: str | None = None,
    **overrides: object,
) -> Work:
    """Find out what to do. Raise ConfigError for wrong usage and settings."""
    _refuse_namesake()
    part = shards.parse(shard) if shard is not None else shards.WHOLE
    if STDIN in paths and len(paths) > 1:
        raise ConfigError("- (standard input) stands alone; leave out the other paths")
    if stdin_filename and STDIN not in paths:
        raise ConfigError("--stdin-filename names what is read from standard input; add -")
    if STDIN in paths and shard is not None:
        raise ConfigError("--shard parts files, - (standard input) is one text: leave one out")
    stdin = Path(stdin_filename or "stdin") if STDIN in paths else None
    starts = [stdin] if stdin else paths or [Path()]
    given = {key.replace("_", "-"): value for key, value in overrides.items() if value not in (None, ())}
    config, root = settings.load(settings.common_folder(starts), config_file, given)
    if stdin:
        return Work(config, root, stdin=stdin)
    found = files.find(starts, root, config.exclude)
    if not found.files and not found.problems:
        warn("no Python files under these paths; nothing to do")
    problems = tuple(
        jobs.problem(path, f"cannot be searched: {reason}")
        for path, reason in found.problems
        if part.holds(path, root)
    )
    return Work(config, root, tuple(path for path in found.files if part.holds(path, root)), problems)


def read_stdin() -> bytes:
    return sys.stdin.buffer.read()


def _refuse_namesake() -> None:
    """Stop beside the other project of our name: both install a package `perflint`, mixed up in one folder."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("perflint")
    except PackageNotFoundError:
        return
    raise ConfigError(
        "another project's `perflint` (a pylint plugin) is installed here and overwrites this one; "
        "run `pip uninstall perflint` and reinstall perflint-cst, or keep them in separate environments"
    )
