"""What `batch_execute` meets on MySQL and MariaDB alone."""

from collections.abc import Iterator
from typing import Any

import pytest
from batch_writer import Writer
from batch_writer import writer as writer
from databases import MYSQL, Database
from databases import database as database

from perflint.runtime import BatchError, batch_execute

pytestmark = pytest.mark.parametrize("database", MYSQL, indirect=True)


@pytest.fixture
def other(database: Database, writer: Writer) -> Iterator[Any]:
    conn = database.connect()
    yield conn
    database.close(conn)


def test_dictionaries(writer: Writer) -> None:
    writer.insert = "INSERT INTO t(a, b) VALUES (%(number)s, %(name)s)"
    writer.write_rows([{"number": number, "name": f"{number}%"} for number in (1, 2, 3)], size=2)
    assert writer.database.committed(None) == [(1, "1%"), (2, "2%"), (3, "3%")]


def test_a_statement_that_the_driver_sends_row_by_row(writer: Writer) -> None:
    writer.write([1, 2, 3])
    writer.insert = "UPDATE t SET a = a + %s WHERE a = %s"
    with pytest.raises(BatchError) as caught:
        writer.write_rows([(10, 1), (20, 2), (8, 3)])
    assert "Duplicate entry" in str(caught.value.__cause__) and writer.seen() == [1, 2, 3]


def test_a_lock_that_is_not_given_is_no_rows_fault(writer: Writer, other: Any) -> None:
    writer.run("SET innodb_lock_wait_timeout = 1")
    writer.database.work(other, "INSERT INTO t(a) VALUES (2)")
    with pytest.raises(BatchError) as caught:
        writer.write([1, 2], on_error="quarantine")
    assert "Lock wait timeout" in str(caught.value.__cause__)
    assert not writer.in_transaction() and writer.seen() == []


def test_a_lost_connection(writer: Writer, other: Any) -> None:
    [(number,)] = writer.database.query(writer.conn, "SELECT CONNECTION_ID()")

    def source() -> Iterator[tuple[int]]:
        yield (1,)
        yield (2,)
        writer.database.query(other, f"KILL {number}")
        yield (3,)

    with pytest.raises(BatchError) as caught:
        batch_execute(writer.conn, writer.insert, source(), size=2, on_error="quarantine")
    assert (caught.value.first_row, caught.value.written) == (2, 2)
    assert writer.seen() == [1, 2]
