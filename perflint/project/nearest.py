"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile


def nearest_name(word: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where no name is near."""
    from difflib import SequenceMatcher, get_close_matches

    known = {name.lower(): name for name in names}
    wanted = word.lower()
    close = get_close_matches(wanted, known, 20, 0.5)
    if not close:
        return ""
    best = max(close, key=lambda name: (SequenceMatcher(None, wanted, name).ratio(), _shared(wanted, name)))
    return f"; did you mean {known[best]!r}?"


def _shared(one: str, other: str) -> int:
    """How many characters both begin with: of codes that differ in one, the first digits mean most."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
