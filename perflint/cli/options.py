"""The options of `check` and `fix`, declared once: for click, and for a reader of plain command lines.

click takes longer to load than a run takes that finds everything in the cache. So the common forms of `perflint check` are
read here; whatever is not surely one of these, mistakes and `--help` included, is left to click.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple


class Option(NamedTuple):
    flags: tuple[str, ...]
    help: str | None
    kind: Literal["text", "codes", "count", "file", "flag"] = "text"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    default: Any = None
    shown: bool = False  # the default, in the help
    called: str = ""  # in the code, where that is not the flag

    @property
    def name(self) -> str:
        return self.called or self.flags[0].removeprefix("--").replace("-", "_")

    def takes(self, text: str) -> bool:
        """Whether this is surely a value; a flag has none."""
        if self.kind == "flag" or not text or text.startswith("-"):
            return self.kind == "flag" and not text
        if self.kind == "count":
            return text.isascii() and text.isdigit()
        if self.kind == "file":  # what is not there yet is click's to look at
            return os.path.isfile(text) and os.access(text, os.R_OK)  # noqa: PTH113, for speed
        return not self.choices or text in self.choices

    def value(self, texts: list[str]) -> Any:
        """What click makes of the values that were given."""
        if self.kind == "codes":
            return parted(texts)
        if self.kind == "flag":
            return bool(texts)
        if not texts:
            return self.default
        made: dict[str, Callable[[str], Any]] = {"count": int, "file": Path}
        return made.get(self.kind, str)(texts[0])


_SEVERITIES = ("info", "warning", "error")

# In the order of `--help`.
_SHARED = (
    Option(("--select",), "Rules to use instead of the default ones.", "codes", "CODES"),
    Option(("--extend-select",), "Rules to use as well.", "codes", "CODES"),
    Option(("--ignore",), "Rules not to use.", "codes", "CODES"),
    Option(("--min-severity",), "Leave out what is less severe.", choices=_SEVERITIES),
    Option(("--fail-level",), "The least severe finding that makes the exit code 1.", choices=_SEVERITIES),
    Option(("--target-version",), 'The Python the code runs on: 3.11, or ">=3.10".', metavar="VERSION"),
    Option(("--config",), "Use this pyproject.toml or perflint.toml.", "file", called="config_file"),
    Option(("--stdin-filename",), "What the text from standard input is called.", metavar="FILE"),
    Option(("--jobs", "-j"), "Processes; 0 decides by the work.", "count", default=0),
    Option(("--quiet", "-q"), "No summary, no progress.", "flag"),
)
CHECK = (
    *_SHARED,
    Option(
        ("--output-format",),
        None,
        choices=("text", "concise", "json", "github"),
        default="text",
        shown=True,
    ),
    Option(("--output-file",), "Write the report there.", "file"),
    Option(("--statistics",), "Only count the findings of each rule.", "flag"),
    Option(("--shard",), "Check only part K of N of the files, by their paths.", metavar="K/N"),
    Option(
        ("--cluster",), "Check on this Dask cluster; `local` starts one on this machine.", metavar="ADDRESS"
    ),
    Option(("--no-cache",), "Neither use nor write the cache.", "flag"),
)
FIX = (
    *_SHARED,
    Option(("--unsafe-fixes",), "Apply fixes that may change behaviour, too.", "flag"),
    Option(("--diff",), "Print what would change, write nothing.", "flag"),
)

_BY_FLAG = {flag: option for option in CHECK for flag in option.flags}


class Plain(NamedTuple):
    """What `checking.check` is called with."""

    paths: tuple[str, ...]
    options: dict[str, Any]


def read(arguments: Iterable[str]) -> Plain | None:
    """A plain `perflint check`; None for all that click must read."""
    rest = iter(arguments)
    if next(rest, None) != "check":
        return None
    paths, given = [], dict[Option, list[str]]()
    for word in rest:
        if word == "-" or word[:1] != "-":
            paths.append(word)
            continue
        option, text = _BY_FLAG.get(word), ""
        if option is None:
            flag, _, text = word.partition("=")
            option = _BY_FLAG.get(flag) if flag.startswith("--") and text else None
        elif option.kind != "flag":
            text = next(rest, "")
        if option is None or not option.takes(text) or (option in given and option.kind != "codes"):
            return None
        given.setdefault(option, []).append(text)
    return Plain(tuple(paths), {option.name: option.value(given.get(option, [])) for option in CHECK})


def parted(values: Iterable[str]) -> tuple[str, ...]:
    """The codes in the values of an option."""
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())
