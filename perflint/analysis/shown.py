"""Code that a needle alone cannot tell from other code: what a text with blank strings and comments shows of it."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from perflint.analysis.skeleton import unclosed

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


Needle = bytes | Shown  # a plain one counts anywhere, the other in code


def written(needle: Needle) -> bytes:
    """The bytes to look for."""
    return needle if isinstance(needle, bytes) else needle.needle


_compiled = cache(re.compile)

_CALLED = _CLOSE + rb"\("
CALLED = Shown(b"", _CALLED)  # a name that is called

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

# `sum(xs, start)`: not what is surely one argument. A call with options: not what surely has none.
_CALL = rb"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
SUM_FROM = Shown(b"sum", GAP + rb"\((?!(?:[^(),]|" + _CALL + rb")*\))")

CALLED_WITH_OPTIONS = Shown(b"", _CLOSE + rb"\((?!(?:[^()=]|" + _CALL + rb")*\))")


def option(name: str, value: bool) -> Shown:
    """`f(stream=True)`: the literal, or a number that equals it."""
    return Shown(name.encode(), GAP + rb"=" + _OPEN + rb"(?:%r\b|[\d.])" % value, rb"(?<!\w)")


def awaited(method: bytes) -> Shown:
    """`await session.get(..)`"""
    return Shown(method, _CALLED, rb"\bawait\b[^;]*")


def somehow_called(part: bytes) -> Shown:
    """A part of what is called: `session()`, `sessions["a"]()`, `make(session)()`."""
    return Shown(part, rb"\w*(?:" + _CALLED + rb"|[^;]{0,300}?[\])}]" + GAP + rb"\()")


def dropped(method: bytes) -> Shown:
    """A call that is a statement, or an item of one: `thread.join(5)`, `[t.join(5) for t in ts]`."""
    start = rb"(?:\A|[\n;:])[\s\\#(\[{]*(?:await\b[\s\\(]*)?"
    return Shown(method, _CALLED, start + rb"(?:[^\n;=()]|\([^()\n]*\))*")


def given(name: bytes) -> Shown:
    """A keyword in a call, or a parameter: `f(debug=True)`."""
    return Shown(name, GAP + rb"=(?!=)", rb"[(,][\s\\#]*")


def called(part: bytes) -> Shown:
    """A call of what begins so: `run` for `run_server()`."""
    return Shown(part, rb"\w*" + _CALLED)


def first(name: bytes) -> Shown:
    """The first statement of a block begins with the name: `while busy(): time.sleep(1)`."""
    return Shown(name, before=rb":[\s\\#(]*(?:await\b[\s\\(]*)?[\w.\s\\]*")


# `except Exception: pass`, and whatever else does nothing; a header that is not plain may be anything.
_LITERAL = rb"None\b|True\b|False\b|\.\.\.|[\"'\d.(]|[rRbBuUfF]{1,2}[\"']"
_NOTHING = rb"(?:pass\b|continue\b|return\b[ \t]*(?:[\r\n#;\\]|\Z|" + _LITERAL + rb")|" + _LITERAL + rb")"
SILENT_EXCEPT = Shown(
    b"except",
    rb"(?=[ \t]+(?:Base)?Exception\b|[ \t]*:|[ \t]*\([^:]*\b(?:Base)?Exception\b)[^:\n\[{]*(?:[\n\[{]|:[\s\\#]*"
    + _NOTHING
    + rb")",
)

BARE_EXCEPT = Shown(b"except", GAP + rb":")

# `[None] * n`, `n * [0]`, and bytes of one fill.
_TIMES, _TIMED = _CLOSE + rb"\*(?!\*)", rb"\*" + _OPEN
REPEATED = tuple(
    Shown(needle, after, before)
    for needle in (b"[None]", b"[0]", b"b'", b'b"')
    for after, before in ((rb"['\"]*" + _TIMES, b""), (b"", _TIMED))
)

# More than a function that is itself decorated: what may make types. Two brackets are a call of what a call returns.
TYPES_INSIDE = re.compile(
    rb"\b(?:class|lambda)\b|\btype[\s\\]*\(|\bdef\b[\s\S]*\bdef\b|\)[\s\\]*(?:#[^\n]*\s*)*\("
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
