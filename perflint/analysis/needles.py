"""How names and code are written in a file: what a gate looks for in the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from perflint.model.source import Source

_WORD = re.compile(rb"\w+")


class Need(NamedTuple):
    """What a file must hold: all of the words, and the bytes, unless the words say it all."""

    words: frozenset[bytes]
    needle: bytes = b""

    def met(self, source: Source) -> bool:
        return self.words <= source.words and (not self.needle or self.needle in source.data)


def need(needle: bytes, *words: str) -> Need:
    """A needle and words beside it. A word at the edge of the needle may be part of a longer one in the file."""
    whole = {
        match.group() for match in _WORD.finditer(needle) if match.start() > 0 and match.end() < len(needle)
    }
    told = re.fullmatch(rb"\W?\w+\W?", needle) and whole
    return Need(frozenset(whole.union(map(str.encode, words))), b"" if told else needle)


def named(name: str) -> Need:
    """What a file must hold to mean a qualified name: its package is imported, its last word written somewhere."""
    return Need(frozenset((name.partition(".")[0].encode(), name.rpartition(".")[2].encode())))


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
