"""How names and code are written in a file: what a gate looks for in the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from perflint.model.source import Source

_WORD = re.compile(rb"\w+")


class Need(NamedTuple):
    """What a file must hold: all of `words`, one of `either` if there are any, and the bytes of `needle`."""

    words: frozenset[bytes]
    either: frozenset[bytes] = frozenset()
    needle: bytes = b""

    def met(self, source: Source) -> bool:
        return (
            self.words <= source.words
            and (not self.either or not self.either.isdisjoint(source.words))
            and self.needle in source.data
        )


def need(needle: bytes, *words: str) -> Need:
    """A needle and words beside it. A word at the edge of the needle may be part of a longer one in the file."""
    whole = {
        match.group() for match in _WORD.finditer(needle) if match.start() > 0 and match.end() < len(needle)
    }
    told = re.fullmatch(rb"\W?\w+\W?", needle) and whole
    return Need(frozenset(whole.union(map(str.encode, words))), needle=b"" if told else needle)


def named(names: Iterable[str]) -> list[Need]:
    """What a file must hold to mean one of the qualified names: a package that it imports, and a last word."""
    last: dict[str, set[bytes]] = {}
    for name in names:
        last.setdefault(name.partition(".")[0], set()).add(name.rpartition(".")[2].encode())
    return [Need(frozenset((package.encode(),)), frozenset(words)) for package, words in last.items()]


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
