"""What an SQL text does, as far as its first keyword tells; see docs/sql-text.md for why no parser reads it."""

from __future__ import annotations

import re

WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "UPSERT"})
VERBS = WRITES | {
    *("SELECT", "WITH", "VALUES", "TABLE", "CREATE", "ALTER", "DROP", "TRUNCATE", "PRAGMA", "SET", "COPY", "CALL"),
    *("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "VACUUM", "ANALYZE", "EXPLAIN", "GRANT"),
    *("LOCK", "USE", "SHOW", "ATTACH", "DETACH", "REINDEX", "EXEC", "EXECUTE", "DECLARE", "FETCH", "LISTEN", "NOTIFY"),
}  # fmt: skip

_BLANK = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/|#[^\n]*(?:\n|$))+", re.S)
_WORD = re.compile(r"[A-Za-z]+")
# What hides words and brackets in a statement: strings, quoted names, comments.
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.S)
_RETURNING = re.compile(r"\bRETURNING\b", re.I)
_TABLE = re.compile(
    r"^(?:INSERT(?:\s+(?:OR\s+\w+|IGNORE))?\s+INTO|REPLACE\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM|MERGE\s+INTO)\s+"
    r"([\w.\"`\[\]{}]+)",
    re.I,
)
_LOCKING = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b|\bWITH\s*\(\s*UPDLOCK", re.I)
_PAGE = re.compile(r"\b(LIMIT|OFFSET|TOP|FETCH\s+(FIRST|NEXT))\b", re.I)
_POINT = re.compile(r"\bWHERE\b.*?=\s*(\?|%s|%\(\w+\)s|:\w+|\$\d+|@\w+)", re.I | re.S)


def verb(text: str) -> str | None:
    """The statement's first keyword in capitals, the one behind `WITH ..`; None where it is no SQL."""
    plain = _plain(text)
    word = _WORD.match(plain)
    first = word.group().upper() if word else ""
    if first == "WITH":
        return _behind_with(plain)
    return first if first in VERBS else None


def writes(text: str) -> bool:
    """Whether it changes rows."""
    return verb(text) in WRITES


def returns_rows(text: str) -> bool:
    """Whether a writing statement gives rows back."""
    return bool(_RETURNING.search(_QUOTED.sub("''", text)))


def table(text: str) -> str | None:
    """The table that a writing statement changes, in lower case and without quotes."""
    found = _TABLE.match(_plain(text))
    return found.group(1).translate({ord(mark): None for mark in '"`[]'}).lower() if found else None


def locks(text: str) -> bool:
    """Whether a SELECT locks the rows it reads: `FOR UPDATE`."""
    return bool(_LOCKING.search(text))


def pages(text: str) -> bool:
    """Whether a SELECT asks for a part of its rows: `LIMIT`, `OFFSET`, `TOP`."""
    return bool(_PAGE.search(text))


def point_lookup(text: str) -> bool:
    """Whether a SELECT looks rows up by a parameter: `WHERE id = ?`."""
    return verb(text) == "SELECT" and bool(_POINT.search(text))


def _plain(text: str) -> str:
    """The text without what may stand before a statement."""
    while True:
        blank = _BLANK.match(text)
        if blank:
            text = text[blank.end() :]
        elif text.startswith("("):
            text = text[1:]
        else:
            return text


def _behind_with(text: str) -> str | None:
    """The keyword behind the common table expressions: the first one outside of all brackets."""
    depth = 0
    for token in re.finditer(r"[()]|[A-Za-z_]\w*", _QUOTED.sub(" ", text)):
        if token.group() in "()":
            depth += 1 if token.group() == "(" else -1
        elif depth == 0 and token.group().upper() in WRITES | {"SELECT", "VALUES", "TABLE"}:
            return token.group().upper()
    return None
