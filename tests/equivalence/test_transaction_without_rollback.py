"""PRF510: the fix rolls back after an error, and changes nothing else."""

import pytest
from databases import Database
from differences import cases, differences
from fixes import repaired

from perflint.model.diagnostics import Applicability

SQLITE = """
def f(conn: sqlite3.Connection, rows):
    conn.execute("BEGIN")
    for r in rows:
        conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
    conn.commit()
    return "written"
"""
ASYNCPG = """
async def f(conn: asyncpg.Connection, rows):
    tr = conn.transaction()
    await tr.start()
    for r in rows:
        await conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", r.a, r.b)
    await tr.commit()
    return "written"
"""
GIVEN = cases(more=0)
SOUND = {
    case.name
    for case in GIVEN
    if not case.pending
    and case.fails_at is None
    and (case.name in ("no rows", "an empty iterator") or " rows" in case.name)
}
ROLLED_BACK = "is [(1, 'one'), (2, 'two'), (3, None)]"


@pytest.mark.parametrize(
    "database",
    ["sqlite3", "sqlite3 autocommit", "sqlite3 memory", "sqlite3 memory autocommit"],
    indirect=True,
)
def test_on_sqlite(database: Database) -> None:
    both = repaired("PRF510", "import sqlite3", SQLITE, Applicability.UNSAFE)
    check(differences(*both, database, GIVEN))


@pytest.mark.parametrize("database", ["asyncpg"], indirect=True)
def test_on_asyncpg(database: Database) -> None:
    both = repaired("PRF510", "import asyncpg", database.translate(ASYNCPG), Applicability.UNSAFE)
    check(differences(*both, database, GIVEN))


def check(lines: list[str]) -> None:
    """Only after an error is anything different: the transaction has ended, and what it wrote is gone."""
    assert any("state was 'in transaction', is 'idle'" in line for line in lines), lines
    for line in lines:
        case, _, rest = line.partition(": ")
        aspect = rest.partition(" ")[0]
        assert aspect in ("state", "own"), line
        assert aspect == "state" or rest.endswith(ROLLED_BACK), line
        assert case not in SOUND, line
