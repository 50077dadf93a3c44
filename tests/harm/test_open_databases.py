"""Connections, cursors and transactions that stay open: who waits for them, what is lost, and the cure."""

import sys
import textwrap

import pytest
from programs import fixed, run

from perflint.analysis import engine, registry
from perflint.model.config import Config
from perflint.model.diagnostics import Severity
from perflint.model.source import Source
from perflint.testing import example

SETUP = """
import os, sqlite3, tempfile
from contextlib import closing

folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "users.db")

with closing(sqlite3.connect(path)) as made:
    made.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT UNIQUE, born INTEGER)")
    made.execute("CREATE TABLE accounts(id INTEGER PRIMARY KEY, sum INTEGER CHECK (sum >= 0))")
    made.executemany("INSERT INTO users(name, born) VALUES (?, ?)", [(f"name {n}", n) for n in range(2000)])
    made.executemany("INSERT INTO accounts VALUES (?, ?)", [(1, 10), (2, 10)])
    made.commit()


def open_files():
    return sum(os.path.realpath(f"/proc/self/fd/{fd}").endswith("users.db") for fd in os.listdir("/proc/self/fd"))
"""


def docs(code: str, title: str) -> str:
    rule = registry.find(code)
    assert rule is not None
    return example(rule.doc, title)


def program(head: str, use: str) -> str:
    """A program whose imports stand where a fix looks for them."""
    return head + SETUP + textwrap.dedent(use)


def said(text: str) -> list[str]:
    ended = run(text)
    assert ended.code == 0, ended.err
    return ended.out.split("\n")[:-1]


ERRORS = """
errors = []
for _ in range(20):
    try:
        save(path, "name 1")
    except sqlite3.IntegrityError as error:
        errors.append(error)
print(len(errors), open_files())
"""


def test_a_with_leaves_the_connections_of_errors_open() -> None:
    assert said(program(docs("PRF505", "Bad"), ERRORS)) == ["20 20"]
    assert said(program(docs("PRF505", "Good"), ERRORS)) == ["20 0"]


CALLS = """
import gc

gc.disable()
for n in range(20):
    save(path, f"new {n}")
print(open_files())
"""


def test_a_connection_is_in_a_cycle_with_its_statement_cache() -> None:
    left = "20" if sys.version_info >= (3, 11) else "0"
    assert said(program(docs("PRF505", "Bad"), CALLS)) == [left]
    assert said(program(docs("PRF505", "Good"), CALLS)) == ["0"]


READS = """
errors = []
for _ in range(20):
    try:
        names_of(path)
    except sqlite3.OperationalError as error:
        errors.append(error)
print(len(errors), open_files())
"""


def test_an_unclosed_connection_lives_as_long_as_a_traceback() -> None:
    bad, good = (docs("PRF506", title).replace("FROM users", "FROM nobody") for title in ("Bad", "Good"))
    assert said(program(bad, READS)) == ["20 20"]
    assert said(program(good, READS)) == ["20 0"]


WAITING = """
import asyncio
import aiosqlite


async def main():
    conn = await aiosqlite.connect(":memory:")
    rows = await conn.execute_fetchall("SELECT 1")
    print(*rows, flush=True)


asyncio.run(main())
"""


def test_an_unclosed_connection_of_a_pool_is_waited_for() -> None:
    text = """
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import QueuePool
    from sqlalchemy.exc import TimeoutError

    engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=2, max_overflow=0, pool_timeout=0.1)
    errors = []


    def count(table):
        conn = engine.connect()
        return conn.execute(text(f"SELECT count(*) FROM {table}")).scalar()


    for _ in range(3):
        try:
            count("nobody")
        except TimeoutError:
            print("no connection is left")
        except Exception as error:
            errors.append(error)
    print(len(errors))
    """
    pytest.importorskip("sqlalchemy")
    text = textwrap.dedent(text)
    assert said(text) == ["no connection is left", "2"]
    assert said(fixed("PRF506", text)) == ["3"]


def test_an_unclosed_connection_of_aiosqlite_keeps_the_program_alive() -> None:
    ended = run(WAITING, deadline=3)
    if ended.code is not None:
        pytest.skip("this aiosqlite ends its thread by itself")
    assert ended.out.split() == ["(1,)"]
    assert said(fixed("PRF506", WAITING)) == ["(1,)"]


LOCKED = """
import sqlite3


def renamed(path, other: sqlite3.Connection):
    conn = sqlite3.connect(path)
    cur = conn.cursor()
    cur.execute("SELECT name FROM users ORDER BY id")
    name, = cur.fetchone()
    try:
        other.execute("UPDATE users SET name = 'new' WHERE name = ?", (name,))
        other.commit()
        return "renamed"
    except sqlite3.OperationalError as error:
        return str(error)
    finally:
        conn.close()
        other.close()
"""


def test_a_cursor_that_is_half_read_locks_others_out() -> None:
    text = program(LOCKED, "print(renamed(path, sqlite3.connect(path, timeout=0)))\n")
    assert said(text) == ["database is locked"]
    assert said(fixed("PRF507", text)) == ["renamed"]


COMMIT = """
import sqlite3


def save(path, row):
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute(
        "CREATE TABLE pets(owner REFERENCES users(id) DEFERRABLE INITIALLY DEFERRED)"
    )
    conn.execute("INSERT INTO pets VALUES (?)", row)
    try:
        conn.commit()
    except Exception:
        CLAUSE
    conn.close()
"""
SAVED = """
try:
    save(path, (9999,))
    print("saved")
except sqlite3.IntegrityError as error:
    print(error)
with closing(sqlite3.connect(path)) as made:
    print(made.execute("SELECT count(*) FROM pets").fetchone())
"""


def test_a_swallowed_commit_loses_rows_without_a_word() -> None:
    bad = program(COMMIT.replace("CLAUSE", "pass"), SAVED)
    good = program(COMMIT.replace("CLAUSE", "conn.close()\n        raise"), SAVED)
    found = engine.check(Source("program.py", bad.encode()), Config(select=("PRF509",)))
    assert [item.severity for item in found] == [Severity.WARNING]
    assert said(bad) == ["saved", "(0,)"]
    assert said(good) == ["FOREIGN KEY constraint failed", "(0,)"]


MOVED = """
conn = sqlite3.connect(path, isolation_level=None)
try:
    move(conn, 99, 1, 2)
except sqlite3.IntegrityError as error:
    print(type(error).__name__)
other = sqlite3.connect(path, timeout=0)
try:
    with other:
        other.execute("UPDATE users SET born = 0")
    print("written")
except sqlite3.OperationalError as error:
    print(error)
conn.close()
other.close()
"""


def test_a_transaction_that_is_left_open_locks_others_out() -> None:
    # the first statement writes, the second is refused
    bad = (
        docs("PRF510", "Bad")
        .replace("sum - ?", "sum + ?", 1)
        .replace('sum + ? WHERE id = ?", (amount, target)', 'sum - ? WHERE id = ?", (amount, target)')
    )
    text = program(bad, MOVED)
    assert said(text) == ["IntegrityError", "database is locked"]
    assert said(fixed("PRF510", text)) == ["IntegrityError", "written"]
