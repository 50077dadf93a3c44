"""One file's text, and the only place that converts between positions.

Four units meet here: `ast` columns are bytes of UTF-8, people count code points, editors
count UTF-16 units, and the file itself may be in another encoding, with or without a byte
order mark. Offsets everywhere else are bytes of the text as UTF-8.
"""

from __future__ import annotations

import codecs
import io
import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, islice
from typing import NamedTuple

# The tokenizer's line ends; `splitlines` would also break at form feeds.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_APART = bytes(byte if (chr(byte).isalnum() and byte < 128) or byte == 95 else 32 for byte in range(256))
_PART = 250_000  # bytes of a large text that are taken apart at once
_CODING = re.compile(rb"coding[:=](?![ \t]*utf-?8(?![-\w.]))", re.I)  # of another encoding than is usual


class SourceError(Exception):
    """The bytes cannot be read as Python text; the message is one plain sentence."""


class Position(NamedTuple):
    """Line and column, both counted from 1; the column is in code points."""

    line: int
    column: int


class Source:
    """The text of one file as UTF-8 bytes in `data`, and how it is written back."""

    def __init__(self, path: str, raw: bytes) -> None:
        """Raise SourceError where `raw` is not text in its declared encoding (UTF-8 by default)."""
        self.path = path
        self.encoding = _encoding(raw)
        self.bom = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
        body = raw[len(self.bom) :]
        if b"\0" in body:
            raise SourceError("the file holds null bytes; it is binary, or not in an 8-bit encoding")
        if self.encoding == "utf-8":
            try:
                _ = body.isascii() or body.decode("utf-8")  # of a large text, a copy of its size
            except UnicodeDecodeError as error:
                raise SourceError(
                    f"byte {error.start + len(self.bom)} is not UTF-8; save the file as UTF-8 or add a coding line"
                ) from None
            self.data = body
        else:
            self.data = _decode(body, self.encoding).encode("utf-8")

    @cached_property
    def text(self) -> str:
        return self.data.decode("utf-8")

    @cached_property
    def words(self) -> frozenset[bytes]:
        """The names, keywords and numbers of the text, those in strings and comments too."""
        return words(self.data)

    @cached_property
    def vocabulary(self) -> bytes:
        """The words, each between line feeds: a small text to look for parts of words in."""
        return b"\n".join((b"", *self.words, b""))

    def forget(self) -> None:
        """Let go of the words, which are millions in a large file, and keep the vocabulary."""
        if self.vocabulary:
            self.__dict__.pop("words", None)

    def raw(self, data: bytes) -> bytes:
        """`data` (UTF-8) as this file's bytes: same encoding, same byte order mark.

        Raise SourceError where the file's encoding has no such character.
        """
        if self.encoding == "utf-8":
            return self.bom + data
        try:
            return self.bom + data.decode("utf-8").encode(self.encoding)
        except UnicodeEncodeError:
            raise SourceError(f"the fixed text does not fit the file's encoding {self.encoding}") from None

    @cached_property
    def line_starts(self) -> Sequence[int]:
        """The byte offset of each line's first byte."""
        data = self.data
        if len(data) <= _PART:
            return [0, *accumulate(map(len, _lines(data)))]
        from array import array  # a list of numbers takes five times the memory

        starts = array("q", [0])
        at = 0
        while at < len(data):
            end = data.find(b"\n", at + _PART) + 1 or len(data)
            starts.extend(islice(accumulate(map(len, _lines(data[at:end])), initial=at), 1, None))
            at = end
        return starts

    @cached_property
    def newline(self) -> str:
        """The file's first line end, or a line feed."""
        match = _LINE_END.search(self.data)
        return match.group().decode() if match else "\n"

    def offset(self, line: int, column: int) -> int:
        """The offset of a line (from 1) and a column in bytes (from 0), as `ast` gives them."""
        return self.line_starts[line - 1] + column

    def line_of(self, offset: int) -> int:
        """The line (from 1) that holds `offset`."""
        return bisect_right(self.line_starts, offset)

    def line_span(self, line: int) -> tuple[int, int]:
        """Start and end of a line (from 1), its line end left out."""
        start = self.line_starts[line - 1]
        if line < len(self.line_starts):
            text = self.data[start : self.line_starts[line]]
            return start, start + len(text.rstrip(b"\r\n"))
        return start, len(self.data)

    def line_text(self, line: int) -> str:
        start, end = self.line_span(line)
        return self.data[start:end].decode("utf-8")

    def position(self, offset: int) -> Position:
        """What people call this offset."""
        line = self.line_of(offset)
        before = self.data[self.line_starts[line - 1] : offset]
        return Position(line, len(before.decode("utf-8", "replace")) + 1)

    def slice(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8")


def words(text: bytes) -> frozenset[bytes]:
    """The names, keywords and numbers of a text; of a large one part by part: their list would be ten times its size."""
    if len(text) <= _PART:
        return frozenset(text.translate(_APART).split())
    found: set[bytes] = set()
    rest = b""
    for start in range(0, len(text), _PART):
        part, _, rest = (rest + text[start : start + _PART].translate(_APART)).rpartition(b" ")
        found.update(part.split())
    return frozenset(found.union(rest.split()))


def _lines(data: bytes) -> list[bytes]:
    """The lines that end, with their ends."""
    lines = data.splitlines(keepends=True)  # of bytes: at the tokenizer's line ends alone
    if lines and not lines[-1].endswith((b"\n", b"\r")):
        lines.pop()
    return lines


def _encoding(raw: bytes) -> str:
    """The encoding that Python itself would read `raw` with."""
    first = raw.find(b"\n") + 1
    second = raw.find(b"\n", first) if first else -1
    if not _CODING.search(raw, 0, second if second >= 0 else len(raw)):
        return "utf-8"  # the caller names the byte that is not
    import tokenize  # few files need it

    try:
        name, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError as error:
        raise SourceError(f"{error}; mend the coding line") from None
    return "utf-8" if name in ("utf-8", "utf-8-sig") else name


def _decode(body: bytes, encoding: str) -> str:
    try:
        text = body.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise SourceError(f"the file is not {encoding} as its coding line says") from None
    if text.encode(encoding) != body:
        raise SourceError(f"the encoding {encoding} does not survive a round trip; save the file as UTF-8")
    return text
