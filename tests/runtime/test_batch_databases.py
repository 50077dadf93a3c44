"""`batch_execute` on real databases, by every driver and in both of its modes."""

import random
from collections.abc import Iterator

import pytest
from batch_writer import Writer
from batch_writer import writer as writer
from databases import MYSQL, POSTGRES, SQLITE
from databases import database as database

from perflint.runtime import BatchError
from perflint.runtime._drivers import is_data_error

pytestmark = pytest.mark.parametrize("database", [*SQLITE, *POSTGRES, *MYSQL], indirect=True)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
def test_every_row_once(writer: Writer, count: int) -> None:
    result = writer.write(range(1, count + 1), size=10)
    assert (result.written, result.batches) == (count, -(-count // 10))
    assert writer.seen() == list(range(1, count + 1)) and not writer.in_transaction()


@pytest.mark.parametrize("bad", [0, 100])
@pytest.mark.parametrize("at", [0, 1, 9, 10, 19])
def test_a_bad_row_anywhere(writer: Writer, at: int, bad: int) -> None:
    """0 is what the table refuses, and 100 what it has."""
    writer.write([100])
    numbers = list(range(1, 21))
    numbers[at] = bad
    with pytest.raises(BatchError) as caught:
        writer.write(numbers, size=10)
    done = at // 10 * 10
    assert caught.value.written == done and caught.value.__cause__ is not None
    assert is_data_error(caught.value.__cause__)
    assert writer.seen() == [100, *numbers[:done]] and not writer.in_transaction()
    numbers[at] = 200
    writer.write(numbers[caught.value.written :], size=10)
    assert writer.seen() == [100, *numbers]


@pytest.mark.parametrize("row", [(1, 2), (object(),), ()])
def test_a_row_that_the_driver_refuses(writer: Writer, row: tuple[object, ...]) -> None:
    """Too long, of no known type, too short: the error is the driver's own."""
    with pytest.raises(
        BatchError, match=r"batch 1 \(rows 2 to 3\) was rolled back; 2 rows are written"
    ) as caught:
        writer.write_rows([(1,), (2,), (3,), row], size=2)
    assert not isinstance(caught.value.__cause__, BatchError) and caught.value.close_errors == []
    assert writer.seen() == [1, 2] and not writer.in_transaction()


def test_a_source_that_fails(writer: Writer) -> None:
    def source() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(1, 16))
        raise LookupError("source")

    with pytest.raises(LookupError, match="source"):
        writer.write_rows(source(), size=10)
    assert writer.seen() == list(range(1, 11)) and not writer.in_transaction()


def test_quarantine(writer: Writer) -> None:
    result = writer.write([1, 0, 2, 2, 3], on_error="quarantine")
    assert [bad.index for bad in result.quarantined] == [1, 3]
    assert writer.seen() == [1, 2, 3] and not writer.in_transaction()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_quarantine_equals_a_savepoint_per_row(writer: Writer, share: float) -> None:
    chance = random.Random(share)
    numbers = [
        chance.choice([0, max(1, number // 2)]) if chance.random() < share else number
        for number in range(1, 71)
    ]
    refused, table = one_by_one(writer, numbers)
    result = writer.write(numbers, size=chance.choice([7, 40, 70]), on_error="quarantine")
    assert [bad.index for bad in result.quarantined] == refused
    assert writer.seen() == table and result.written == len(table)


def one_by_one(writer: Writer, numbers: list[int]) -> tuple[list[int], list[int]]:
    """The rows that are refused, and the table, with a savepoint for each; undone."""
    refused = []
    writer.run(writer.database.begin)
    for index, number in enumerate(numbers):
        writer.run("SAVEPOINT one")
        try:
            writer.run(f"INSERT INTO t(a) VALUES ({number})")
        except Exception:
            refused.append(index)
            writer.run("ROLLBACK TO SAVEPOINT one")
    table = [number for number, _ in writer.database.own(writer.conn)]
    writer.run("ROLLBACK")
    assert writer.seen() == [] and not writer.in_transaction()
    return refused, table


def test_an_error_that_is_no_rows_fault_is_raised(writer: Writer) -> None:
    writer.insert = writer.insert.replace("INTO t", "INTO nowhere")
    with pytest.raises(BatchError):
        writer.write([1], on_error="quarantine")
    assert not writer.in_transaction()


def test_an_open_transaction_is_refused(writer: Writer) -> None:
    writer.database.work(writer.conn, "INSERT INTO t(a) VALUES (7)")
    with pytest.raises(ValueError, match="in a transaction"):
        writer.write([1])
    assert writer.write([1, 7, 2], commit=False, on_error="quarantine").written == 2
    assert writer.in_transaction() and writer.seen() == []
    with pytest.raises(BatchError):
        writer.write([3, 3], commit=False)
    writer.run("COMMIT")
    assert writer.seen() == [7, 1, 2]


def test_commit_false_needs_a_transaction_in_autocommit_mode(writer: Writer) -> None:
    if writer.autocommit:
        with pytest.raises(ValueError, match="begin one first"):
            writer.write([1], commit=False)
    else:
        writer.write([1], commit=False)
        assert writer.in_transaction() and writer.seen() == []


def test_a_closed_connection(writer: Writer) -> None:
    writer.close()
    with pytest.raises(ValueError, match="the connection is closed"):
        writer.write([1])
