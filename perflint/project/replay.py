"""Plays again what a run of `perflint check` printed, where all that it depends on is as it was then.

Hooks, editors and people run the same command over files of which none has changed. Such a run is answered from one file in
the cache's folder: it reads no settings, opens no database, and loads none of the modules for these, which would take most
of its time (`typing` and `pathlib` alone take as long as Python's start). So nothing is imported here that takes long.

A kept run names all that was looked at: the files, the folders searched, every place where settings may stand. It holds while
their sizes, times and inodes are the same, and what is installed is. So a file that came with the sources, from somebody who
does not know these, never holds. What is wrong with a file is never an error.
"""

from __future__ import annotations

import os
import sys
import time
from zlib import crc32

from perflint.project import stamps
from perflint.project.stamps import MARGIN, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FOLDER = ".perflint_cache"
PREFIX, FORMAT = "run-", b"perflint run 1"
KEPT = 16  # runs
TEXT, NAMES = 2_000_000, 16_000_000  # bytes of what a run printed, and of names, beyond which it is not kept
DAY = 86_400  # seconds that a run is kept: a real one now and then keeps the cache's own entries in use
TOOK = "\0"  # stands for the time that the run took; no report holds it
_LOOKS = ("NO_COLOR", "FORCE_COLOR", "TERM")  # variables of the environment that the text depends on
_GIT = b"/.git"


def folder() -> str | None:
    """Where runs are kept: PERFLINT_CACHE_DIR, or the nearest FOLDER at or above the current folder.

    None on Windows, where a file's times do not tell that another one took its place.
    """
    if os.name == "nt":
        return None
    if told := os.environ.get("PERFLINT_CACHE_DIR"):
        return os.path.abspath(os.path.expanduser(told))  # noqa: PTH100, PTH111
    here, above = "", os.getcwd()  # noqa: PTH109
    while here != above:
        here, above = above, os.path.dirname(above)  # noqa: PTH120
        place = os.path.join(here, FOLDER)  # noqa: PTH118
        if os.path.isdir(place):  # noqa: PTH112
            return place
    return None


def answer(arguments: Sequence[str]) -> int | None:
    """Print what this command printed before, and return its exit code; None where something may be new."""
    began = time.monotonic()
    place = folder() if arguments[:1] == ["check"] else None
    if place is None:
        return None
    command = _command(arguments)
    try:
        with open(_file(place, command), "rb") as file:  # noqa: PTH123
            if os.fstat(file.fileno()).st_mtime < time.time() - DAY:
                return None
            known, code, packages, state, names, states, text = _unpacked(file.read())
    except (OSError, ValueError):
        return None
    if known != command or states != _states(names)[0]:
        return None
    try:
        if state != stamps.installed(filter(None, os.fsdecode(packages).split("\0"))):
            return None
    except OSError:
        return None
    sys.stdout.write(text.decode("utf-8", "surrogatepass").replace(TOOK, seconds(began)))
    return int(code)


def seconds(began: float) -> str:
    """How long a run has taken that began then, by the monotonic clock."""
    return f"{time.monotonic() - began:.1f} s"


class Recording:
    """What a run prints, to be kept."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._began = time.time_ns()
        self._pieces: list[str] = []
        self._size = 0

    def through(self, pieces: Iterable[str]) -> Iterator[str]:
        for piece in pieces:
            self.add(piece)
            yield piece

    def add(self, piece: str) -> None:
        self._size += len(piece)
        self._pieces.append(piece)
        if self._size > TEXT:
            self._pieces.clear()

    def keep(
        self, place: str, code: int, packages: Iterable[str], state: bytes, names: Iterable[str]
    ) -> None:
        """Keep the run in the cache's folder, if one would look there.

        `state` is what `stamps.installed` said of `packages` when the run began, `names` are the files and folders that it
        looked at. Where one of them changed since, or just before, nothing is kept.
        """
        looked = b"\0".join(map(os.fsencode, dict.fromkeys(names)))
        if self._size > TEXT or len(looked) > NAMES or os.path.abspath(place) != folder():  # noqa: PTH100
            return
        states, latest = _states(looked)
        if latest > self._began - MARGIN:
            return
        text = "".join(self._pieces).encode("utf-8", "surrogatepass")
        command = _command(self._arguments)
        parts = command, b"%d" % code, os.fsencode("\0".join(packages)), state, looked, states, text
        try:
            _write(_file(place, command), _packed(parts))
            _clean(place)
        except OSError:
            pass  # the cache has told, or will


def _command(arguments: Sequence[str]) -> bytes:
    """What makes this the same command, but on Windows: words, place, who runs it, and how text looks here."""
    looks = (os.environ.get(name, "") for name in _LOOKS)
    here = os.getcwd(), os.uname().nodename, str(os.getuid()), str(sys.stdout.isatty())  # noqa: PTH109
    return os.fsencode("\0".join((*arguments, *here, *looks)))


def _file(place: str, command: bytes) -> str:
    return os.path.join(place, f"{PREFIX}{crc32(command):08x}")  # noqa: PTH118


def _states(names: bytes) -> tuple[bytes, int]:
    """The states of files and folders, and the latest time among them; of a `.git` it counts that it is there."""
    lines = []
    latest = 0
    for name in names.split(b"\0"):
        try:
            status = os.stat(name)  # noqa: PTH116
        except OSError:
            lines.append("-")
            continue
        if name.endswith(_GIT):
            lines.append("+")
            continue
        state = _, written, _, changed = times(status)
        latest = max(latest, written, changed)
        lines.append("%d %d %d %d" % state)  # noqa: UP031  # thousands of times
    return "\n".join(lines).encode(), latest


# The file of a run: one line with a checksum and the lengths of the parts, then the parts.


def _packed(parts: Iterable[bytes]) -> bytes:
    parts = tuple(parts)
    body = b"".join(parts)
    return b" ".join((FORMAT, *(b"%d" % number for number in (crc32(body), *map(len, parts))))) + b"\n" + body


def _unpacked(raw: bytes) -> Iterator[bytes]:
    """The parts. Raise ValueError where this is not what was written."""
    head, _, body = raw.partition(b"\n")
    if not head.startswith(FORMAT):
        raise ValueError("of another version")
    total, *lengths = map(int, head[len(FORMAT) :].split())
    if total != crc32(body) or sum(lengths) != len(body):
        raise ValueError("damaged")
    end = 0
    for length in lengths:
        yield body[end : end + length]
        end += length


def _write(file: str, data: bytes) -> None:
    part = f"{file}.{os.getpid()}"  # a killed run's goes with the old ones
    try:
        with open(part, "wb") as stream:  # noqa: PTH123
            stream.write(data)
        os.replace(part, file)  # noqa: PTH105
    finally:
        if os.path.lexists(part):
            os.unlink(part)  # noqa: PTH108


def _clean(place: str) -> None:
    """Remove the oldest runs beyond KEPT."""
    with os.scandir(place) as listing:
        runs = sorted(
            (entry.stat().st_mtime_ns, entry.path) for entry in listing if entry.name.startswith(PREFIX)
        )
    for _, path in runs[:-KEPT]:
        os.unlink(path)  # noqa: PTH108
