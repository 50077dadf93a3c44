"""What `batch_execute` must know of a database driver. Drivers are recognised by name, never imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Connection = Any  # of any DB-API driver, or of asyncpg
Cursor = Any

_PG_IN_TRANSACTION = (2, 3)  # libpq's PQTRANS_INTRANS and PQTRANS_INERROR
_MYSQL_IN_TRANSACTION = 1  # SERVER_STATUS_IN_TRANS
_MYSQL_BAD_ROW = (1292, 1366, 3819, 4025)  # values and CHECKs that some drivers call operational errors
_MYSQL = frozenset({"pymysql", "MySQLdb", "mysql", "asyncmy"})
_PSYCOPG2_READY = 1  # STATUS_READY: the driver will send BEGIN
_DATA_ERRORS = frozenset({"IntegrityError", "DataError", "IntegrityConstraintViolationError"})
_ASYNC = frozenset({"aiosqlite", "asyncpg", "aiomysql", "asyncmy"})


def is_async(conn: Connection) -> bool:
    """Whether the connection's calls must be awaited."""
    return module_of(conn) in _ASYNC or type(conn).__name__.startswith("Async")


def is_data_error(error: BaseException) -> bool:
    """Whether the row is to blame: a constraint or a value. Never for errors of the server or the link."""
    if module_of(error) in _MYSQL and error.args and error.args[0] in _MYSQL_BAD_ROW:
        return True
    return any(kind.__name__ in _DATA_ERRORS for kind in type(error).__mro__)


def module_of(value: object) -> str:
    """The top-level package of an object's class; a subclass of the user's counts as its base."""
    for kind in type(value).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in _DIALECTS:
            return root
    return type(value).__module__.partition(".")[0]


class Dialect:
    """A DB-API driver of no particular kind. Calls return what the driver returns: for async ones an awaitable."""

    def __init__(self, conn: Connection) -> None:
        if not callable(getattr(conn, "cursor", None)):
            raise TypeError(f"conn must be a DB-API or asyncpg connection, got {conn!r}")
        self.conn = conn

    # State

    def closed(self) -> bool:
        return False

    def in_transaction(self) -> bool:
        """Whether work of the caller is pending; False where the driver does not say."""
        return getattr(self.conn, "in_transaction", False) is True

    def autocommit(self) -> bool:
        """Whether each statement commits by itself unless a BEGIN was sent."""
        return getattr(self.conn, "autocommit", False) is True

    def refusal(self) -> str:
        """Why this connection can write no batches, or ''."""
        if self.autocommit():
            return "in autocommit mode each row would be a transaction; set conn.autocommit = False"
        return ""

    # Calls

    def cursor(self) -> Any:
        return self.conn.cursor()

    def close(self, cursor: Cursor) -> Any:
        return cursor.close()

    def write(self, cursor: Cursor, sql: str, rows: list[Any]) -> Any:
        return cursor.executemany(sql, rows)

    def run(self, statement: str) -> Any:
        """A statement without parameters, such as SAVEPOINT."""
        cursor = self.conn.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()

    def begin(self) -> Any:
        """Open a transaction where the driver does not by itself."""
        return self.run("BEGIN") if self.autocommit() and not self.in_transaction() else None

    def commit(self) -> Any:
        return self.conn.commit()

    def rollback(self) -> Any:
        return self.conn.rollback()


class SQLite(Dialect):
    """sqlite3. A SAVEPOINT without BEGIN would be the transaction, and its RELEASE the commit."""

    def closed(self) -> bool:
        try:
            return self.conn.total_changes is None
        except Exception:  # ProgrammingError of sqlite3, ValueError of aiosqlite: both say so, in their way
            return True

    def refusal(self) -> str:
        if self._mode() is True:
            return (
                "with autocommit=True commit() does nothing, so batches cannot be transactions; "
                "set conn.autocommit = sqlite3.LEGACY_TRANSACTION_CONTROL"
            )
        return ""

    def in_transaction(self) -> bool:
        # With `autocommit=False` (3.12+) a transaction is open at any time: nobody can tell whose.
        return self._mode() is not False and bool(self.conn.in_transaction)

    def autocommit(self) -> bool:
        return self.conn.isolation_level is None and self._mode() is not False

    def run(self, statement: str) -> Any:
        return self.conn.execute(statement)

    def begin(self) -> Any:
        return None if self.conn.in_transaction else self.run("BEGIN")

    def _mode(self) -> object:
        """The `autocommit` of 3.12; the older way has none."""
        return getattr(self.conn, "autocommit", None)


class AioSQLite(SQLite):
    """aiosqlite, which does not tell whether its commit() does anything: the statements are sent."""

    def commit(self) -> Any:
        return self.run("COMMIT")

    def rollback(self) -> Any:
        return self.run("ROLLBACK") if self.conn.in_transaction else None


class Psycopg(Dialect):
    """psycopg 3. In autocommit mode commit() still ends a transaction that BEGIN opened."""

    def closed(self) -> bool:
        return bool(self.conn.closed)

    def in_transaction(self) -> bool:
        return self.conn.info.transaction_status in _PG_IN_TRANSACTION

    def refusal(self) -> str:
        return ""

    def run(self, statement: str) -> Any:
        return self.conn.execute(statement)


class Psycopg2(Dialect):
    """psycopg2. In autocommit mode its commit() does nothing: the statement is sent."""

    def closed(self) -> bool:
        return bool(self.conn.closed)

    def in_transaction(self) -> bool:
        return self.conn.get_transaction_status() in _PG_IN_TRANSACTION

    def refusal(self) -> str:
        return ""

    def write(self, cursor: Cursor, sql: str, rows: list[Any]) -> Any:
        """By `execute_batch`: executemany sends row by row."""
        extras = sys.modules.get("psycopg2.extras")
        if extras is None or module_of(cursor) != "psycopg2":
            return super().write(cursor, sql, rows)
        return extras.execute_batch(cursor, sql, rows)

    def begin(self) -> Any:
        """Where the caller has sent COMMIT or ROLLBACK as text, the driver has not noticed, and would not begin anew."""
        if not self.autocommit() and not self.in_transaction() and self.conn.status != _PSYCOPG2_READY:
            self.conn.rollback()
        return super().begin()

    def commit(self) -> Any:
        return self.run("COMMIT") if self.autocommit() else super().commit()

    def rollback(self) -> Any:
        return self.run("ROLLBACK") if self.autocommit() else super().rollback()


class MySQL(Dialect):
    """PyMySQL, MySQLdb, mysql.connector, aiomysql and asyncmy."""

    def closed(self) -> bool:
        opened = getattr(self.conn, "open", True)  # mysql.connector has none, but forgets its number
        return opened is False or opened == 0 or getattr(self.conn, "connection_id", 0) is None

    def in_transaction(self) -> bool:
        status = getattr(self.conn, "server_status", None)
        if isinstance(status, int):
            return bool(status & _MYSQL_IN_TRANSACTION)
        return super().in_transaction()

    def autocommit(self) -> bool:
        mode = getattr(self.conn, "get_autocommit", None)
        return bool(mode()) if callable(mode) else super().autocommit()

    def refusal(self) -> str:
        return ""

    def run(self, statement: str) -> Any:
        query = getattr(self.conn, "query", None)
        return query(statement) if callable(query) else super().run(statement)

    def begin(self) -> Any:
        return self.run("START TRANSACTION") if self.autocommit() and not self.in_transaction() else None


class Asyncpg(Dialect):
    """asyncpg: no cursors for writing, and always in autocommit mode."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def closed(self) -> bool:
        return bool(self.conn.is_closed())

    def in_transaction(self) -> bool:
        return bool(self.conn.is_in_transaction())

    def autocommit(self) -> bool:
        return True

    def refusal(self) -> str:
        return ""

    def cursor(self) -> Any:
        return None

    def close(self, cursor: Cursor) -> Any:
        return None

    def write(self, cursor: Cursor, sql: str, rows: list[Any]) -> Any:
        return self.conn.executemany(sql, rows)

    def run(self, statement: str) -> Any:
        return self.conn.execute(statement)

    def commit(self) -> Any:
        return self.run("COMMIT")

    def rollback(self) -> Any:
        return self.run("ROLLBACK")


_DIALECTS: dict[str, Callable[[Connection], Dialect]] = {
    "sqlite3": SQLite,
    "aiosqlite": AioSQLite,
    "psycopg": Psycopg,
    "psycopg2": Psycopg2,
    "asyncpg": Asyncpg,
    "pymysql": MySQL,
    "MySQLdb": MySQL,
    "mysql": MySQL,
    "aiomysql": MySQL,
    "asyncmy": MySQL,
}


def dialect(conn: Connection) -> Dialect:
    """The dialect of a connection; TypeError for what is no connection."""
    return _DIALECTS.get(module_of(conn), Dialect)(conn)
