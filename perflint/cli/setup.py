"""From options to a configuration and the files to work on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perflint.analysis.distributions import version
from perflint.cli.terminal import warn
from perflint.model.config import Config, ConfigError
from perflint.model.outcome import Outcome
from perflint.project import files, settings

if TYPE_CHECKING:
    from perflint.project.cache import Cache
    from perflint.project.installed import Installed
    from perflint.project.jobs import Check
    from perflint.project.shards import Shard

STDIN = "-"


class Work(NamedTuple):
    """What to look at, and how: files, or one text from standard input."""

    config: Config
    root: Path
    paths: tuple[str, ...] = ()
    problems: tuple[Outcome, ...] = ()
    stdin: Path | None = None  # what the text is called
    cache: Cache | None = None
    installed: Installed | None = None  # where the cache is used
    looked: tuple[str, ...] = ()  # what may change this, but for the files and what is installed

    @property
    def check(self) -> Check:
        # With the engine, which a run that finds all in the cache does without.
        from perflint.project.jobs import Check

        return Check(self.config, self.root)

    @property
    def passed_over(self) -> bool:
        """Whether the configuration excludes the text on standard input."""
        return self.stdin is not None and files.excluded(self.stdin, self.root, self.config.exclude)


def work(
    paths: Sequence[str],
    config_file: Path | None,
    stdin_filename: str | None,
    shard: str | None = None,
    use_cache: bool = False,
    **overrides: object,
) -> Work:
    """Find out what to do. Raise ConfigError for wrong usage and settings."""
    part = _part(shard)
    if STDIN in paths and len(paths) > 1:
        raise ConfigError("- (standard input) stands alone; leave out the other paths")
    if stdin_filename and STDIN not in paths:
        raise ConfigError("--stdin-filename names what is read from standard input; add -")
    if STDIN in paths and shard is not None:
        raise ConfigError("--shard parts files, - (standard input) is one text: leave one out")
    stdin = Path(stdin_filename or "stdin") if STDIN in paths else None
    starts = [str(stdin)] if stdin else paths or [os.curdir]
    given = {key.replace("_", "-"): value for key, value in overrides.items() if value not in (None, ())}
    start = settings.common_folder(starts)
    place = settings.locate(start, config_file)
    root = place.root.resolve()
    if use_cache and not stdin:
        config, cache, here = _cached(place, root, given)
    else:
        _refuse_namesake()
        config, cache, here = settings.read(place, given), None, None
    if stdin:
        return Work(config, root, stdin=stdin)
    found = files.find(starts, root, config.exclude)
    if not found.files and not found.problems:
        warn("no Python files under these paths; nothing to do")
    if part:
        found = files.Found(
            tuple(name for name in found.files if part.holds(Path(name), root)),
            tuple(problem for problem in found.problems if part.holds(problem[0], root)),
            found.looked,
        )
    looked = (*found.looked, *settings.looked_at(start, place)) if cache else ()
    return Work(config, root, found.files, _problems(found), None, cache, here, looked)


def _part(shard: str | None) -> Shard | None:
    if shard is None:
        return None
    from perflint.project import shards

    return shards.parse(shard)


def _problems(found: files.Found) -> tuple[Outcome, ...]:
    if not found.problems:
        return ()
    from perflint.project.jobs import problem

    return tuple(problem(path, f"cannot be searched: {reason}") for path, reason in found.problems)


def _cached(
    place: settings.Place, root: Path, given: dict[str, object]
) -> tuple[Config, Cache | None, Installed | None]:
    """The configuration, the cache of what was found under it, and what is installed: the cache knows, too."""
    from perflint.project import stamps
    from perflint.project.cache import Cache

    cache = Cache(settings.cache_folder(place), warn)
    try:
        here = cache.installed(stamps.installed, _look)
    except OSError as error:  # perflint in an archive, for one
        warn(f"cannot tell what is installed ({error}); going on without the cache")
        _refuse_namesake()
        return settings.read(place, given), None, None
    config = settings.read(place, given, lambda: here.words)
    cache.use(config, root, here.code)
    return config, cache, here


def _look() -> Installed:
    from perflint.project import installed

    _refuse_namesake()
    return installed.look()


def read_stdin() -> bytes:
    return sys.stdin.buffer.read()


def _refuse_namesake() -> None:
    """Stop beside the other project of our name: both install a package `perflint`, mixed up in one folder."""
    if version("perflint") is not None:
        raise ConfigError(
            "another project's `perflint` (a pylint plugin) is installed here and overwrites this one; "
            "run `pip uninstall perflint` and reinstall perflint-cst, or keep them in separate environments"
        )
