"""What `differences` finds, on pairs whose answer is known."""

import pytest
from databases import EVERY, Database
from differences import cases, differences

SYNC = [name for name in EVERY if "async" not in name and "aio" not in name]
ASYNC_DBAPI = ["aiosqlite", "aiosqlite autocommit", "psycopg async", "psycopg async autocommit"]

LOOP = """
def f(conn, rows):
    cur = conn.cursor()
    for r in rows:
        cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
"""
MANY = """
def f(conn, rows):
    cur = conn.cursor()
    cur.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(r.a, r.b) for r in rows])
"""
COMMIT = "    conn.commit()\n"
WITH_LOOP = """
def f(conn, rows):
    with conn:
        for r in rows:
            conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
"""
WITH_MANY = """
def f(conn, rows):
    with conn:
        conn.executemany("INSERT INTO t(a, b) VALUES (?, ?)", ((r.a, r.b) for r in rows))
"""


@pytest.mark.parametrize("database", SYNC, indirect=True)
def test_a_function_equals_itself(database: Database) -> None:
    text = database.translate(LOOP + COMMIT)
    assert differences(text, text + "    return None\n", database) == []


@pytest.mark.parametrize("database", ["sqlite3", "sqlite3 memory"], indirect=True)
@pytest.mark.parametrize("seed", range(3))
def test_equal_in_a_with_block(database: Database, seed: int) -> None:
    assert differences(WITH_LOOP, WITH_MANY, database, seed=seed) == []


@pytest.mark.parametrize("database", ["sqlite3", "sqlite3 memory"], indirect=True)
def test_executemany_opens_a_transaction_for_no_rows(database: Database) -> None:
    found = differences(LOOP, MANY.replace("[", "(").replace("]", ")"), database)
    assert "no rows: state was 'idle', is 'in transaction'" in found
    assert all("state was 'idle'" in line for line in found)  # never the data


@pytest.mark.parametrize("database", ["psycopg autocommit"], indirect=True)
def test_executemany_is_atomic_where_each_statement_commits(database: Database) -> None:
    cases_with_duplicate = [case for case in cases() if case.name == "a duplicate at 2"]
    found = differences(database.translate(LOOP), database.translate(MANY), database, cases_with_duplicate)
    assert len(found) == 2 and found[0].startswith(
        "a duplicate at 2: own was [(1, 'one'), (2, 'two'), (3, None), ("
    )
    assert all(line.endswith("is [(1, 'one'), (2, 'two'), (3, None)]") for line in found)


ASYNC_LOOP = """
async def f(conn, rows):
    for r in rows:
        await conn.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
"""


@pytest.mark.parametrize("database", ASYNC_DBAPI, indirect=True)
def test_an_asynchronous_function_equals_itself(database: Database) -> None:
    text = database.translate(ASYNC_LOOP)
    assert differences(text, text + "    return None\n", database) == []


@pytest.mark.parametrize("database", ["asyncpg"], indirect=True)
def test_executemany_of_asyncpg_is_atomic(database: Database) -> None:
    loop = database.translate(ASYNC_LOOP).replace("(r.a, r.b)", "r.a, r.b")
    many = """
async def f(conn, rows):
    await conn.executemany("INSERT INTO t(a, b) VALUES ($1, $2)", [(r.a, r.b) for r in rows])
"""
    assert differences(loop, loop + "    return None\n", database) == []
    found = differences(loop, many, database)
    assert any(line.startswith("a duplicate at 3: committed was") for line in found)
    assert not any(line.startswith("7 rows") for line in found)


@pytest.mark.parametrize("database", ["sqlite3 memory", "psycopg", "PyMySQL"], indirect=True)
def test_dictionaries(database: Database) -> None:
    before = """
def f(conn, rows):
    cur = conn.cursor()
    for r in rows:
        cur.execute("UPDATE t SET b = :b WHERE a = :a", r)
    return cur.rowcount
"""
    text = database.translate(before)
    assert differences(text, text.replace("for r", "for  r"), database, shape="dict") == []
    found = differences(text, text.replace("cur.rowcount", "None"), database, shape="dict")
    assert "keys that are there: returned was 1, is None" in found
