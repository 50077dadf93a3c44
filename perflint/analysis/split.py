"""A large text cut into texts that are parsed one after the other.

What a parser holds while it reads is many times what it gives: LibCST's takes 3 MB for a thousand short lines, of whose nodes
half a megabyte remains. So runs of statements, and of the elements of literals, are taken out and read by themselves, as deep in
blocks as they stood. Each starts and ends where no blank line or comment could belong to either side, and where the
text alone does not tell, nothing is cut: the nodes are those of the whole text (`tests/test_split.py` compares them).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from perflint.analysis.skeleton import Unclear, blanked, unclosed

SIZE = 50_000  # bytes of a part, about
_DEEPEST = 20  # blocks inside each other that are looked into
_CODE = re.compile(rb"^( *)(?=[^\s#])", re.M)
_CLAUSE = re.compile(rb"(?:else|elif|except|finally|case)\b")  # goes on with the statement above
_MARK = re.compile(
    rb"[(\[{][^()\[\]{}]{0,99}[)\]}]|[()\[\]{}]|,[\s#\\]*|:(?!=)"
)  # short brackets are passed over
_OTHERS = re.compile(rb"\b(?:lambda|case)\b")  # have commas that are no literal's
# What stands before the bracket of a literal, and not before that of a call or subscript.
_BEFORE = re.compile(rb"(?:[=(\[{,:]|\b(?:return|yield|in))[\s\\#]*\Z")
_NAME = b"_perflint_part_"


class Part(NamedTuple):
    """A run of statements or, where there is a bracket, of the elements of a literal."""

    start: int
    end: int
    margins: tuple[int, ...]  # of the blocks that hold it, the innermost last
    bracket: bytes = b""
    keys: bool = False  # whether its elements are those of a dict


class Split:
    """The parts of a text in their order, each a text by itself, and the text that remains."""

    def __init__(self, text: bytes, blank: bytes | None = None) -> None:
        """Raise Unclear where nothing can be cut; `blank` is the text without its strings and comments."""
        if text.count(b"\r") not in (0, text.count(b"\n")) or _NAME in text:
            raise Unclear
        self._text = text
        self._newline = b"\r\n" if b"\r" in text else b"\n"
        lines = _Lines(blanked(text) if blank is None else blank)
        self.parts = sorted(lines.parts())
        if not self.parts:
            raise Unclear
        # LibCST notes how deep blocks are where it is not as the first one of the text.
        head = b"if 1:", b" " * lines.indent + b"pass", b"pass", b""
        self._head = self._newline.join(head)

    def rest(self, targets: bool = True) -> bytes:
        """The text with a name in the place of each part, or with what cannot be assigned to."""
        at, pieces = 0, []
        for number, part in enumerate(self.parts):
            pieces += [
                self._text[at : part.start],
                self._stand_in(part, name(number).encode() if targets else b"0"),
            ]
            at = part.end
        return b"".join((*pieces, self._text[at:]))

    def _stand_in(self, part: Part, name: bytes) -> bytes:
        if part.bracket:
            return name + (b": 0, " if part.keys else b", ")
        return b" " * part.margins[-1] + name + self._newline

    def alone(self, part: Part) -> bytes:
        """The part behind two statements: at the margin or in one `if` for each block, and a literal with one element more."""
        *outer, margin = part.margins
        blocks = [b" " * above + b"if 1:" + self._newline for above in outer]
        text = self._text[part.start : part.end]
        if part.bracket:
            last = (b"0: 0" if part.keys else b"0") + _CLOSING[part.bracket]
            text = b"".join((b" " * margin, part.bracket, text, last, self._newline))
        return b"".join((self._head, *blocks, text))


_CLOSING = {b"(": b")", b"[": b"]", b"{": b"}"}


def name(number: int) -> str:
    """What stands for the part of that number in the rest."""
    return f"{_NAME.decode()}{number}_"


class _Lines:
    """The lines of a text, those that one statement continues taken as one, and what can be cut out of them."""

    def __init__(self, blank: bytes) -> None:
        self._blank = blank
        self._starts, self._ends, self._margins = array("q"), array("q"), array("q")
        self._joined = bytearray()  # whether it goes on with the statement above
        self._read()
        margins = self._margins
        self._indented = next((at for at in range(1, len(margins)) if margins[at] > margins[at - 1]), 0)
        at = self._indented
        self.indent = margins[at] - margins[at - 1] if at else 4  # of the first block: LibCST's default

    def _read(self) -> None:
        blank, at, depth, decorated = self._blank, 0, 0, False
        for match in _CODE.finditer(blank):
            start = match.start()
            depth += unclosed(blank[at:start])
            at = start
            end = blank.find(b"\n", start) + 1 or len(blank)
            if self._starts and (depth or blank.endswith((b"\\\n", b"\\\r\n"), 0, self._ends[-1])):
                self._ends[-1] = end
                continue
            self._starts.append(start)
            self._ends.append(end)
            self._margins.append(len(match[1]))
            self._joined.append(decorated or _CLAUSE.match(blank, match.end()) is not None)
            decorated = blank.startswith(b"@", match.end())

    def parts(self) -> Iterator[Part]:
        if self._starts:
            yield from self._block(0, len(self._starts), ())

    def _block(self, first: int, last: int, above: tuple[int, ...]) -> Iterator[Part]:
        """The parts of a block. Its first and last statement stay: what is before and behind them may be the block's."""
        margin = self._margins[first]
        margins = (*above, margin)
        heads = [at for at in range(first, last) if self._margins[at] == margin and not self._joined[at]]
        heads[:1] = [first]
        run = end = 0  # the lines of the next part, as far as it may end
        for head, following in zip(heads, [*heads[1:], last], strict=True):
            apart = head > max(first, self._indented) and self._apart(head, margin)
            large = self._size(head, following) > SIZE
            if run and apart:
                end = head
            if end and (large or following == last or self._size(run, following) > SIZE):
                yield Part(self._ends[run - 1], self._ends[end - 1], margins)
                run, end = end, 0
            if large:
                run = end = 0
                yield from self._statement(head, following, margins)
            elif apart and not run:
                run = head

    def _size(self, first: int, last: int) -> int:
        return self._ends[last - 1] - self._starts[first]

    def _apart(self, line: int, margin: int) -> bool:
        """Whether all that is between this line and the one above is this one's, with a simple statement above too."""
        between = self._blank[self._ends[line - 1] : self._starts[line]]
        return self._margins[line - 1] == margin or not between.strip(b"\r\n")

    def _statement(self, first: int, last: int, margins: tuple[int, ...]) -> Iterator[Part]:
        """The parts of the blocks of a statement, and of literals between them."""
        block = 0
        for line in range(first, last):
            if self._margins[line] > margins[-1]:
                if len(margins) == _DEEPEST:
                    return
                block = block or line
                continue
            if block:
                yield from self._block(block, line, margins)
                block = 0
            if self._size(line, line + 1) > SIZE:
                yield from self._elements(self._starts[line], self._ends[line], margins)
        if block:
            yield from self._block(block, last, margins)

    def _elements(self, start: int, end: int, margins: tuple[int, ...]) -> Iterator[Part]:
        blank = self._blank
        if _OTHERS.search(blank, start, end):
            return
        stack: list[_Bracket] = []
        for match in _MARK.finditer(blank, start, end):
            at, following = match.span()
            mark = blank[at : at + 1]
            if mark in b"([{":
                if following == at + 1:
                    literal = _BEFORE.search(blank, max(at - 99, start), at) is not None
                    stack.append(_Bracket(mark, literal, margins))
            elif mark in b")]}":
                if not stack:
                    raise Unclear
                stack.pop()
            elif stack and mark == b":":
                stack[-1].keys = True
            elif stack and stack[-1].literal and blank[following : following + 1] not in b")]}":
                part = stack[-1].element(following)
                if part:
                    yield part
                    for outer in stack[:-1]:
                        yield from outer.broken()


class _Bracket:
    """An open bracket, and the elements of the next part."""

    def __init__(self, mark: bytes, literal: bool, margins: tuple[int, ...]) -> None:
        self.literal, self.keys = literal, False
        self._mark, self._margins = mark, margins
        self._start = self._end = 0

    def element(self, at: int) -> Part | None:
        """Note where an element starts; the part that ends there."""
        self._end = at
        if not self._start:
            self._start = at
        elif at - self._start > SIZE:
            return self._part()
        return None

    def broken(self) -> Iterator[Part]:
        """The part before the element that parts are taken of."""
        if self._end > self._start:
            yield self._part()
        self._start = self._end = 0

    def _part(self) -> Part:
        part = Part(self._start, self._end, self._margins, self._mark, self.keys)
        self._start = self._end
        return part
