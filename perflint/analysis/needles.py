"""How names and code are written in a file: what a gate looks for in the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from perflint.analysis.marks import Mark
from perflint.model.source import Source

_WORD = re.compile(rb"\w+")


class Need(NamedTuple):
    """What a file must hold: all of `words`, one of `either` if there are any, and the rest where it is not empty."""

    words: frozenset[bytes]
    either: frozenset[bytes] = frozenset()
    part: bytes = b""  # of a word, as `Source.vocabulary` has it
    sign: bytes = b""  # anywhere in the text

    def met(self, source: Source) -> bool:
        return (
            self.words <= source.words
            and (not self.either or not self.either.isdisjoint(source.words))
            and self.part in source.vocabulary
            and self.sign in source.data
        )


LOOPS = frozenset((b"for", b"while"))
MARKED = {  # what a file holds that has the mark
    Mark.ADD: Need(frozenset(), LOOPS, sign=b"+="),
    Mark.ADD_ONE: Need(frozenset(), LOOPS),
    Mark.COLLECT: Need(frozenset((b"for",)), frozenset((b"append", b"add"))),
    Mark.REBIND_ADD: Need(frozenset(), LOOPS, sign=b"+"),
    Mark.REBIND_COPY: Need(frozenset(), frozenset((b"dict", b"union"))),
    Mark.REBIND_DISPLAY: Need(frozenset(), LOOPS, sign=b"*"),
    Mark.REBIND_OR: Need(frozenset(), LOOPS, sign=b"|"),
    Mark.REBIND_TEXT: Need(frozenset(), LOOPS),
}


def need(needle: bytes, *words: str) -> Need:
    """What a needle asks for, and words beside it. A word at its edge may be part of a longer one in the file."""
    matches = _WORD.finditer(needle)
    whole = {match.group() for match in matches if match.start() > 0 and match.end() < len(needle)}
    part = b"" if whole else probe(needle)
    return Need(
        frozenset(whole.union(map(str.encode, words))), part=part, sign=b"" if whole or part else needle
    )


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


@cache
def probe(needle: bytes) -> bytes:
    """What the vocabulary of a text holds where the text holds the needle: its longest word; nothing where it has none."""
    matches = sorted(_WORD.finditer(needle), key=lambda match: len(match.group()))
    if not matches:
        return b""
    start, end = matches[-1].span()
    return b"\n" * (start > 0) + needle[start:end] + b"\n" * (end < len(needle))


@cache
def by_root(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Qualified names by their first parts."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


@cache
def by_package(beside: tuple[tuple[str, bytes], ...]) -> dict[str, set[bytes]]:
    """Needles by the packages that they count beside."""
    found: dict[str, set[bytes]] = {}
    for package, needle in beside:
        found.setdefault(package, set()).add(needle)
    return found
