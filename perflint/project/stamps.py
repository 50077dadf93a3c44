"""What tells that files and distributions are still as they were: sizes and times, read without opening anything.

Imports nothing that takes long: a run that is played again (`project.replay`) loads this and little else.
"""

from __future__ import annotations

import os
import sys
from operator import attrgetter

import perflint
from perflint.analysis.distributions import descriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A file written this recently may be written again without its times telling: FAT counts in two seconds.
MARGIN = 2_000_000_000  # nanoseconds

OWN = os.path.dirname(perflint.__file__)  # noqa: PTH120


def installed(packages: Iterable[str] = ()) -> bytes:
    """Changes whenever a distribution is installed or removed, or a file of perflint or of these folders is written."""
    facts = [sys.version, perflint.__version__]
    for folder in sys.path:
        facts += (folder, *_distributions(folder))
    facts += (f"{name} {_stamp(entry.stat())}" for name, entry in files((OWN, *packages)))
    return joined(facts)  # not a digest of it: `hashlib` takes longer to load than this to compare


def _distributions(folder: str) -> list[str]:
    try:
        return [f"{entry.name} {_stamp(entry.stat())}" for entry in descriptions(folder)]
    except OSError:  # an archive, or nothing
        try:
            return [_stamp(os.stat(folder))]  # noqa: PTH116
        except OSError:
            return []


def files(folders: Iterable[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below the folders but what Python compiled, and its name there."""
    for number, top in enumerate(folders):
        stack = [top]
        while stack:
            with os.scandir(stack.pop()) as listing:
                entries = sorted(listing, key=attrgetter("name"))
            for entry in entries:
                if entry.is_dir():
                    stack += [entry.path] * (entry.name != "__pycache__")
                else:
                    yield f"{number} {entry.path[len(top) :]}", entry


def times(status: os.stat_result) -> tuple[int, int, int, int]:
    """Size, mtime, inode and ctime: while these are the same, so is a file, or what a folder lists."""
    # An inode of Windows may have 64 bits without a sign, an integer of SQLite has 63.
    return status.st_size, status.st_mtime_ns, status.st_ino & (1 << 62) - 1, status.st_ctime_ns


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns}"


def joined(facts: Iterable[str]) -> bytes:
    return "\0".join(facts).encode("utf-8", "surrogateescape")
