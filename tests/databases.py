"""Real databases behind one face, each by one driver in one mode; the fixture `database` is each in turn.

All hold a table `t(at, a, b)`: `at` numbers the rows as written, `a` is a unique INTEGER that must be positive, `b` a TEXT.
Choose some databases by `@pytest.mark.parametrize("database", [..], indirect=True)`.
"""

import asyncio
import itertools
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import psycopg
import psycopg2
import pytest
from psycopg.pq import TransactionStatus
from servers import MYSQL as MYSQL_URL
from servers import NO_MYSQL, mysql_address

SELECT = "SELECT a, b FROM t ORDER BY at"
CREATE = "CREATE TABLE t(at {serial}, a INTEGER UNIQUE CHECK (a > 0), b TEXT)"

LONGEST_WAIT = 300  # seconds, for the tests of another process on the same server

Table = list[tuple[Any, ...]]


class Database:
    """One driver in one mode. `asynchronous` ones take `async def f(conn, rows)`."""

    asynchronous = False
    placeholder = "%s"
    named = "%(\\1)s"
    begin = "BEGIN"

    def __init__(self, autocommit: bool = False) -> None:
        self.autocommit = autocommit

    # What a driver must say

    def connect(self) -> Any:
        raise NotImplementedError

    def reset(self, rows: Sequence[tuple[Any, ...]] = ()) -> None:
        """A fresh table of these rows; no connection that has used it is open."""
        raise NotImplementedError

    def committed(self, conn: Any) -> Table:
        """What a second connection sees."""
        raise NotImplementedError

    def state(self, conn: Any) -> str:
        """idle, in transaction, failed, or closed."""
        raise NotImplementedError

    # The rest follows

    def query(self, conn: Any, sql: str) -> Table:
        cursor = conn.cursor()
        try:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            cursor.close()

    def own(self, conn: Any) -> Table | str:
        """What the connection itself sees."""
        try:
            return self.query(conn, SELECT)
        except Exception as error:
            return f"unreadable: {type(error).__name__}"

    def work(self, conn: Any, sql: str) -> None:
        """Leave work of the caller's pending in an open transaction."""
        if self.autocommit:
            self.query(conn, self.begin)
        self.query(conn, sql)

    def call(self, function: Callable[[Any, Any], Any], conn: Any, rows: Any) -> Any:
        return function(conn, rows)

    def close(self, conn: Any) -> None:
        conn.close()

    def end(self) -> None:
        """Give back what the whole run held."""

    def translate(self, text: str) -> str:
        """SQL with `?` or `:name`, in this driver's parameter style; positions start anew on each line."""
        if self.placeholder == "?":
            return text
        text = re.sub(r"(?<=[(,= ]):(\w+)", self.named, text)
        lines = []
        for line in text.split("\n"):
            numbers = itertools.count(1)
            lines.append(re.sub(r"\?", lambda _: self.placeholder.format(next(numbers)), line))  # noqa: B023
        return "\n".join(lines)


class SQLite(Database):
    """sqlite3 on a file. `autocommit` is isolation_level=None; BEGIN is then the caller's."""

    placeholder = "?"

    def __init__(self, path: Path | str, autocommit: bool = False) -> None:
        super().__init__(autocommit)
        self.path = path

    @property
    def level(self) -> str | None:
        return None if self.autocommit else ""

    def connect(self) -> Any:
        return sqlite3.connect(self.path, isolation_level=self.level)

    def reset(self, rows: Sequence[tuple[Any, ...]] = ()) -> None:
        Path(self.path).unlink(missing_ok=True)
        conn = sqlite3.connect(self.path)
        self.create(conn, rows)
        conn.close()

    def create(self, conn: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        conn.execute("PRAGMA synchronous = OFF")
        conn.execute(CREATE.format(serial="INTEGER PRIMARY KEY AUTOINCREMENT"))
        conn.executemany("INSERT INTO t(a, b) VALUES (?, ?)", rows)
        conn.commit()

    def committed(self, conn: Any) -> Table:
        other = sqlite3.connect(self.path)
        try:
            return other.execute(SELECT).fetchall()
        finally:
            other.close()

    def state(self, conn: Any) -> str:
        try:
            return "in transaction" if conn.in_transaction and conn.total_changes >= 0 else "idle"
        except (sqlite3.ProgrammingError, ValueError):
            return "closed"


class SQLiteMemory(SQLite):
    """Nobody else can see it: a second connection would see what a rollback leaves."""

    def __init__(self, autocommit: bool = False) -> None:
        super().__init__(":memory:", autocommit)

    def connect(self) -> Any:
        conn = super().connect()
        self.create(conn, self.rows)
        return conn

    def reset(self, rows: Sequence[tuple[Any, ...]] = ()) -> None:
        self.rows = rows

    def committed(self, conn: Any) -> Table:
        if self.state(conn) == "closed":
            return []
        if conn.in_transaction:
            conn.rollback()
        return self.query(conn, SELECT)


class Loop:
    """Calls of an asynchronous driver, on a loop of its own."""

    asynchronous = True

    def start(self) -> None:
        self.loop = asyncio.new_event_loop()

    def wait(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def call(self, function: Callable[[Any, Any], Any], conn: Any, rows: Any) -> Any:
        return self.wait(function(conn, rows))

    def close(self, conn: Any) -> None:
        self.wait(conn.close())


class AioSQLite(Loop, SQLite):
    def __init__(self, path: Path | str, autocommit: bool = False) -> None:
        super().__init__(path, autocommit)
        self.start()

    def connect(self) -> Any:
        async def opened() -> Any:
            return await aiosqlite.connect(self.path, isolation_level=self.level)

        return self.wait(opened())

    def query(self, conn: Any, sql: str) -> Table:
        return [tuple(row) for row in self.wait(conn.execute_fetchall(sql))]

    def end(self) -> None:
        self.loop.close()


class Postgres(Database):
    """What the drivers of PostgreSQL share: one more connection, which sets up and looks on."""

    def __init__(self, uri: str, autocommit: bool = False) -> None:
        super().__init__(autocommit)
        self.uri = uri
        self.observer = psycopg.connect(uri, autocommit=True)
        self.observer.execute(f"ALTER DATABASE {self.observer.info.dbname} SET synchronous_commit = off")
        self.observer.execute("DROP TABLE IF EXISTS t")
        self.observer.execute(CREATE.format(serial="SERIAL"))

    def reset(self, rows: Sequence[tuple[Any, ...]] = ()) -> None:
        self.observer.execute("DELETE FROM t")
        self.observer.cursor().executemany("INSERT INTO t(a, b) VALUES (%s, %s)", rows)

    def committed(self, conn: Any) -> Table:
        return self.observer.execute(SELECT).fetchall()

    def status(self, conn: Any) -> int:
        return conn.info.transaction_status  # type: ignore[no-any-return]

    def state(self, conn: Any) -> str:
        if conn.closed:
            return "closed"
        status = self.status(conn)
        if status == TransactionStatus.IDLE:
            return "idle"
        return "failed" if status == TransactionStatus.INERROR else "in transaction"

    def end(self) -> None:
        self.observer.close()


class Psycopg(Postgres):
    def connect(self) -> Any:
        return psycopg.connect(self.uri, autocommit=self.autocommit)


class Psycopg2(Postgres):
    def connect(self) -> Any:
        conn = psycopg2.connect(self.uri)
        conn.autocommit = self.autocommit
        return conn

    def status(self, conn: Any) -> int:
        return conn.get_transaction_status()  # type: ignore[no-any-return]


class AsyncPostgres(Loop, Postgres):
    def __init__(self, uri: str, autocommit: bool = False) -> None:
        super().__init__(uri, autocommit)
        self.start()

    def end(self) -> None:
        self.loop.close()
        super().end()


class PsycopgAsync(AsyncPostgres):
    def connect(self) -> Any:
        return self.wait(psycopg.AsyncConnection.connect(self.uri, autocommit=self.autocommit))

    def query(self, conn: Any, sql: str) -> Table:
        async def rows() -> Table:
            cursor = await conn.execute(sql)
            return await cursor.fetchall() if cursor.description else []

        return self.wait(rows())  # type: ignore[no-any-return]


class Asyncpg(AsyncPostgres):
    placeholder = "${}"

    def connect(self) -> Any:
        return self.wait(asyncpg.connect(self.uri))

    def query(self, conn: Any, sql: str) -> Table:
        return [tuple(row) for row in self.wait(conn.fetch(sql))]

    def state(self, conn: Any) -> str:
        if conn.is_closed():
            return "closed"
        return "in transaction" if conn.is_in_transaction() else "idle"


class PyMySQL(Database):
    """PyMySQL, which also sets up and looks on for mysql.connector."""

    begin = "START TRANSACTION"

    def __init__(self, autocommit: bool = False) -> None:
        super().__init__(autocommit)
        self.observer = self.pymysql(True)
        # All processes that test share the one database; the lock ends with the connection.
        assert self.query(self.observer, f"SELECT GET_LOCK('perflint tests', {LONGEST_WAIT})") == [(1,)]
        self.query(self.observer, "DROP TABLE IF EXISTS t")
        self.query(self.observer, CREATE.format(serial="INTEGER AUTO_INCREMENT PRIMARY KEY"))

    def pymysql(self, autocommit: bool) -> Any:
        import pymysql

        return pymysql.connect(**mysql_address(), autocommit=autocommit)

    def connect(self) -> Any:
        return self.pymysql(self.autocommit)

    def reset(self, rows: Sequence[tuple[Any, ...]] = ()) -> None:
        self.query(self.observer, "DELETE FROM t")
        with self.observer.cursor() as cursor:
            cursor.executemany("INSERT INTO t(a, b) VALUES (%s, %s)", rows)

    def committed(self, conn: Any) -> Table:
        return self.query(self.observer, SELECT)

    def state(self, conn: Any) -> str:
        if not conn.open:
            return "closed"
        return "in transaction" if conn.server_status & 1 else "idle"

    def close(self, conn: Any) -> None:
        if conn.open:  # a second close() is an error here
            conn.close()

    def end(self) -> None:
        self.observer.close()


class MySQLConnector(PyMySQL):
    """mysql.connector in pure Python; its extension in C does not load everywhere."""

    def connect(self) -> Any:
        import mysql.connector

        return mysql.connector.connect(**mysql_address(), autocommit=self.autocommit, use_pure=True)

    def state(self, conn: Any) -> str:
        if not conn.is_connected():
            return "closed"
        return "in transaction" if conn.in_transaction else "idle"

    def close(self, conn: Any) -> None:
        conn.close()


Modes = dict[str, tuple[type[Any], bool]]

SQLITE: Modes = {
    "sqlite3": (SQLite, False),
    "sqlite3 autocommit": (SQLite, True),
    "aiosqlite": (AioSQLite, False),
    "aiosqlite autocommit": (AioSQLite, True),
}
MEMORY: Modes = {
    "sqlite3 memory": (SQLiteMemory, False),
    "sqlite3 memory autocommit": (SQLiteMemory, True),
}
POSTGRES: Modes = {
    "psycopg": (Psycopg, False),
    "psycopg autocommit": (Psycopg, True),
    "psycopg2": (Psycopg2, False),
    "psycopg2 autocommit": (Psycopg2, True),
    "psycopg async": (PsycopgAsync, False),
    "psycopg async autocommit": (PsycopgAsync, True),
    "asyncpg": (Asyncpg, True),
}
MYSQL: Modes = {
    "PyMySQL": (PyMySQL, False),
    "PyMySQL autocommit": (PyMySQL, True),
    "mysql.connector": (MySQLConnector, False),
    "mysql.connector autocommit": (MySQLConnector, True),
}
EVERY = [*MEMORY, *SQLITE, *POSTGRES, *MYSQL]


@pytest.fixture(params=EVERY)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Its server is started by the first test that needs it."""
    name, opened = request.param, None
    if name in MEMORY:
        kind, autocommit = MEMORY[name]
        opened = kind(autocommit)
    elif name in SQLITE:
        kind, autocommit = SQLITE[name]
        opened = kind(request.getfixturevalue("tmp_path") / "rows.db", autocommit)
    elif name in POSTGRES:
        kind, autocommit = POSTGRES[name]
        opened = kind(request.getfixturevalue("postgres_uri"), autocommit)
    elif not MYSQL_URL:
        pytest.skip(NO_MYSQL)
    else:
        kind, autocommit = MYSQL[name]
        opened = kind(autocommit)
    yield opened
    opened.end()
