"""Finds the files to check.

Folders are searched for `.py`, `.pyi` and `.pyw` files, without what `.gitignore` files and
`exclude` rule out and without the folders in DEFAULT_EXCLUDES; `exclude = ["!build"]` takes one
of those back. A file or folder that is named is looked at whatever `.gitignore` says, since it
was asked for, but `exclude` holds for it too: pre-commit names every file it knows. A named file
with another suffix, or none, counts if its first line calls a Python.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, overload

from perflint.model.config import ConfigError

if TYPE_CHECKING:  # it is loaded where something is excluded or ignored
    from pathspec import GitIgnoreSpec

SUFFIXES = (".py", ".pyi", ".pyw")

# Names of folders that hold no code of the project itself.
DEFAULT_EXCLUDES = frozenset(
    {
        ".bzr",
        ".direnv",
        ".eggs",
        ".git",
        ".hg",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".perflint_cache",
        ".pyenv",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        ".vscode",
        "__pycache__",
        "__pypackages__",
        "_build",
        "build",
        "dist",
        "node_modules",
        "venv",
    }
)

_SHEBANG = re.compile(rb"#!.*\bpython")


class Found(NamedTuple):
    """The names of the files, sorted and each once; what could not be searched with the reason; what else was looked at."""

    files: tuple[str, ...]
    problems: tuple[tuple[Path, str], ...]
    looked: tuple[str, ...] = ()  # while these and the files are as they were, the same is found


def find(names: Iterable[str], root: Path, exclude: Sequence[str] = ()) -> Found:
    """The Python files at and below these files and folders; `exclude` is relative to `root`.

    Names are text here: pre-commit gives thousands, and making as many Path objects takes as long as all else does.
    Raise ConfigError where one does not exist.
    """
    search = _Search(root, exclude)
    for name in names:
        search.named(_tidy(name))
    search.links()
    return Found(tuple(sorted(search.files.values())), tuple(sorted(search.problems)), tuple(search.looked))


class Paths(Sequence[Path]):
    """The paths of these names, each made when it is asked for: of a large tree they would take most of the memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Paths: ...
    def __getitem__(self, index: int | slice) -> Path | Paths:
        return Path(self._names[index]) if isinstance(index, int) else Paths(self._names[index])

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self._names)


def excluded(path: Path, root: Path, exclude: Sequence[str]) -> bool:
    """Whether `exclude` rules out this file or one of the folders it is in."""
    return bool(exclude) and _spec(exclude).match_file(_relative(path, root))


def _spec(patterns: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(patterns)


class _Rules(NamedTuple):
    """The patterns of one .gitignore, and the folder they are relative to (its real path and a slash)."""

    base: str
    spec: GitIgnoreSpec


class _Folder(NamedTuple):
    """A folder to search: as the user calls it, where it really is and from the root, and what is ignored in it."""

    shown: str
    real: str
    prefix: str  # of the names in it, relative to the root
    ignores: tuple[_Rules, ...]

    def below(self, name: str) -> _Folder:
        prefix = f"{self.prefix}{name}/"
        return _Folder(_join(self.shown, name), f"{self.real}/{name}", prefix, self.ignores)


class _Search:
    def __init__(self, root: Path, exclude: Sequence[str]) -> None:
        self.root = root
        self.exclude = _spec(exclude) if exclude else None
        self.files: dict[str, str] = {}  # by real path
        self.problems: list[tuple[Path, str]] = []
        self.looked: list[str] = []
        self._seen: set[str] = set()  # real paths of folders
        self._links: deque[Path] = deque()
        self._real_folders: dict[str, str] = {}  # of named files

    def named(self, name: str) -> None:
        """Add a file, or search a folder, that the user named."""
        try:
            mode = os.lstat(name).st_mode
            is_link = stat.S_ISLNK(mode)
            mode = os.stat(name).st_mode if is_link else mode  # noqa: PTH116
        except (OSError, ValueError) as error:
            raise ConfigError(f"{name or '(an empty name)'}: {_reason(error)}") from None
        self.looked.append(name)
        is_folder = stat.S_ISDIR(mode)
        if self.exclude and self.exclude.match_file(_relative(name, self.root) + "/" * is_folder):
            return
        if is_folder:
            self.folder(Path(name))
        elif name.endswith(SUFFIXES) or (stat.S_ISREG(mode) and _is_script(name)):
            self.files.setdefault(_real(name) if is_link else self._beside(name), name)

    def _beside(self, name: str) -> str:
        """Where a file that is no link really is; its folder is looked at once."""
        folder, tail = os.path.split(name)
        if folder not in self._real_folders:
            self._real_folders[folder] = _real(folder or os.curdir)
        return f"{self._real_folders[folder]}/{tail}"

    def links(self) -> None:
        """Search behind symbolic links, after all else so that a file goes by its real name if it can."""
        while self._links:
            path = self._links.popleft()
            self.looked.append(str(path))
            if path.is_dir():
                self.folder(path)
            elif path.is_file() and path.suffix in SUFFIXES:
                self.files.setdefault(_real(path), str(path))

    def folder(self, top: Path) -> None:
        real = _real(top)
        relative = _relative(top, self.root)
        prefix = "" if relative == "." else relative + "/"
        shown = "" if top == Path() else str(top)
        self.looked += (f"{place}/{name}" for place in Path(real).parents for name in (".git", ".gitignore"))
        stack = [_Folder(shown, real, prefix, _ignores_above(Path(real)))]
        while stack:
            folder = stack.pop()
            if folder.real not in self._seen:
                self._seen.add(folder.real)
                stack += self._entries(folder)

    def _entries(self, folder: _Folder) -> Iterator[_Folder]:
        """Take in the folder's files; what remains to search are the folders in it."""
        try:
            with os.scandir(folder.shown or os.curdir) as listing:
                entries = sorted(listing, key=attrgetter("name"))
        except OSError as error:
            self.problems.append((Path(folder.shown), _reason(error)))
            return
        self.looked.append(folder.shown or os.curdir)
        if ".gitignore" in [entry.name for entry in entries]:
            self.looked.append(f"{folder.real}/.gitignore")
            folder = folder._replace(ignores=(*folder.ignores, *_read_ignore(Path(folder.real))))
        inside, real = _join(folder.shown, ""), f"{folder.real}/"
        for entry in entries:
            name, is_folder, is_link = entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()
            candidate = is_folder or is_link or name.endswith(SUFFIXES)
            if not candidate or self._unwanted(name, is_folder, folder):
                continue
            if is_link:
                self._links.append(Path(folder.shown, name))
            elif is_folder:
                yield folder.below(name)
            elif entry.is_file():
                self.files.setdefault(real + name, inside + name)

    def _unwanted(self, name: str, is_folder: bool, folder: _Folder) -> bool:
        if not (self.exclude or folder.ignores):
            return name in DEFAULT_EXCLUDES
        tail = name + "/" * is_folder
        asked = self.exclude.check_file(folder.prefix + tail).include if self.exclude else None
        if asked is not None:
            return asked
        return name in DEFAULT_EXCLUDES or _ignored(f"{folder.real}/{tail}", folder.ignores)


_join = os.path.join  # a Path takes ten times as long, for each of hundreds of folders


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _tidy(name: str) -> str:
    """The name as a Path spells it."""
    is_plain = os.sep == "/" and not ("//" in name or "./" in name or name.endswith(("/", ".")))
    return name if is_plain else str(Path(name))


def _real(path: Path | str) -> str:
    """Where the path really is, with slashes; a loop of links ends where it is noticed."""
    return os.path.realpath(path).replace(os.sep, "/")


def _relative(path: Path | str, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _ignored(path: str, ignores: Sequence[_Rules]) -> bool:
    """Whether the deepest .gitignore that speaks of the path (a folder ends in a slash) ignores it."""
    for base, spec in reversed(ignores):
        verdict = spec.check_file(path[len(base) :]).include
        if verdict is not None:
            return verdict
    return False


def _ignores_above(folder: Path) -> tuple[_Rules, ...]:
    """The .gitignore files from the repository's root down to the parent of `folder`.

    None outside of a repository, and none where they ignore the folder itself: then the user
    asked for it by name.
    """
    places = [folder, *folder.parents]
    root = next((index for index, place in enumerate(places) if (place / ".git").exists()), 0)
    above = tuple(rules for place in reversed(places[1 : root + 1]) for rules in _read_ignore(place))
    return () if _ignored(f"{folder.as_posix()}/", above) else above


def _read_ignore(folder: Path) -> list[_Rules]:
    try:
        lines = (folder / ".gitignore").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    return [_Rules(f"{folder.as_posix().rstrip('/')}/", _spec(filter(_is_valid, lines)))]


def _is_valid(line: str) -> bool:
    """Whether this is a pattern; git passes over what is none, too."""
    try:
        _spec([line])
    except ValueError:
        return False
    return True


def _is_script(name: str) -> bool:
    try:
        with open(name, "rb") as file:  # noqa: PTH123
            return bool(_SHEBANG.match(file.readline(256)))
    except OSError:
        return False
