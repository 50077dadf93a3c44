"""Which distributions are installed, read off the folders of `sys.path`.

`importlib.metadata` says the same, but takes longer to load than a small file to check; it is asked where there is more to say.
"""

from __future__ import annotations

import os
import sys
from operator import attrgetter

TYPE_CHECKING = False  # `typing` takes as long to load as all that is asked here
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_RULES = "perflint.rules"  # the group of entry points that name packages of rules


def rule_packages() -> list[EntryPoint]:
    """What distributions announce as packages of rules, in order."""
    found = _described()
    if found is not None and not any(map(_announces, found)):
        return []
    from importlib.metadata import entry_points

    return sorted(entry_points(group=_RULES), key=lambda point: (point.name, point.value))


def version(name: str) -> str | None:
    """The version of a distribution, whose name is one word in small letters; None where it is not installed."""
    found = _described()
    if found is not None:
        names = [entry.name for entry in found if _name(entry.name) == name]
        if not names:
            return None
        if names[0].endswith(".dist-info"):
            return names[0].removesuffix(".dist-info").partition("-")[2]
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as said

    try:
        return said(name)
    except PackageNotFoundError:
        return None


def descriptions(folder: str) -> list[os.DirEntry[str]]:
    """What describes distributions in one folder of `sys.path`. Raise OSError where it is none."""
    with os.scandir(folder or os.curdir) as entries:
        found = [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info", ".egg-link"))]
    return sorted(found, key=attrgetter("name"))


def _described() -> list[os.DirEntry[str]] | None:
    """What describes distributions anywhere; None where only `importlib.metadata` can tell."""
    from importlib.machinery import PathFinder

    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return None
    found: list[os.DirEntry[str]] = []
    for folder in sys.path:
        try:
            found += descriptions(folder)
        except OSError:
            if os.path.exists(folder):  # noqa: PTH110  # an archive
                return None
        if folder.lower().endswith(".egg"):
            return None
    return found


def _name(description: str) -> str:
    return description.rpartition(".")[0].partition("-")[0].lower()


def _announces(description: os.DirEntry[str]) -> bool:
    """Whether a distribution's entry points may be rules."""
    try:
        with open(f"{description.path}/entry_points.txt", "rb") as file:  # noqa: PTH123
            return _RULES.encode() in file.read()
    except OSError:  # it announces nothing
        return False
