"""PRF501: the safe fix for sqlite3 changes nothing; the others change just what makes them unsafe."""

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from databases import Database
from differences import Row, SourceFailed, Unbindable, differences
from fixes import repaired

from perflint.model.diagnostics import Applicability

# On sqlite3, safely fixed. Each is a whole program: the fix wants to see how the connection is made.
SAFE = {
    "with": """
        def write(path, rows):
            with sqlite3.connect(path) as conn:
                for r in rows:
                    conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
        """,
    "with a cursor": """
        def write(path, rows):
            conn = sqlite3.connect(path)
            with conn, closing(conn.cursor()) as cur:
                for r in rows:
                    cur.execute("INSERT OR REPLACE INTO t(a, b) VALUES (?, ?)", [r.a, r.b])
        """,
    "whole rows": """
        def write(path, rows):
            with closing(sqlite3.connect(path)) as conn, conn:
                for row in rows:
                    conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", row)
        """,
    "dictionaries": """
        def write(path, rows):
            with sqlite3.connect(path) as conn:
                for r in rows:
                    conn.execute("UPDATE t SET b = :b WHERE a = :a", {"a": r.a, "b": r.b})
        """,
    "a test": """
        def write(path, rows):
            with sqlite3.connect(path) as conn:
                for r in rows:
                    if r.b is None:
                        continue
                    conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b.strip()))
        """,
    "two loops": """
        def write(path, rows):
            kept = list(rows)
            with sqlite3.connect(path) as conn:
                for r in kept:
                    conn.execute("DELETE FROM t WHERE a = ?", (r.a,))
                for a, b in kept:
                    conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (a, b))
        """,
    "from the same database": """
        def write(path, rows):
            with sqlite3.connect(path) as conn:
                for a, b in conn.execute("SELECT a, b FROM t"):
                    conn.execute("UPDATE t SET b = b || ? WHERE a = ?", (b, a))
        """,
    "commit": """
        def write(path, rows):
            conn = sqlite3.connect(path)
            cur = conn.cursor()
            for r in rows:
                cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
            conn.commit()
            conn.close()
        """,
    "commit, finally": """
        def write(path, rows):
            conn = sqlite3.connect(path)
            try:
                for number, r in enumerate(rows):
                    conn.execute("REPLACE INTO t(a, b) VALUES (?, ?)", (r.a, f"{number}: {r.b}"))
                conn.commit()
            finally:
                conn.close()
        """,
}
TABLES = "CREATE TABLE t(at INTEGER PRIMARY KEY, a INTEGER UNIQUE CHECK (a > 0), b TEXT)"
ROUNDS = 250  # random inputs for each of SAFE


class Watched(sqlite3.Connection):
    """Tells of its state at the end of every `with`, and when it goes."""

    seen: list[Any]

    def __exit__(self, *error: Any) -> Any:
        before = self.total_changes
        answer = super().__exit__(*error)
        self.seen.append((self.in_transaction, before))
        return answer


def source(rows: list[Any], fails: int | None) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if number == fails:
            raise SourceFailed
        yield row


def draw(chance: random.Random) -> tuple[list[Any], int | None]:
    """Some rows, with keys that are there or come twice, values refused or unbindable, and broken rows."""
    rows: list[Any] = []
    for _ in range(chance.choice((0, 0, 1, 2, 3, 5, 9))):
        row: Any = Row(chance.randrange(1, 12), chance.choice(["", "x", " y ", "é", None]))
        if chance.random() < 0.15:
            bad = [
                row._replace(a=-1),
                row._replace(a=Unbindable()),
                row._replace(b=Unbindable()),
                (1,),
                None,
                7,
            ]
            row = chance.choice(bad)
        rows.append(row)
    return rows, chance.randrange(9) if chance.random() < 0.15 else None


def done(program: str, path: str, rows: list[Any], fails: int | None) -> tuple[Any, ...]:
    """What the program leaves: its error, what it said of its transactions, the table."""
    made: list[Any] = []
    seen: list[Any] = []

    def connect(where: str) -> Any:
        conn = sqlite3.connect(where, uri=True, factory=Watched)
        conn.execute("PRAGMA synchronous = OFF")
        conn.seen = seen
        made.append(conn)
        return conn

    names: dict[str, Any] = {"closing": closing, "sqlite3": SimpleNamespace(connect=connect)}
    error = ""
    with closing(sqlite3.connect(path, uri=True)) as kept:
        with kept:
            kept.execute("DROP TABLE IF EXISTS t")
            kept.execute(TABLES)
            kept.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(1, "one"), (2, "two")])
        try:
            exec(compile(program.replace("import sqlite3", ""), "<program>", "exec"), names)
            names["write"](path, source(rows, fails))
        except Exception as raised:
            error = f"{type(raised).__qualname__}: {raised}"
        for conn in made:
            conn.close()
        return error, seen, kept.execute("SELECT * FROM t ORDER BY at").fetchall()


@pytest.mark.parametrize(("where", "rounds"), [("memory", ROUNDS), ("file", 10)])
@pytest.mark.parametrize("name", SAFE)
def test_the_safe_fix_changes_nothing(name: str, where: str, rounds: int, tmp_path: Path) -> None:
    head = "import sqlite3\nfrom contextlib import closing"
    before, after = repaired("PRF501", head, SAFE[name], Applicability.SAFE)
    chance = random.Random(name)
    path = (
        f"file:{name.replace(' ', '-')}?mode=memory&cache=shared"
        if where == "memory"
        else str(tmp_path / "t.db")
    )
    for _ in range(rounds):
        rows, fails = draw(chance)
        old, new = (done(text, path, rows, fails) for text in (before, after))
        assert old == new, (rows, fails)


def test_without_rows_executemany_still_asks_for_the_table(tmp_path: Path) -> None:
    """What the safe fix takes for granted: that the database accepts the statement."""
    before, after = repaired("PRF501", "import sqlite3", SAFE["with"], Applicability.SAFE)
    missing = [text.replace("INTO t(", "INTO missing(") for text in (before, after)]
    path = str(tmp_path / "t.db")
    assert done(missing[0], path, [], None)[0] == ""
    assert done(missing[1], path, [], None)[0] == "OperationalError: no such table: missing"
    some = [done(text, path, [Row(5, "x")], None) for text in missing]
    assert some[0] == some[1]


# Elsewhere: `f(conn, rows)` on a connection of the caller's

DBAPI = """
def f(conn: {connection}, rows):
    cur = conn.cursor()
    for r in rows:
        cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
"""
ASYNCHRONOUS = """
async def f(conn: {connection}, rows):
    for r in rows:
        await conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", {row})
"""
# What may differ, and so makes the fix unsafe: a list of all rows is made before the first is written.
LISTED = {"state", "own", "error"}
ATOMIC = {"own", "committed", "error"}
DIFFERENT = {
    "sqlite3": {"state"},
    "sqlite3 memory": {"state"},
    "sqlite3 autocommit": set(),
    "aiosqlite": LISTED,
    "aiosqlite autocommit": ATOMIC,
    "psycopg": LISTED,
    "psycopg autocommit": ATOMIC,
    "psycopg async": LISTED,
    "psycopg async autocommit": ATOMIC,
    "asyncpg": ATOMIC,
}
CONNECTIONS = {
    "sqlite3": "sqlite3.Connection",
    "aiosqlite": "aiosqlite.Connection",
    "psycopg": "psycopg.Connection",
    "psycopg async": "psycopg.AsyncConnection",
    "asyncpg": "asyncpg.Connection",
}


def aspects(found: list[str]) -> set[str]:
    """Which of state, own view, committed rows and error differ somewhere."""
    return {match[1] for line in found if (match := re.search(r": (\w+) was ", line))}


@pytest.mark.parametrize(
    ("database", "name"), [(name, name) for name in DIFFERENT], indirect=["database"], ids=list(DIFFERENT)
)
def test_what_makes_the_other_fixes_unsafe(database: Database, name: str) -> None:
    driver = name.removesuffix(" autocommit").removesuffix(" memory")
    connection = CONNECTIONS[driver]
    row = "r.a, r.b" if name == "asyncpg" else "(r.a, r.b)"
    text = (ASYNCHRONOUS if database.asynchronous else DBAPI).format(connection=connection, row=row)
    head = f"import {connection.partition('.')[0]}"
    before, after = repaired("PRF501", head, database.translate(text), Applicability.UNSAFE)
    found = differences(before, after, database)
    assert aspects(found) == DIFFERENT[name]
    good = re.compile(r"(an iterator of )?\d rows?(, in a transaction)?:|keys that")
    assert not any(good.match(line) for line in found)  # rows that are all well are all written


@pytest.mark.parametrize("database", ["PyMySQL", "mysql.connector"], indirect=True)
def test_mysql_writes_one_statement(database: Database) -> None:
    connection = {"PyMySQL": "pymysql.Connection"}.get(
        type(database).__name__, "mysql.connector.MySQLConnection"
    )
    head = f"import {connection.rpartition('.')[0]}"
    text = database.translate(DBAPI.format(connection=connection))
    before, after = repaired("PRF501", head, text, Applicability.UNSAFE)
    found = differences(before, after, database)
    assert aspects(found) <= {"own", "state", "error"}
    assert not any(line.startswith(("2 rows", "7 rows")) for line in found)


CORE = """
def f(engine, rows):
    with engine.begin() as conn:
        for r in rows:
            conn.execute(insert(t), {"a": r.a, "b": r.b})
"""


def test_sqlalchemy_gets_no_empty_list(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    head = "from sqlalchemy import Engine, insert\nfrom tables import t"
    before, after = repaired("PRF501", head, CORE.replace("engine,", "engine: Engine,"), Applicability.UNSAFE)
    seen = []
    for text in (before, after):
        for rows in ([], [Row(1, "x")], [Row(1, "x"), Row(2, None)], [Row(1, "x"), Row(1, "y")]):
            engine = sqlalchemy.create_engine("sqlite://")
            t = sqlalchemy.Table(
                "t",
                sqlalchemy.MetaData(),
                sqlalchemy.Column("a", sqlalchemy.Integer, unique=True),
                sqlalchemy.Column("b", sqlalchemy.String),
            )
            t.create(engine)
            names: dict[str, Any] = {"t": t, "insert": sqlalchemy.insert, "Engine": sqlalchemy.Engine}
            exec(text.replace(head, ""), names)
            with suppress(sqlalchemy.exc.IntegrityError):
                names["f"](engine, rows)
            with engine.connect() as conn:
                seen.append(conn.execute(sqlalchemy.select(t)).fetchall())
            engine.dispose()
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
