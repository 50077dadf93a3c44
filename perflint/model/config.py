"""What a run is asked to do, as plain data. Reading files is `project.settings`'s job."""

from __future__ import annotations

import re
from typing import NamedTuple

from perflint.model.diagnostics import Severity

Version = tuple[int, int]

# The newest Python whose facts the rules know; an open range ends here.
LATEST: Version = (3, 14)


class Target(NamedTuple):
    """The Python versions the code must run on, both ends included."""

    low: Version = (3, 10)
    high: Version = LATEST

    def __str__(self) -> str:
        low, high = (".".join(map(str, version)) for version in self)
        return low if low == high else f"{low}-{high}"


DEFAULT_TARGET = Target()


class ConfigError(Exception):
    """Wrong usage, in one line that names the option and the mend."""


class Config(NamedTuple):
    """Every option, at its default."""

    select: tuple[str, ...] = ("default",)
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = ()
    target: Target = DEFAULT_TARGET
    min_severity: Severity = Severity.INFO
    fail_level: Severity = Severity.WARNING
    portable: bool = False  # the code must be fast on PyPy and free-threaded builds too
    strict_types: bool = True  # report only receivers whose type is proved
    costly_objects: tuple[str, ...] = ()  # qualified names that PRF221 adds to its table
    runtime_module: str = "perflint.runtime"  # what fixes import the runtime from
    runtime_fixes: bool = False  # fixes may use the runtime
    default_limit: int = 100  # the bound that fixes set on tasks
    default_queue_size: int = 1000  # the bound that fixes set on queues
    small_limit: int = 64  # this many items are no crowd
    db_receiver_heuristic: bool = True  # a name such as `cur` may stand for a database's object
    close_on_exception: bool = False  # report connections that are closed only where nothing fails
    min_calls: int = 0  # so many requests of one function count for PRF601; 0: only loops do
    http_clients: tuple[str, ...] = ()  # qualified names that PRF602 adds to its clients
    default_timeout: int = 30  # the seconds that fixes set on requests
    debug_any_host: bool = False  # PRF701 counts debug mode on any address, 127.0.0.1 too
    pedantic: bool = False  # report what is only likely, too
    cache_dir: str = ".perflint_cache"  # where `check` keeps what it found; relative to the root


def parse_target(text: str) -> Target:
    """`3.11` is that version alone; `>=3.10` or `>=3.10,<3.13` is a range.

    Raise ConfigError for anything else, such as a range that holds no version.
    """
    if match := re.fullmatch(r"\s*(?:py)?(\d)\.?(\d+)\s*", text):
        version = int(match[1]), int(match[2])
        return Target(version, version)
    low, high = _bounds(text)
    if low > LATEST and high == LATEST:  # a Python newer than this release knows
        high = low
    if low > high:
        raise ConfigError(f"target-version {text!r} holds no Python version; write 3.11 or >=3.10")
    return Target(low, high)


def _bounds(specifier: str) -> tuple[Version, Version]:
    low, high = (3, 0), LATEST
    for clause in filter(None, (part.strip() for part in specifier.split(","))):
        match = re.fullmatch(r"(>=|<=|<|>|==|~=|!=)\s*(\d+)(?:\.(\d+|\*))?(?:\.[\d*]+)*\w*", clause)
        if not match:
            raise ConfigError(f"target-version {specifier!r} is not a version; write 3.11 or >=3.10")
        operator, version = match[1], (int(match[2]), 0 if match[3] in (None, "*") else int(match[3]))
        patch = clause.count(".") > 1
        if operator in (">=", "~=", ">"):
            low = max(low, version)
        elif operator == "==":
            low, high = version, version
        elif operator == "<=" or (operator == "<" and patch):
            high = min(high, version)
        elif operator == "<":
            high = min(high, (version[0], version[1] - 1)) if version[1] else min(high, (version[0] - 1, 99))
    return low, high
