"""PRF512: what a connection for all turns changes, and what it leaves as it was."""

import pytest
from databases import Database, Psycopg, SQLite
from differences import Case, cases, differences

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source

COMMITTING = """
import sqlite3
from contextlib import closing

def f(conn, rows):
    done = 0
    for r in rows:
        with closing(sqlite3.connect(ADDRESS)) as own:
            own.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
            own.commit()
            done += 1
    return done
"""
READING = """
import sqlite3
from contextlib import closing

def f(conn, rows):
    found = []
    for r in rows:
        with closing(sqlite3.connect(ADDRESS)) as own:
            found.append(own.execute("SELECT b FROM t WHERE a = ?", (r.a,)).fetchone())
            if r.a < 0:
                break
    return found
"""
LEAVING = """
import sqlite3
from contextlib import closing

def f(conn, rows):
    counts = []
    for r in rows:
        with closing(sqlite3.connect(ADDRESS)) as own:
            own.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
            counts.append(own.execute("SELECT count(*) FROM t").fetchone())
    return counts
"""
PSYCOPG = """
import psycopg

def f(conn, rows):
    for r in rows:
        with psycopg.connect(ADDRESS) as own:
            own.execute("INSERT INTO t(a, b) VALUES (%s, %s)", (r.a, r.b))
"""


def fixed(text: str) -> str:
    config = Config(select=("PRF512",))
    result = fix(
        Source("f.py", text.encode()), lambda source: engine.check(source, config), Applicability.UNSAFE
    )
    assert not result.defects and result.source.text != text
    assert result.source.text.index("connect(") < result.source.text.index("for r in rows")
    return result.source.text


def given() -> list[Case]:
    """The caller holds no lock: the function has connections of its own."""
    return [case for case in cases() if not case.pending]


def found(text: str, database: Database, address: str) -> list[str]:
    before, after = (item.replace("ADDRESS", repr(address)) for item in (text, fixed(text)))
    return differences(before, after, database, given())


@pytest.mark.parametrize("database", ["sqlite3"], indirect=True)
@pytest.mark.parametrize("text", [COMMITTING, READING], ids=["commit", "read"])
def test_equal_where_each_turn_commits_or_reads(database: SQLite, text: str) -> None:
    assert found(text, database, str(database.path)) == []


@pytest.mark.parametrize("database", ["sqlite3"], indirect=True)
def test_what_a_turn_leaves_uncommitted_is_seen_by_the_next(database: SQLite) -> None:
    lines = found(LEAVING, database, str(database.path))
    assert all(": returned was [(4,), (4,)" in line or ": error was" in line for line in lines) and lines
    assert any("is [(4,), (5,)" in line for line in lines)


@pytest.mark.parametrize("database", ["psycopg"], indirect=True)
def test_an_error_undoes_the_turns_before_where_with_commits(database: Psycopg) -> None:
    lines = found(PSYCOPG, database, database.uri)
    assert lines and all(": committed was" in line or ": own was" in line for line in lines)
    sound = {case.name for case in given() if case.fails_at is None and "rows" in case.name}
    assert not any(line.startswith(tuple(f"{name}:" for name in sound)) for line in lines)
    assert all(line.endswith("is [(1, 'one'), (2, 'two'), (3, None)]") for line in lines)


def test_a_connection_is_opened_for_no_rows() -> None:
    text = READING.replace("ADDRESS", repr("/nowhere/at/all.db"))
    spaces: list[dict[str, object]] = [{}, {}]
    for code, names in zip((text, fixed(text)), spaces, strict=True):
        exec(compile(code, "<function>", "exec"), names)
    assert spaces[0]["f"](None, []) == []  # type: ignore[operator]
    with pytest.raises(Exception, match="unable to open database file"):
        spaces[1]["f"](None, [])  # type: ignore[operator]
