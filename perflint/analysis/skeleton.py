"""What the text alone tells about a file: where its functions and loops are, and what it imports.

Asked of every file before anything is parsed, and ten times as fast as `ast`. Strings and comments are blanked, then
the text is read by indentation, brackets and keywords. It may see a loop too many, never one too few.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache, cached_property

from perflint.model.diagnostics import Span

# A string's prefix stays; the last alternative is a quote that nothing ends.
_QUOTED = re.compile(
    rb"""#[^\n]*"""
    rb'''|"""[^"\\]*(?:(?:\\[\s\S]|"(?!""))[^"\\]*)*"""'''
    rb"""|'''[^'\\]*(?:(?:\\[\s\S]|'(?!''))[^'\\]*)*'''"""
    rb'''|"[^"\\\n]*(?:\\[\s\S][^"\\\n]*)*"'''
    rb"""|'[^'\\\n]*(?:\\[\s\S][^'\\\n]*)*'"""
    rb"""|"|'"""  # two literals: what can start a match is then one set of bytes, for which the search is fast
)
_CONTINUED = rb"(?:[ \t]|\\\r?\n)"
_FIRST = re.compile(rb"[ \t\f]*(?:@|(?:def|for|while|class|async" + _CONTINUED + rb"+(?:def|for))\b)")
_HEAD = re.compile(rb"\n" + _FIRST.pattern)
_LOOP = re.compile(rb"\n[ \t\f]*(?:for|while|async" + _CONTINUED + rb"+for)\b")
_INDENT = re.compile(rb"[ \t\f]*")
_NEXT = re.compile(rb"(?:class|def)[ \t]")  # no expression goes on like this
_ELSE = re.compile(rb"else\b")
_IMPORT = re.compile(rb"import(?<!\wimport)\b(?:" + _CONTINUED + rb")*(?:\([^)]*\)?|(?:[^\n;(\\]|\\\r?\n)*)")
_FROM = re.compile(rb"\bfrom\b(?:[.\w]|" + _CONTINUED + rb")+\Z")
_GLOBAL = re.compile(rb"global\b((?:[\w,]|" + _CONTINUED + rb")*)")
_TABBED = re.compile(rb"\n *[\t\f][ \t\f]*[^\s#]")
# A field of an f-string in which its own quote stands, as Python 3.12 allows: it does not end the string.
_NESTED = re.compile(
    rb"""[fFtT][rR]?(?<!\w[fFtT])(?<!\w[fFtT][rR])(?:"(?:[^"\n{]|\{[^}"\n]*\})*\{[^}"\n]*"|'(?:[^'\n{]|\{[^}'\n]*\})*\{[^}'\n]*')"""
)
_RETURN = re.compile(rb"\r(?!\n)")
_CONFLICTS = (b"<<<<<<< ", b">>>>>>> ")  # what is left of a merge


_NONE: list[Span] = []


class Unclear(Exception):
    """The text alone does not tell; ask `ast`."""


class Skeleton:
    """The lines of the outermost functions of a text, their decorators included, in `functions`, and those of the
    outermost loops outside of them in `loops`.

    `blank` is the text, position by position, each string and comment overwritten by its first byte.
    Raise Unclear where brackets or quotes do not pair, where indentation is not of blanks, or strings stand in strings.
    """

    def __init__(self, data: bytes) -> None:
        self.blank = blanked(data)
        self.functions: list[Span] = []
        self.loops: list[Span] = []
        self._classes: list[tuple[int, int]] = []  # at the margin: where their decorators and they start
        self._run()

    def forget(self, text: bool = False) -> None:
        """Let go of what can be made again, and of the text."""
        self.__dict__.pop("_inner", None)
        if text:
            del self.blank

    def imports(self) -> Iterator[Span]:
        """The import statements, wherever they stand."""
        for match in _IMPORT.finditer(self.blank):
            line = self.blank.rfind(b"\n", 0, match.start()) + 1
            while self.blank.endswith((b"\\\n", b"\\\r\n"), 0, line):
                line = self.blank.rfind(b"\n", 0, line - 1) + 1
            before = self.blank[line : match.start()]
            found = _FROM.search(before)
            yield Span(line + found.start() if found else match.start(), match.end())

    def classes(self) -> list[Span]:
        """The lines of the classes at the margin, their decorators included."""
        return [Span(first, self._end(start, 0)) for first, start in self._classes]

    def global_names(self) -> set[str]:
        """The names that `global` statements declare."""
        found = (name for match in _GLOBAL.finditer(self.blank) for name in re.findall(rb"\w+", match[1]))
        return {name.decode() for name in found}

    def loops_in(self, function: Span) -> list[Span]:
        """The lines of the outermost loops of a function."""
        return self._inner.get(function, _NONE)

    @cached_property
    def _inner(self) -> dict[Span, list[Span]]:
        found: dict[Span, list[Span]] = {}
        functions, end = iter(self.functions), 0
        function = next(functions, None)
        for match in _LOOP.finditer(self.blank):  # the first line is in no function
            start = match.start() + 1
            while function and function.end <= start:
                function = next(functions, None)
            if function and function.start <= start and start >= end:
                end = self._end(start, self._indent(start))
                found.setdefault(function, []).append(Span(start, end))
        return found

    def _indent(self, line: int) -> int:
        match = _INDENT.match(self.blank, line)
        return match.end() - line if match else 0

    def _run(self) -> None:
        decorated: Span | None = None  # the start of decorators, and their indentation
        match = _FIRST.match(self.blank) or _HEAD.search(self.blank)
        while match:
            line = match.group().lstrip(b"\n")
            word = line.lstrip()
            end = match.end()
            start, indent = end - len(line), len(line) - len(word)
            if word == b"@":
                decorated = decorated if decorated and decorated.end == indent else Span(start, indent)
            elif word.endswith(b"def"):
                if self.loops and start < self.loops[-1].end:
                    raise Unclear
                first = decorated.start if decorated and decorated.end == indent else start
                end = self._end(start, indent)
                self.functions.append(Span(first, end))
                end -= 1  # the line feed before the next line
                decorated = None
            elif word == b"class":
                if not indent:
                    self._classes.append(
                        (decorated.start if decorated and not decorated.end else start, start)
                    )
                decorated = None
            elif not self.loops or start >= self.loops[-1].end:
                self.loops.append(Span(start, self._end(start, indent)))
            match = _HEAD.search(self.blank, end)

    def _end(self, start: int, indent: int) -> int:
        """The first line behind `start` that is indented no deeper and continues nothing."""
        text, at, depth = self.blank, start, 0
        for match in _dedent(indent).finditer(text, start):
            end = match.start() + 1
            if match.end() - end == indent and _ELSE.match(text, match.end()):
                continue
            if _NEXT.match(text, match.end()):
                return self._trimmed(start, end)
            at, depth = end, depth + unclosed(text[at:end])
            if depth <= 0 and not text.endswith((b"\\\n", b"\\\r\n"), start, end):
                return self._trimmed(start, end)
        return self._trimmed(start, len(text))

    def _trimmed(self, start: int, end: int) -> int:
        """The end without the comments and blank lines before it."""
        last = start + len(self.blank[start:end].rstrip(b" \t\r\n#"))
        line = self.blank.find(b"\n", last) + 1
        return line if 0 < line < end else end


def blanked(data: bytes) -> bytes:
    """The text, position by position, each string and comment overwritten by its first byte. Raise Unclear as Skeleton does."""
    blank = _QUOTED.sub(_overwritten, data)
    nested = sys.version_info >= (3, 12) and _NESTED.search(data)
    if nested or _odd(blank) or unclosed(blank):
        raise Unclear
    return blank


def _overwritten(match: re.Match[bytes]) -> bytes:
    text = match.group()
    if len(text) == 1 and text != b"#":
        raise Unclear
    return text[:1] * len(text)


def _odd(text: bytes) -> bool:
    """Whether indentation is not of blanks, lines end otherwise, names have letters that Python reads as others,
    or the text is no Python."""
    tabbed = (b"\t" in text or b"\f" in text) and _TABBED.search(b"\n" + text)
    returned = b"\r" in text and _RETURN.search(text)
    merged = text.startswith(_CONFLICTS) or any(b"\n" + mark in text for mark in _CONFLICTS)
    return bool(tabbed or returned or merged) or not text.isascii()


def unclosed(text: bytes) -> int:
    """How many more brackets open than close."""
    opened = text.count(b"(") + text.count(b"[") + text.count(b"{")
    return opened - text.count(b")") - text.count(b"]") - text.count(b"}")


@cache
def _dedent(indent: int) -> re.Pattern[bytes]:
    return re.compile(rb"\n {0,%d}(?=[^\s#])" % indent)
