"""Whether a text is Python: what PRF000 asks of every file, and `ast` of those in which something may be found.

Where nothing may be found a tree is not needed, and a parser of a fifth of the cost has the first word: that of ruff, as
`ast_serialize` wraps it for mypy. What it refuses is shown to Python's own, whose word is final. Where it is not
installed, or might nest too deeply, Python's parser alone reads the file, still without making a tree. Both take fifty times
the memory of what they read, and more, so a large file is read part by part.

Syntax that is newer than this Python is none of the fast parser's complaints: such a file is reported
only where a rule would have to look into it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from perflint.analysis.skeleton import Unclear, blanked, unclosed
from perflint.analysis.split import Split
from perflint.model.source import Source

_UNKNOWN = "perflint"  # no feature of Python
# What makes a chain such as `a.b.c + d[0]` longer; the fast parser takes stack for each link, about 150 bytes.
_BINARY = b".+-*/%@&|^<>"
_NO_LINKS = bytes(set(range(256)) - set(_BINARY + b"(["))
_LINKS = 2_000  # are sure to fit into the smallest stack that threads have
_APART = re.compile(
    rb"\n[ \t]*(?:class|def|import|pass|raise|return)\b"
)  # no expression goes on behind these

# The same told bracket by bracket: what is left of a text are links, brackets, and what parts expressions.
_LEVELS, _RUN = 20, 95  # their product is _LINKS, about
_NO_LEVELS = bytes(set(range(256)) - set(_BINARY + b"()[]{},:;\n"))
_SHORT = rb"\n*(?:[%s]\n*){0,%d}" % (re.escape(_BINARY), _RUN - 1)
_ITEM = re.compile(rb"[,:;]" + _SHORT + rb"(?=[,:;)\]}])")
_GROUP = re.compile(rb"[(\[{]" + _SHORT + rb"[)\]}]")
_LEFT = re.compile(rb"[()\[\]{}]|[%s]{%d}" % (re.escape(_BINARY), _RUN))
_FORMATTED = re.compile(rb"[fFtT][rR]?[\"']")

_PART = 500_000  # bytes of a large file that are read at once, at least
_MARGIN = rb"(?=[@A-Za-z_])(?!(?:else|elif|except|finally)\b)"
# Where a statement starts at the margin that is no decorated one's second line: behind an empty line or an indented one, or
# because it is none that can be decorated.
_CUT = re.compile(
    rb"\n(?:(?:[ \t\r][^\n]*)?(?<!\\)(?<!\\\r)\n"
    + _MARGIN
    + rb"|(?<!\\\n)(?<!\\\r\n)"
    + _MARGIN
    + rb"(?!@|(?:def|class|async)\b))"
)


class Unreadable(Exception):
    """Python's parser does not take the text; the cause says why."""


def parse(source: Source) -> ast.Module:
    """The tree of the file; raise Unreadable where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes and the like are not our subject
        try:
            return ast.parse(source.text)
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            raise Unreadable from error


def parses(source: Source, blank: bytes) -> bool:
    """Whether `parse` would give a tree, newer syntax aside; `blank` is the text without its strings and comments."""
    if len(blank) <= _PART:
        return _readable(source.text, source.data, blank)
    for start, end in _parts(blank):
        data = source.data[start:end]
        if not _readable(data.decode(), data, blank[start:end]):
            return _taken(source.text)
    return True


def _parts(blank: bytes) -> Iterator[tuple[int, int]]:
    """A text cut between statements."""
    start = at = depth = 0
    for match in _CUT.finditer(blank):
        depth += unclosed(blank[at : match.end()])
        at = match.end()
        if depth == 0 and at - start >= _PART:
            yield start, at
            start = at
    yield start, len(blank)


def _readable(text: str, data: bytes, blank: bytes) -> bool:
    return _read_apart(data, blank) or _at_once(text, data, blank) or _taken(text)


def _at_once(text: str, data: bytes, blank: bytes) -> bool:
    return (_links_few(data) or _links_spread(data, blank)) and _accepted(text)


def _read_apart(data: bytes, blank: bytes) -> bool:
    """Whether the fast parser takes all parts of a text that no line ends for long: one function, or one line."""
    if len(data) > 2 * _PART:
        with suppress(Unclear):
            split = Split(data, blank)
            texts = chain([split.rest(targets=False)], map(split.alone, split.parts))
            return all(_at_once(text.decode(), text, blanked(text)) for text in texts)
    return False


def _accepted(text: str) -> bool:
    """Whether the fast parser is here and has no complaint."""
    try:
        from ast_serialize import parse as read
    except ImportError:
        return False
    with suppress(Exception):  # an interface that is not ours; Python's parser has the last word
        return not read("", text, skip_function_bodies=True)[1]  # skips them in the tree
    return False


def _links_few(data: bytes) -> bool:
    """Whether no expression can be so long that the fast parser, which recurses, runs out of stack."""
    return _links(data) <= _LINKS or max(map(_links, _APART.split(data))) <= _LINKS


def _links_spread(data: bytes, blank: bytes) -> bool:
    """Whether many links are many expressions: the items of a long literal, or the lines of a long function."""
    if b"\\\n" in blank or b"\\\r" in blank or _FORMATTED.search(data):  # hides links, or where they end
        return False
    text = blank.translate(None, _NO_LEVELS)
    for _ in range(_LEVELS):
        before, text = len(text), _replaced(_GROUP, b".", _replaced(_ITEM, b"", text))
        if len(text) == before:
            break
    return _LEFT.search(text) is None


def _replaced(pattern: re.Pattern[bytes], new: bytes, text: bytes) -> bytes:
    """With what the pattern matches replaced, but for what lies across two parts: all at once would take much memory."""
    parts = (text[start : start + _PART] for start in range(0, len(text), _PART))
    return b"".join(pattern.sub(new, part) for part in parts)


def _links(data: bytes) -> int:
    return len(data.translate(None, _NO_LINKS))


def _taken(text: str) -> bool:
    """Whether Python's parser takes the text. It complains of an unknown feature only when it has read everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(f"from __future__ import {_UNKNOWN}\n{text}", "", "exec", dont_inherit=True)
        except SyntaxError as error:
            return _UNKNOWN in error.msg
        except (RecursionError, MemoryError, ValueError):
            pass
    return False
