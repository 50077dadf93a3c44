"""PRF505: the connection is closed, and nothing else changes."""

import sqlite3
from typing import Any

import pytest
from databases import Psycopg2, SQLite
from differences import Case, cases, differences
from fixes import repaired

from perflint.model.diagnostics import Applicability

# What is left open here is what the rule is about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WRITING = """
def f(conn, rows):
    with DRIVER.connect(ADDRESS) as own:
        cur = own.cursor()
        for r in rows:
            cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
        cur.execute("SELECT count(*) FROM t")
        return cur.fetchone()
"""
COMMITTING = """
def f(conn, rows):
    own = DRIVER.connect(ADDRESS)
    with own:
        cur = own.cursor()
        for r in rows:
            cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
            own.commit()
"""
YIELDING = """
def given(rows):
    with DRIVER.connect(ADDRESS) as own:
        cur = own.cursor()
        for r in rows:
            cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
            yield cur.rowcount

def f(conn, rows):
    return list(given(rows))
"""
BESIDE = """
def f(conn, rows):
    try:
        with DRIVER.connect(ADDRESS) as own, open("/dev/null") as out:
            cur = own.cursor()
            cur.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(r.a, r.b) for r in rows])
            out.write("not open for writing" if len(rows) > 4 else "")
    except OSError:
        return "rolled back"
"""
TEXTS = [WRITING, COMMITTING, YIELDING, BESIDE]
IDS = ["write", "commit", "yield", "beside a file"]


def given() -> list[Case]:
    """The caller holds no lock: the function has a connection of its own."""
    return [case for case in cases(more=4) if not case.pending and not case.lazy]


@pytest.mark.parametrize("database", ["sqlite3"], indirect=True)
@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_equal_on_sqlite(database: SQLite, text: str) -> None:
    text = text.replace("DRIVER", "sqlite3").replace("ADDRESS", repr(str(database.path)))
    assert (
        differences(*repaired("PRF505", "import sqlite3", text, Applicability.SAFE), database, given()) == []
    )


@pytest.mark.parametrize("database", ["psycopg2"], indirect=True)
@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_equal_on_postgres(database: Psycopg2, text: str) -> None:
    text = database.translate(text).replace("DRIVER", "psycopg2").replace("ADDRESS", repr(database.uri))
    assert (
        differences(*repaired("PRF505", "import psycopg2", text, Applicability.SAFE), database, given()) == []
    )


def test_a_cursor_that_is_returned_ends_with_its_connection() -> None:
    text = """
    def f():
        with sqlite3.connect("") as own:
            return own.execute("SELECT 1")
    """
    before, after = (
        space(code)["f"]() for code in repaired("PRF505", "import sqlite3", text, Applicability.UNSAFE)
    )
    assert before.fetchall() == [(1,)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        after.fetchall()


def test_closing_alone_would_lose_the_commit(tmp_path: Any) -> None:
    text = f"""
    def f():
        with sqlite3.connect({str(tmp_path / "a.db")!r}) as own:
            own.execute("CREATE TABLE IF NOT EXISTS t(a)")
            own.execute("INSERT INTO t VALUES (1)")
            return own.execute("SELECT count(*) FROM t").fetchone()
    """
    _, after = repaired("PRF505", "import sqlite3", text, Applicability.SAFE)
    alone = after.replace(" as own, own:", " as own:")
    assert alone != after
    assert [space(code)["f"]() for code in (after, alone, alone, after)] == [(1,), (2,), (2,), (2,)]


def space(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "<function>", "exec"), names)
    return names
