"""The corpus that perflint's speed is measured on: `python bench/corpus.py FOLDER`.

Fetches the source archives that corpus.toml pins, checks their hashes and unpacks their `.py` files into
FOLDER/NAME-VERSION. Nothing of the archives is run. pip's own finder and session do the fetching, so its
configuration (index, proxy, certificates) holds. Archives stay in FOLDER/.archives; one that was put there by hand is not
fetched. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIST = Path(__file__).with_name("corpus.toml")
TESTS = {"test", "tests", "testing", "testsuite", "t", "integration_tests", "examples"}  # folders


class CorpusError(Exception):
    """One line that says what is wrong and what to do."""


class Project(NamedTuple):
    """One pinned source archive."""

    name: str
    version: str
    archive: str
    sha256: str
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return f"{self.name.replace('_', '-')}-{self.version}"

    def wants(self, path: PurePosixPath) -> bool:
        """Whether a file of the archive, named below its top folder, belongs to the corpus."""
        if path.suffix != ".py" or path.name.startswith("test_") or not TESTS.isdisjoint(path.parts[:-1]):
            return False
        if any(fnmatch(str(path), pattern) for pattern in self.exclude):
            return False
        return not self.only or any(fnmatch(str(path), pattern) for pattern in self.only)


class Pinned(NamedTuple):
    """What corpus.toml says."""

    projects: tuple[Project, ...]
    files: int
    bytes: int


def pinned(path: Path = LIST) -> Pinned:
    table = tomllib.loads(path.read_text("utf-8"))
    lists = ("only", "exclude")
    projects = (
        Project(**{key: tuple(value) if key in lists else value for key, value in entry.items()})
        for entry in table["project"]
    )
    return Pinned(tuple(projects), table["files"], table["bytes"])


def files(folders: list[Path]) -> list[Path]:
    """The Python files below the folders, archives and hidden folders left out."""
    found = (path for folder in folders for path in folder.rglob("*.py"))
    return sorted(path for path in found if path.is_file())


def fetch(project: Project, archives: Path) -> Path:
    """The project's archive, its hash checked; raise CorpusError where it cannot be had."""
    path = archives / project.archive
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as stream:
            for chunk in _download(project):
                stream.write(chunk)
        _verify(project, part)
        part.replace(path)
    _verify(project, path)
    return path


def _verify(project: Project, path: Path) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != project.sha256:
        raise CorpusError(f"{path}: not the file that corpus.toml pins; delete it and run this again")


def _download(project: Project) -> Iterator[bytes]:
    """The archive's bytes from where pip would take it."""
    finder, session = _pip()
    found = finder.find_all_candidates(project.name)
    link = next((item.link for item in found if item.link.filename == project.archive), None)
    if link is None:
        raise CorpusError(
            f"{project.archive} is not on pip's index; put the file into FOLDER/.archives by hand"
        )
    answer = session.get(link.url_without_fragment, stream=True, headers={"Accept-Encoding": "identity"})
    answer.raise_for_status()
    yield from answer.iter_content(1 << 18)


@cache
def _pip() -> tuple[Any, Any]:
    """pip's finder, for source archives only, and its session. `pip download` would run each project's build."""
    try:
        from pip._internal.commands import create_command

        command: Any = create_command("download")
        options, _ = command.parser.parse_args(["--no-deps", "--no-binary", ":all:", "any"])
        session = command._build_session(options)
        finder = command._build_package_finder(options, session, ignore_requires_python=True)
    except (ImportError, AttributeError, TypeError) as error:
        raise CorpusError(
            f"this Python's pip cannot be asked ({error}); put the archives into FOLDER/.archives by hand"
        ) from None
    return finder, session


def unpack(project: Project, archive: Path, folder: Path) -> None:
    """Write the wanted files into the folder, whole or not at all; links and other members are passed over."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as work:
        new = Path(work, "new")
        new.mkdir()
        with tarfile.open(archive) as members:
            for member in members:
                path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                stream = members.extractfile(member) if member.isreg() and project.wants(path) else None
                if stream is None:
                    continue
                target = (new / path).resolve()
                if not target.is_relative_to(new.resolve()):
                    raise CorpusError(f"{archive}: {member.name} points out of the archive")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stream.read())
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder: Path = parser.parse_args().folder
    expected = pinned()
    try:
        archives = folder / ".archives"
        archives.mkdir(parents=True, exist_ok=True)
        for project in expected.projects:
            if not (folder / project.folder).exists():
                unpack(project, fetch(project, archives), folder / project.folder)
            print(project.folder, flush=True)
        found = files([folder / project.folder for project in expected.projects])
        size = sum(path.stat().st_size for path in found)
    except (CorpusError, OSError) as error:  # what pip's session raises is an OSError, too
        print(f"bench/corpus.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if (len(found), size) != expected[1:]:
        message = f"{len(found)} files of {size} bytes instead of {expected.files} of {expected.bytes}"
        print(f"bench/corpus.py: {message}; delete the folders and run this again", file=sys.stderr)
        return 2
    print(f"{len(found)} files, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
