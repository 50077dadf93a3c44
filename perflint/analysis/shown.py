"""Code that a needle alone cannot tell from other code: what a text with blank strings and comments shows of it."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from perflint.analysis.skeleton import unclosed

_GAP = rb"[\s\\#]*"  # where Python allows white space
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


Needle = bytes | Shown  # a plain one counts anywhere, the other in code


_compiled = cache(re.compile)

# What takes or cuts off the first item of a list: `xs.pop(0)`, `del xs[0]`, `xs = xs[1:]`.
FRONTS = (
    Shown(b"pop", _GAP + rb"\(" + _OPEN + rb"0\b"),
    Shown(b"del", _OPEN + rb"\w+" + _CLOSE + rb"\[" + _OPEN + rb"0\b"),
    Shown(b"1:", before=rb"(?<![\w.])(\w+)" + _CLOSE + rb"=" + _OPEN + rb"\1" + _CLOSE + rb"\[" + _OPEN),
)

# `x in set([..])`, `x in frozenset((..))`, `x in dict.fromkeys({..})`.
_FILLED = _GAP + rb"\(" + _OPEN + rb"[\[({]"
BUILT_TO_SEARCH = (
    Shown(b"set", _FILLED, rb"\bin" + _OPEN + rb"(?:frozen)?"),
    Shown(b"fromkeys", _FILLED, rb"\bin" + _OPEN + rb"dict" + _GAP + rb"\." + _GAP),
)

# `sum(xs, start)`: not what is surely one argument.
_CALL = rb"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
SUM_FROM = Shown(b"sum", _GAP + rb"\((?!(?:[^(),]|" + _CALL + rb")*\))")

BARE_EXCEPT = Shown(b"except", _GAP + rb":")

# `[None] * n`, `n * [0]`, and bytes of one fill.
_TIMES, _TIMED = _CLOSE + rb"\*(?!\*)", rb"\*" + _OPEN
REPEATED = tuple(
    Shown(needle, after, before)
    for needle in (b"[None]", b"[0]", b"b'", b'b"')
    for after, before in ((rb"['\"]*" + _TIMES, b""), (b"", _TIMED))
)

# Loops with marks.

# What a loop shows that holds a statement with a mark; so may others. Strings are blank.
_GROWN = re.compile(
    rb"\+=(?![ \t]*-?[0-9.][\w.]*[ \t]*(?:[\r\n;#]|\Z))"  # Mark.ADD
    rb"|[+|]=[^\n;]*[,(\[{\\]|\.[\s\\]*(?:extend|update)\b"  # ADD_ONE
    rb"|\)[ \t]*=(?!=)"  # several targets in parentheses
)
_COLLECTS = re.compile(rb"\.[\s\\]*(?:append|add)\b")
_FIRST = re.compile(rb"(?::[\s\\#]*[^\n;:]*|[)\]}][\s\\]*|\n[ \t]*)\Z")  # before the first statement's method
_OPENED_FIRST = re.compile(rb":[ \t#\r]*\n[\s\\#]*[(\[{]")  # that statement may span lines
# A name at the start of a statement that is assigned and mentioned again; several targets may be anything. The last two
# patterns are for f-strings, whose names are blank elsewhere, and for statements that go on in the next line.
_STARTS = rb"(?:\n[ \t]*|[;:][ \t]*)"
_REBOUND = re.compile(_STARTS + rb"([A-Za-z_]\w*)[^\n=;,]*(?<![=!<>])=(?!=)[^\n;]*(?<![\w.])\1\b")
_TARGETS = re.compile(rb"[\n;:][^\n=;,]*,[^\n=;]*=(?!=)")
_FORMATTED = re.compile(
    _STARTS + rb"([A-Za-z_]\w*)[^\n=;,]*=(?!=)[^\n]*\b(?:[fF][rR]?|[rR][fF])[\"'][^\n]*\b\1\b"
    rb"|\b(?:[fF][rR]?|[rR][fF])(?:\"\"\"|''')"
)
_F_STRINGS = (b"f'", b'f"', b"F'", b'F"', b"fr", b"fR", b"Fr", b"FR")
_OPENED = re.compile(rb"=(?!=)[^\n]*[(\[{][^\n]*\n")
_LINE = 400  # bytes of code before a method, at most


def shows_marks(loop: bytes, written: bytes) -> bool:
    """Whether a loop may hold a statement with a mark; `written` is the same with its strings."""
    return bool(
        _GROWN.search(loop)
        or _REBOUND.search(loop)
        or (any(start in written for start in _F_STRINGS) and _FORMATTED.search(written))
        or b"\\\n" in loop
        or any(unclosed(match.group()) <= 0 for match in _TARGETS.finditer(loop))
        or any(unclosed(match.group()) > 0 for match in _OPENED.finditer(loop))
        or _shows_collection(loop)
    )


def _shows_collection(loop: bytes) -> bool:
    calls = [match.start() for match in _COLLECTS.finditer(loop)]
    if calls and _OPENED_FIRST.search(loop):
        return True
    return any(_FIRST.search(loop[max(0, at - _LINE) : at]) for at in calls)
