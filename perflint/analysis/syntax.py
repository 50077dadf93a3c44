"""Whether a text is Python: what PRF000 asks of every file, and `ast` of those in which something may be found.

Where nothing may be found a tree is not needed, and a parser of a fifth of the cost has the first word: that of ruff, as
`ast_serialize` wraps it for mypy. What it refuses is shown to Python's own, whose word is final. Where it is not
installed, or might nest too deeply, Python's parser alone reads the file, still without making a tree.

Syntax that is newer than this Python is none of the fast parser's complaints: such a file is reported
only where a rule would have to look into it.
"""

from __future__ import annotations

import ast
import re
import warnings
from contextlib import suppress

from perflint.model.source import Source

_UNKNOWN = "perflint"  # no feature of Python
# What makes a chain such as `a.b.c + d[0]` longer; the fast parser takes stack for each link, about 150 bytes.
_NO_LINKS = bytes(set(range(256)) - set(b".([+-*/%@&|^<>"))
_LINKS = 2_000  # are sure to fit into the smallest stack that threads have
_APART = re.compile(
    rb"\n[ \t]*(?:class|def|import|pass|raise|return)\b"
)  # no expression goes on behind these


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


def parses(source: Source) -> bool:
    """Whether `parse` would give a tree, newer syntax aside."""
    return (_links_few(source.data) and _accepted(source.text)) or _taken(source.text)


def _accepted(text: str) -> bool:
    """Whether the fast parser is here and has no complaint."""
    try:
        from ast_serialize import parse as read
    except ImportError:
        return False
    with suppress(Exception):  # an interface that is not ours; Python's parser has the last word
        return not read("", text)[1]
    return False


def _links_few(data: bytes) -> bool:
    """Whether no expression can be so long that the fast parser, which recurses, runs out of stack."""
    return _links(data) <= _LINKS or max(map(_links, _APART.split(data))) <= _LINKS


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
