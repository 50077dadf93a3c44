"""What is installed that findings depend on, besides the file and the configuration.

Asking Python for it means importing every rule, which a run that finds all in the cache can do without. So the answer
is kept with the state of the folders that it follows from: those of `sys.path`, perflint's own, and those of rule packages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import perflint
from perflint.analysis.distributions import descriptions, rule_packages, version

_OWN = Path(perflint.__file__).parent


class Installed(NamedTuple):
    """`code` stands for versions and the content of every rule; `words` are what `select` and `ignore` take."""

    code: str
    words: frozenset[str]
    packages: tuple[str, ...]  # folders of rule packages that are not perflint's


def look() -> Installed:
    """Load the rules and see. Raise RegistryError where one is broken."""
    from importlib import import_module

    from perflint.analysis import registry

    words = registry.selectors()
    points = rule_packages()
    modules = [import_module(point.value.partition(".")[0]) for point in points]  # rules may use all of it
    folders = tuple(str(folder) for module in modules for folder in module.__path__)
    from hashlib import blake2b

    versions = [f"{point.dist.name} {point.dist.version}" for point in points if point.dist]
    parsers = [str(version(name)) for name in ("libcst", "ast_serialize")]
    facts = [sys.version, perflint.__version__, *parsers, *versions]
    for name, entry in _files((str(_OWN), *folders)):
        facts += [name, blake2b(Path(entry.path).read_bytes()).hexdigest()]
    return Installed(blake2b(_joined(facts), digest_size=16).hexdigest(), words, folders)


def state(packages: Iterable[str] = ()) -> bytes:
    """Changes whenever a distribution is installed or removed, or a file of perflint or of these folders is written."""
    facts = [sys.version, perflint.__version__]
    for folder in sys.path:
        facts += (folder, *_distributions(folder))
    facts += (f"{name} {_stamp(entry.stat())}" for name, entry in _files((str(_OWN), *packages)))
    return _joined(facts)  # not a digest of it: `hashlib` takes longer to load than this to compare


def _distributions(folder: str) -> list[str]:
    try:
        return [f"{entry.name} {_stamp(entry.stat())}" for entry in descriptions(folder)]
    except OSError:  # an archive, or nothing
        path = Path(folder)
        return [_stamp(path.stat())] if path.exists() else []


def _files(folders: Iterable[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
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


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns}"


def _joined(facts: Iterable[str]) -> bytes:
    return "\0".join(facts).encode("utf-8", "surrogateescape")
