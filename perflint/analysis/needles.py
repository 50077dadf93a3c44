"""How a qualified name is written in a file: what a gate looks for in the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def needles(names: Iterable[str], imports: Mapping[str, Iterable[str]]) -> tuple[bytes, ...]:
    """The ways to write any of the qualified names, given what the local names are imported as.

    `datetime.datetime.strptime` is `dt.strptime` after `from datetime import datetime as dt`.
    A name that no import leads to cannot be written at all.
    """
    found = set()
    for name in names:
        for local, meanings in imports.items():
            for meaning in meanings:
                if name == meaning:
                    found.add(local)
                elif name.startswith(f"{meaning}."):
                    found.add(local + name[len(meaning) :])
    return tuple(sorted(text.encode() for text in found))
