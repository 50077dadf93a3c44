"""PRF502: what commits less often: rows of an error are lost with those before it, and nothing else changes."""

import re
from typing import Any

import pytest
from databases import Database
from differences import differences
from fixes import repaired

from perflint.model.diagnostics import Applicability

LOOP = """
def f(conn: {connection}, rows):
    cur = conn.cursor()
    for r in rows:
        cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
        conn.commit()
"""
WITH = """
def f(conn: {connection}, rows):
    for r in rows:
        with conn:
            conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
"""
CONNECTIONS = {
    "sqlite3": "sqlite3.Connection",
    "sqlite3 memory": "sqlite3.Connection",
    "psycopg": "psycopg.Connection",
    "psycopg2": "psycopg2.extensions.connection",
}
WELL = re.compile(
    r"(\d rows?|an iterator of \d rows):"
)  # no error, and no work of the caller's that is pending


def different(text: str, name: str, database: Database, **options: Any) -> list[str]:
    connection = CONNECTIONS[name]
    head = f"import {connection.rpartition('.')[0]}"
    program = database.translate(text.format(connection=connection))
    return differences(*repaired("PRF502", head, program, Applicability.UNSAFE), database)


@pytest.mark.parametrize(("database", "name"), [(name, name) for name in CONNECTIONS], indirect=["database"])
def test_a_commit_after_the_loop(database: Database, name: str) -> None:
    found = different(LOOP, name, database)
    assert not any(WELL.match(line) for line in found)
    # rows in front of a bad one are no longer committed
    lost = [line for line in found if line.startswith("a duplicate at 3: committed was")]
    assert len(lost) == 1 and lost[0].endswith("is [(1, 'one'), (2, 'two'), (3, None)]")
    # without rows there is a commit now
    assert any(line.startswith("no rows, in a transaction: ") for line in found)
    assert not any(": error was" in line for line in found)


@pytest.mark.parametrize(
    ("database", "name"), [(name, name) for name in ("sqlite3", "sqlite3 memory")], indirect=["database"]
)
def test_a_transaction_around_the_loop(database: Database, name: str) -> None:
    found = different(WITH, name, database)
    assert not any(WELL.match(line) for line in found)
    assert any(line.startswith("a duplicate at 3: committed was") for line in found)
    assert not any(": error was" in line for line in found)
