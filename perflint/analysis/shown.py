"""Code that a needle alone cannot tell from other code: needles with patterns of the text around them."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

GAP = rb"[\s\\#]*"  # where Python allows white space
_OPEN, _CLOSE = rb"[\s\\#(]*", rb"[\s\\#)]*"  # gaps with parentheses that change nothing
_REACH = 200  # bytes


class Shown(NamedTuple):
    """A needle, and what must stand behind and before it in a text with blank strings and comments.

    The patterns admit what a rule looks for however it is written. `before` reaches back 200 bytes.
    """

    needle: bytes
    after: bytes = b""
    before: bytes = b""

    def at(self, blank: bytes, start: int) -> bool:
        """Whether the needle that starts there is meant."""
        if not _compiled(self.after).match(blank, start + len(self.needle)):
            return False
        before = blank[max(0, start - _REACH) : start] if self.before else b""
        return _compiled(self.before + rb"\Z").search(before) is not None


_compiled = cache(re.compile)

# What takes or cuts off the first item of a list: `xs.pop(0)`, `del xs[0]`, `xs = xs[1:]`.
FRONTS = (
    Shown(b"pop", GAP + rb"\(" + _OPEN + rb"0\b"),
    Shown(b"del", _OPEN + rb"\w+" + _CLOSE + rb"\[" + _OPEN + rb"0\b"),
    Shown(b"1:", before=rb"(?<![\w.])(\w+)" + _CLOSE + rb"=" + _OPEN + rb"\1" + _CLOSE + rb"\[" + _OPEN),
)

# `x in set([..])`, `x in frozenset((..))`, `x in dict.fromkeys({..})`.
_FILLED = GAP + rb"\(" + _OPEN + rb"[\[({]"
BUILT_TO_SEARCH = (
    Shown(b"set", _FILLED, rb"\bin" + _OPEN + rb"(?:frozen)?"),
    Shown(b"fromkeys", _FILLED, rb"\bin" + _OPEN + rb"dict" + GAP + rb"\." + GAP),
)

# `sum(xs, start)`: not what is surely one argument.
_CALL = rb"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
SUM_FROM = Shown(b"sum", GAP + rb"\((?!(?:[^(),]|" + _CALL + rb")*\))")

BARE_EXCEPT = Shown(b"except", GAP + rb":")

# `[None] * n`, `n * [0]`, and bytes of one fill.
_TIMES, _TIMED = _CLOSE + rb"\*(?!\*)", rb"\*" + _OPEN
REPEATED = tuple(
    Shown(needle, after, before)
    for needle in (b"[None]", b"[0]", b"b'", b'b"')
    for after, before in ((rb"['\"]*" + _TIMES, b""), (b"", _TIMED))
)
