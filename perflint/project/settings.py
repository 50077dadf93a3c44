"""Reads `[tool.perflint]` of pyproject.toml, or perflint.toml, and lays the command line over it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perflint.model.config import Config, ConfigError, Target, parse_target
from perflint.model.diagnostics import Severity
from perflint.project.nearest import nearest_name
from perflint.project.ruff import without_twins

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_NAMES = ("perflint.toml", "pyproject.toml", ".ruff.toml", "ruff.toml", ".git")
OLDEST = (3, 0)  # what `requires-python` says of Python 2 is none of our concern


class Place(NamedTuple):
    """Where settings come from: their file, if there is one, and the folder that patterns are relative to."""

    file: Path | None
    root: Path

    def label(self, key: str) -> str:
        """What an error calls a key of the file."""
        if self.file is None:
            return key
        return f"{_shown(self.file)}: {'' if _is_ours(self.file) else '[tool.perflint] '}{key}"


def locate(start: Path, config_file: Path | None = None) -> Place:
    """The place for `start` (a file or folder): `config_file` if given, else the nearest perflint.toml, or
    pyproject.toml with a `[tool.perflint]`, at or above `start`. Raise ConfigError where one cannot be read."""
    file = config_file or _nearest(start)
    return Place(file, file.absolute().parent if file else _folder(start))


def looked_at(start: Path, place: Place) -> list[str]:
    """Every file that may change what `locate`, `read` and `cache_folder` say of the place for `start`, there or not."""
    folders = dict.fromkeys((_folder(start), *_folder(start).parents, place.root, *place.root.parents))
    return [f"{folder}{os.sep}{name}" for folder in folders for name in _NAMES] + [str(place.file)] * bool(
        place.file
    )


def load(
    start: Path, config_file: Path | None = None, overrides: Mapping[str, object] | None = None
) -> tuple[Config, Path]:
    """The configuration for `start`, and the folder its patterns are relative to.

    `overrides` holds the command line's values under the same keys. Raise ConfigError where a
    file or a value is wrong.
    """
    place = locate(start, config_file)
    return read(place, overrides), place.root.resolve()


def read(
    place: Place,
    overrides: Mapping[str, object] | None = None,
    words: Callable[[], Iterable[str]] | None = None,
) -> Config:
    """The configuration of a place, as `load`; `words` gives what may be selected, all rules by default."""
    config = Config()
    words = words or _selectors
    if place.file:
        config = _merge(config, _table(place.file), place.label, words)
    config = _merge(config, overrides or {}, lambda key: f"--{key}", words)
    if config.target == Target():
        config = config._replace(target=_required_python(place.root))
    return without_twins(config, _ruff(place.root))


def cache_folder(place: Place) -> Path:
    """Where the cache is: PERFLINT_CACHE_DIR, or `cache-dir`, or in the project's root folder.

    Without settings that is the nearest folder above that holds a .git or a pyproject.toml, so that
    checking single files leaves no folders beside them; or else where the user stands.
    """
    if told := os.environ.get("PERFLINT_CACHE_DIR"):
        return Path(told).expanduser().absolute()
    if place.file:
        named = _table(place.file).get("cache-dir", Config().cache_dir)
        return place.root / Path(_folder_name(place.label("cache-dir"), named)).expanduser()
    marks = (".git", "pyproject.toml")
    above = (place.root, *place.root.parents)
    near = (folder for folder in above if any((folder / mark).exists() for mark in marks))
    return next(near, Path.cwd()) / Config().cache_dir


def common_folder(names: Iterable[str]) -> Path:
    """The deepest folder that holds all of these files and folders: where the search for settings starts."""
    here = os.getcwd()  # noqa: PTH109  # thousands of names
    try:
        return _folder(Path(os.path.commonpath([os.path.join(here, name) for name in names])))  # noqa: PTH118
    except ValueError:  # none, or on different drives
        return Path.cwd()


def for_file(config: Config, root: Path, path: Path) -> Config:
    """`config` with the codes that `per-file-ignores` names for this file ignored."""
    if not config.per_file_ignores:
        return config
    name = os.path.relpath(path.absolute(), root)
    codes = tuple(
        code
        for pattern, codes in config.per_file_ignores
        if _spec(pattern).match_file(name)
        for code in codes
    )
    return _ignoring(config, codes) if codes else config


@cache
def _spec(pattern: str) -> GitIgnoreSpec:
    """Raise ValueError for what is no pattern of .gitignore."""
    from pathspec import GitIgnoreSpec  # not wanted where nothing is excluded

    return GitIgnoreSpec.from_lines([pattern])


@cache
def _ignoring(config: Config, codes: tuple[str, ...]) -> Config:
    return config._replace(ignore=(*config.ignore, *codes))


# Where the settings are.


def _folder(start: Path) -> Path:
    start = start.absolute()
    return start if start.is_dir() else start.parent


def _nearest(start: Path) -> Path | None:
    folder = _folder(start)
    for place in (folder, *folder.parents):
        if (place / "perflint.toml").is_file():
            return place / "perflint.toml"
        pyproject = place / "pyproject.toml"
        if pyproject.is_file() and "perflint" in _tool(pyproject):
            return pyproject
    return None


def _required_python(folder: Path) -> Target:
    """What `requires-python` of the nearest project at or above `folder` asks for."""
    for place in (folder, *folder.parents):
        pyproject = place / "pyproject.toml"
        project = _toml(pyproject).get("project") if pyproject.is_file() else None
        if not isinstance(project, dict):
            continue
        if not isinstance(text := project.get("requires-python"), str):
            break
        try:
            return _clipped(parse_target(text))
        except ConfigError:
            raise ConfigError(
                f"{_shown(pyproject)}: requires-python {text!r} names no version that perflint knows; "
                "set target-version in [tool.perflint]"
            ) from None
    return Target()


def _ruff(folder: Path) -> Mapping[str, Any]:
    """ruff's settings for the folder: those of the nearest file at or above it that has some."""
    for place in (folder, *folder.parents):
        for name in (".ruff.toml", "ruff.toml"):
            if (place / name).is_file():
                with suppress(ConfigError):  # ruff says what is wrong with its own file
                    return _toml(place / name)
        pyproject = place / "pyproject.toml"
        table = _tool(pyproject).get("ruff") if pyproject.is_file() else None
        if isinstance(table, dict):
            return table
    return {}


def _clipped(target: Target) -> Target:
    return Target(max(target.low, OLDEST), max(target.high, OLDEST))


def _table(file: Path) -> dict[str, Any]:
    if _is_ours(file):
        return _toml(file)
    table = _tool(file).get("perflint", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{_shown(file)}: tool.perflint must be a table; write [tool.perflint]")
    return table


def _is_ours(file: Path) -> bool:
    """Whether the whole file is perflint's; any name but pyproject.toml is."""
    return file.name != "pyproject.toml"


def _tool(pyproject: Path) -> dict[str, Any]:
    tool = _toml(pyproject).get("tool", {})
    return tool if isinstance(tool, dict) else {}


def _toml(file: Path) -> dict[str, Any]:
    try:
        return _parsed(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{_shown(file)}: {error.strerror}") from None
    except ValueError as error:  # tomllib's error, and bytes that are no UTF-8
        raise ConfigError(f"{_shown(file)}: not valid TOML: {error}") from None


@cache
def _parsed(text: str) -> dict[str, Any]:
    """One file is asked about many things; nobody changes what it says."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _shown(file: Path) -> str:
    """The file's path, relative to where the user stands if it is below."""
    try:
        return str(file.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(file)


# What the settings mean. A reader turns a TOML value into a Config value or raises ConfigError.

Reader = Callable[[str, object], object]


def _merge(
    config: Config,
    values: Mapping[str, object],
    label: Callable[[str], str],
    words: Callable[[], Iterable[str]],
) -> Config:
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in KEYS:
            raise ConfigError(f"{label(key)} is no setting{nearest_name(key, KEYS)}")
        field, read = KEYS[key]
        changes[field] = read(label(key), value)
        if read is _codes:
            changes[field] = _known(label(key), changes[field], words())
        elif read is _codes_by_pattern:
            changes[field] = tuple(
                (pattern, _known(f"{label(key)} {pattern!r}", codes, words()))
                for pattern, codes in changes[field]
            )
    if "runtime_module" in changes:  # who names a module wants fixes that import from it
        changes.setdefault("runtime_fixes", True)
    return config._replace(**changes)


def _strings(label: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{label} must be a list of strings")
    return tuple(value)


def _codes(label: str, value: object) -> tuple[str, ...]:
    return _strings(label, value)


def _selectors() -> Iterable[str]:
    from perflint.analysis.registry import selectors

    return selectors()


def _known(label: str, codes: tuple[str, ...], words: Iterable[str]) -> tuple[str, ...]:
    """The codes as rules spell them."""
    known = {name.lower(): name for name in words}
    for code in codes:
        if code.strip().lower() not in known:
            raise ConfigError(f"{label}: no rule is called {code!r}{nearest_name(code, known.values())}")
    return tuple(known[code.strip().lower()] for code in codes)


def _patterns(label: str, value: object) -> tuple[str, ...]:
    patterns = _strings(label, value)
    for pattern in patterns:
        try:
            _spec(pattern)
        except ValueError:
            raise ConfigError(f"{label}: {pattern!r} is no pattern of .gitignore") from None
    return patterns


def _codes_by_pattern(label: str, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ConfigError(f'{label} must be a table such as {{ "tests/*" = ["PRF101"] }}')
    patterns = _patterns(label, tuple(value))
    return tuple((pattern, _strings(f"{label} {pattern!r}", value[pattern])) for pattern in patterns)


def _boolean(label: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{label} must be true or false")
    return value


def _folder_name(label: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ConfigError(f'{label} must be the name of a folder, such as "build/perflint", not {value!r}')
    return value


def _count(label: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{label} must be a whole number of at least 1, not {value!r}")
    return value


def _module(label: str, value: object) -> str:
    if isinstance(value, str) and all(map(is_importable, value.split("."))):
        return value
    raise ConfigError(f'{label} must be the dotted name of a module, such as "app.perf", not {value!r}')


def is_importable(name: str) -> bool:
    """Whether an import statement can name it."""
    return name.isidentifier() and not iskeyword(name)


def _severity(label: str, value: object) -> Severity:
    names = {severity.label: severity for severity in Severity}
    if not isinstance(value, str) or value.lower() not in names:
        near = nearest_name(value, names) if isinstance(value, str) else ""
        raise ConfigError(f"{label} must be one of {', '.join(names)}, not {value!r}{near}")
    return names[value.lower()]


def _version(label: str, value: object) -> Target:
    if not isinstance(value, str):
        raise ConfigError(f'{label} must be a string such as "3.11" or ">=3.10"')
    try:
        return _clipped(parse_target(value))
    except ConfigError as error:
        raise ConfigError(f"{label}: {str(error).removeprefix('target-version ')}") from None


class _Key(NamedTuple):
    field: str
    read: Reader


_READERS: dict[str, Reader] = {
    "select": _codes,
    "extend-select": _codes,
    "ignore": _codes,
    "per-file-ignores": _codes_by_pattern,
    "exclude": _patterns,
    "target-version": _version,
    "min-severity": _severity,
    "fail-level": _severity,
    "portable": _boolean,
    "strict-types": _boolean,
    "costly-objects": _strings,
    "runtime-module": _module,
    "runtime-fixes": _boolean,
    "default-limit": _count,
    "default-queue-size": _count,
    "small-limit": _count,
    "db-receiver-heuristic": _boolean,
    "close-on-exception": _boolean,
    "min-calls": _count,
    "http-clients": _strings,
    "default-timeout": _count,
    "debug-any-host": _boolean,
    "pedantic": _boolean,
    "cache-dir": _folder_name,
}
KEYS = {
    key: _Key("target" if key == "target-version" else key.replace("-", "_"), read)
    for key, read in _READERS.items()
}
