"""`batch_execute` on a connection of one of the databases."""

from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database

from perflint.runtime import BatchResult, abatch_execute, batch_execute


class Writer:
    """Writes the column `a` of the table `t`, by the twin that fits the driver."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.autocommit = database.autocommit
        self.insert = database.translate("INSERT INTO t(a) VALUES (?)")
        self.conn = database.connect()

    def write(self, numbers: Any, **options: Any) -> BatchResult:
        return self.write_rows([(number,) for number in numbers], **options)

    def write_rows(self, rows: Any, **options: Any) -> BatchResult:
        twin = abatch_execute if self.database.asynchronous else batch_execute
        return self.database.call(
            lambda conn, rows: twin(conn, self.insert, rows, **options), self.conn, rows
        )

    def run(self, sql: str) -> None:
        self.database.query(self.conn, sql)

    def in_transaction(self) -> bool:
        return self.database.state(self.conn) != "idle"

    def close(self) -> None:
        self.database.close(self.conn)

    def seen(self) -> list[int]:
        """What another connection sees, in the order of writing."""
        return [number for number, _ in self.database.committed(self.conn)]


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    database.reset()
    writer = Writer(database)
    yield writer
    writer.close()
