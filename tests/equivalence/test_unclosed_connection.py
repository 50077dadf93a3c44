"""PRF506 and PRF507: closing a connection or cursor after its last use changes nothing that the function does.

The fixes are unsafe for what the text does not show: whoever else holds the connection.
"""

import pytest
from databases import Database, Psycopg, Psycopg2, SQLite
from differences import Case, cases, differences
from fixes import repaired

from perflint.model.diagnostics import Applicability

# What is left open here is what the rules are about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LEFT = """
def f(conn, rows):
    own = DRIVER.connect(ADDRESS)
    cur = own.cursor()
    for r in rows:
        cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
    return "written"
"""
COMMITTED = """
def f(conn, rows):
    own = DRIVER.connect(ADDRESS)
    cur = own.cursor()
    for r in rows:
        cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
        own.commit()
    cur.execute("SELECT count(*) FROM t")
    (count,) = cur.fetchone()
    return count
"""
READ = """
def f(conn, rows):
    own = DRIVER.connect(ADDRESS)
    cur = own.cursor()
    cur.execute("SELECT a FROM t ORDER BY a")
    return [a for (a,) in cur if a < len(list(rows))]
"""
TEXTS = [LEFT, COMMITTED, READ]
IDS = ["uncommitted", "committed", "read"]


def given() -> list[Case]:
    """The caller holds no lock: the function has a connection of its own."""
    return [case for case in cases(more=4) if not case.pending]


def found(text: str, driver: str, address: str, database: Database) -> list[str]:
    text = database.translate(text).replace("DRIVER", driver).replace("ADDRESS", repr(address))
    return differences(*repaired("PRF506", f"import {driver}", text, Applicability.UNSAFE), database, given())


@pytest.mark.parametrize("database", ["sqlite3"], indirect=True)
@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_closed_on_sqlite(database: SQLite, text: str) -> None:
    assert found(text, "sqlite3", str(database.path), database) == []


@pytest.mark.parametrize("database", ["psycopg2"], indirect=True)
@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_closed_on_postgres(database: Psycopg2, text: str) -> None:
    assert found(text, "psycopg2", database.uri, database) == []


@pytest.mark.parametrize("database", ["psycopg"], indirect=True)
@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_closed_where_with_would_commit(database: Psycopg, text: str) -> None:
    assert found(text, "psycopg", database.uri, database) == []


ONE = """
def f(conn: DRIVER_CONNECTION, rows):
    cur = conn.cursor()
    for r in rows:
        cur.execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
    cur.execute("SELECT a, b FROM t ORDER BY a")
    row = cur.fetchone()
    return tuple(row)
"""
SOME = """
def f(conn: DRIVER_CONNECTION, rows):
    found = []
    cur = conn.cursor()
    cur.execute("SELECT a, b FROM t ORDER BY a")
    for row in cur:
        if len(found) == 2:
            break
        found.append(tuple(row))
    for r in rows:
        conn.cursor().execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
    return found
"""
CONNECTIONS = {
    "sqlite3": ("sqlite3", "sqlite3.Connection"),
    "sqlite3 autocommit": ("sqlite3", "sqlite3.Connection"),
    "sqlite3 memory": ("sqlite3", "sqlite3.Connection"),
    "psycopg2": ("psycopg2.extensions", "psycopg2.extensions.connection"),
    "psycopg2 autocommit": ("psycopg2.extensions", "psycopg2.extensions.connection"),
    "psycopg": ("psycopg", "psycopg.Connection"),
}


@pytest.mark.parametrize("database", list(CONNECTIONS), indirect=True)
@pytest.mark.parametrize("text", [ONE, SOME], ids=["one row", "some rows"])
def test_closed_cursors(database: Database, text: str, request: pytest.FixtureRequest) -> None:
    module, connection = CONNECTIONS[request.node.callspec.params["database"]]
    text = database.translate(text).replace("DRIVER_CONNECTION", connection)
    both = repaired("PRF507", f"import {module}", text, Applicability.UNSAFE)
    assert differences(*both, database) == []


NAMED = """
def f(conn: DRIVER_CONNECTION, rows):
    cur = conn.cursor("named")
    cur.execute("SELECT a FROM t ORDER BY a")
    found = tuple(cur.fetchone())
    for r in rows:
        conn.cursor().execute("INSERT INTO t(a, b) VALUES (?, ?)", (r.a, r.b))
    return found
"""
OPEN = "SELECT count(*) FROM pg_cursors WHERE name = 'named'"


@pytest.mark.parametrize("database", ["psycopg2", "psycopg"], indirect=True)
def test_a_named_cursor_stays_on_the_server_until_it_is_closed(
    database: Database, request: pytest.FixtureRequest
) -> None:
    module, connection = CONNECTIONS[request.node.callspec.params["database"]]
    text = database.translate(NAMED).replace("DRIVER_CONNECTION", connection)
    before, after = repaired("PRF507", f"import {module}", text, Applicability.UNSAFE)
    assert differences(before, after, database) == []
    for code, left in ((before, [(1,)]), (after, [(0,)])):
        names: dict[str, object] = {}
        exec(compile(code, "<function>", "exec"), names)
        database.reset([(1, "one")])
        conn = database.connect()
        assert names["f"](conn, []) == (1,)  # type: ignore[operator]
        assert database.query(conn, OPEN) == left
        database.close(conn)
