"""The contract of `batch_execute` and `abatch_execute`: chunks, errors, resuming, quarantine. See docs/runtime.md."""

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_helpers import ROOT

from perflint.runtime import BadRow, BatchError, BatchResult, abatch_execute, batch_execute

INSERT = "INSERT INTO t(a) VALUES (?)"


class IntegrityError(Exception):
    """As every driver calls it."""


class Fake:
    """A DB-API connection that records its calls and fails at the one of a given number."""

    def __init__(
        self, fail_at: int = -1, error: type[BaseException] = RuntimeError, bad: frozenset[int] = frozenset()
    ) -> None:
        self.fail_at = fail_at
        self.error = error
        self.bad = bad
        self.calls: list[str] = []
        self.pending: list[int] = []
        self.table: list[int] = []

    def note(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) - 1 == self.fail_at:
            raise self.error(call)

    def cursor(self) -> "FakeCursor":
        self.note("cursor")
        return FakeCursor(self)

    def commit(self) -> None:
        self.note("commit")
        self.table += self.pending
        self.pending = []

    def rollback(self) -> None:
        self.pending = []
        self.note("rollback")


class FakeCursor:
    def __init__(self, conn: Fake) -> None:
        self.conn = conn
        self.marks: list[int] = []

    def execute(self, sql: str) -> None:
        self.conn.note(sql.split()[0])

    def executemany(self, sql: str, rows: list[tuple[int]]) -> None:
        self.conn.note("executemany")
        for (row,) in rows:
            if row in self.conn.bad:
                raise IntegrityError(row)
            self.conn.pending.append(row)

    def close(self) -> None:
        self.conn.note("close")


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(tmp_path / "rows.db")
    conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    conn.commit()
    yield conn
    conn.close()


def rows(*numbers: int) -> list[tuple[int]]:
    return [(number,) for number in numbers]


def table(conn: sqlite3.Connection) -> list[int]:
    return [number for (number,) in conn.execute("SELECT a FROM t ORDER BY rowid")]


def write(conn: sqlite3.Connection, numbers: Any, **options: Any) -> BatchResult:
    return batch_execute(conn, INSERT, rows(*numbers), **options)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
def test_every_row_once_and_a_commit_per_chunk(count: int) -> None:
    fake = Fake()
    result = batch_execute(fake, INSERT, rows(*range(count)), size=10)
    chunks = -(-count // 10)
    assert fake.calls == ["cursor", "executemany", "close", "commit"] * chunks
    assert fake.table == list(range(count))
    assert result == BatchResult(count, [], chunks, chunks)


def test_a_real_table(conn: sqlite3.Connection) -> None:
    assert write(conn, range(25), size=10).written == 25
    assert table(conn) == list(range(25)) and not conn.in_transaction


def test_no_rows_touch_nothing(conn: sqlite3.Connection) -> None:
    assert write(conn, []) == BatchResult(0, [], 0, 0)
    assert not conn.in_transaction


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("fail_at", range(8))
def test_an_error_at_each_call(fail_at: int, error: type[BaseException]) -> None:
    """No commit after an error, nothing twice, and what is left can be written later."""
    fake = Fake(fail_at, error)
    expected = BatchError if error is RuntimeError else error
    with pytest.raises(expected) as caught:
        batch_execute(fake, INSERT, rows(*range(20)), size=10)
    failed = fake.calls[fail_at]
    later = fake.calls[fail_at + 1 :]
    assert "commit" not in later and "executemany" not in later and later.count("rollback") == 1
    first = caught.value.__cause__ if expected is BatchError else caught.value
    assert first.args == (failed,)
    done = 10 * (fail_at // 4)
    assert fake.table == list(range(done))
    if expected is BatchError:
        assert (caught.value.written, caught.value.batch_index) == (done, fail_at // 4)
        assert (caught.value.first_row, caught.value.last_row) == (done, done + 9)
        fake.fail_at = -1
        batch_execute(fake, INSERT, rows(*range(caught.value.written, 20)), size=10)
        assert fake.table == list(range(20))


def test_errors_of_closing_and_rolling_back_are_kept_and_come_second() -> None:
    class Broken(Fake):
        def note(self, call: str) -> None:
            super().note(call)
            if call in ("close", "rollback"):
                raise OSError(call)

    with pytest.raises(BatchError) as caught:
        batch_execute(Broken(fail_at=1), INSERT, rows(1))
    assert repr(caught.value.__cause__) == "RuntimeError('executemany')"
    assert [str(error) for error in caught.value.close_errors] == ["close", "rollback"]
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["and then: OSError: close", "and then: OSError: rollback"]


def test_a_close_that_fails_after_the_rows_undoes_them() -> None:
    fake = Fake(fail_at=2)
    with pytest.raises(BatchError):
        batch_execute(fake, INSERT, rows(1))
    assert fake.table == [] and fake.calls[-1] == "rollback"


def test_the_error_says_where(conn: sqlite3.Connection) -> None:
    with pytest.raises(
        BatchError, match=r"batch 1 \(rows 10 to 19\) was rolled back; 10 rows are written"
    ) as caught:
        write(conn, [*range(15), 3, *range(15, 25)], size=10)
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    assert table(conn) == list(range(10)) and not conn.in_transaction


def test_a_row_of_the_wrong_shape_is_the_drivers_error(conn: sqlite3.Connection) -> None:
    with pytest.raises(BatchError) as caught:
        batch_execute(conn, INSERT, [(1,), (2, 3)])
    assert isinstance(caught.value.__cause__, sqlite3.ProgrammingError)
    assert table(conn) == []


def test_a_source_that_fails_has_begun_nothing(conn: sqlite3.Connection) -> None:
    def source() -> Iterator[tuple[int]]:
        yield from rows(*range(15))
        raise LookupError("source")

    with pytest.raises(LookupError, match="source"):
        batch_execute(conn, INSERT, source(), size=10)
    assert table(conn) == list(range(10)) and not conn.in_transaction


def test_the_source_may_use_the_connection(conn: sqlite3.Connection) -> None:
    def source() -> Iterator[tuple[int]]:
        for number in range(5):
            yield (number + conn.execute("SELECT count(*) * 0 FROM t").fetchone()[0],)

    assert batch_execute(conn, INSERT, source(), size=2).written == 5


def test_dictionaries_and_any_iterable(conn: sqlite3.Connection) -> None:
    batch_execute(conn, "INSERT INTO t VALUES (:a)", ({"a": number} for number in range(3)))
    assert table(conn) == [0, 1, 2]


def test_memory_is_that_of_a_chunk() -> None:
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE wide(a)")
    conn.commit()
    tracemalloc.start()
    batch_execute(conn, "INSERT INTO wide VALUES (?)", ((number,) for number in range(100_000)), size=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    conn.close()
    assert peak < 1_000_000  # 100,000 tuples alone are 8 MB


class TestQuarantine:
    def test_bad_rows_are_returned_and_the_others_written(self, conn: sqlite3.Connection) -> None:
        result = write(conn, [1, 2, 2, 3, 1, 4], on_error="quarantine")
        assert table(conn) == [1, 2, 3, 4]
        assert [(bad.index, bad.row) for bad in result.quarantined] == [(2, (2,)), (4, (1,))]
        assert all(isinstance(bad.error, sqlite3.IntegrityError) for bad in result.quarantined)
        assert result.written == 4 and not conn.in_transaction

    def test_only_rows_are_quarantined(self, conn: sqlite3.Connection) -> None:
        with pytest.raises(BatchError) as caught:
            batch_execute(conn, "INSERT INTO nowhere VALUES (?)", rows(1), on_error="quarantine")
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)

    def test_more_than_max_bad_undo_the_chunk(self, conn: sqlite3.Connection) -> None:
        numbers = [*range(10), 10, 0, 1, 2]
        with pytest.raises(BatchError) as caught:
            write(conn, numbers, size=10, on_error="quarantine", max_bad=2)
        assert (caught.value.first_row, caught.value.written) == (10, 10)
        assert table(conn) == list(range(10))
        result = write(conn, numbers[10:], on_error="quarantine", max_bad=3)
        assert len(result.quarantined) == 3

    def test_a_sink_gets_them_one_by_one(self, conn: sqlite3.Connection) -> None:
        seen: list[BadRow] = []
        result = write(conn, [1, 1, 2, 2], on_error=seen.append)
        assert [bad.index for bad in seen] == [1, 3] and result.quarantined == [] and result.written == 2

    def test_a_sink_that_fails_undoes_the_chunk(self, conn: sqlite3.Connection) -> None:
        def sink(bad: BadRow) -> None:
            raise OSError("disk full")

        with pytest.raises(BatchError) as caught:
            write(conn, [1, 1], on_error=sink)
        assert isinstance(caught.value.__cause__, OSError)
        assert table(conn) == [] and not conn.in_transaction

    def test_halving_finds_one_bad_row_of_many_in_few_attempts(self, conn: sqlite3.Connection) -> None:
        result = write(conn, [*range(512), 7, *range(512, 1023)], size=1024, on_error="quarantine")
        assert result.attempts <= 2 * 10 + 1

    def test_many_bad_rows_are_not_halved_for(self, conn: sqlite3.Connection) -> None:
        result = write(conn, [0] * 1024, size=1024, on_error="quarantine")
        assert result.written == 1 and result.attempts < 1.2 * 1024

    @settings(deadline=None, max_examples=60)
    @given(mask=st.lists(st.booleans(), max_size=60), size=st.integers(1, 40))
    def test_equals_a_savepoint_per_row(self, mask: list[bool], size: int) -> None:
        numbers = [0 if bad else index + 1 for index, bad in enumerate(mask)]
        with_oracle = sqlite3.connect(":memory:", isolation_level=None)
        mine = sqlite3.connect(":memory:")
        for conn in (with_oracle, mine):
            conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY CHECK (a > 0))")
        mine.commit()
        refused = []
        for index, row in enumerate(rows(*numbers)):
            try:
                with_oracle.execute(INSERT, row)
            except sqlite3.IntegrityError:
                refused.append(index)
        result = batch_execute(mine, INSERT, rows(*numbers), size=size, on_error="quarantine")
        assert table(mine) == table(with_oracle)
        assert [bad.index for bad in result.quarantined] == refused
        with_oracle.close()
        mine.close()


class TestTheCallersTransaction:
    def test_it_stays_open(self, conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO t VALUES (100)")
        assert write(conn, [1, 2, 3], size=2, commit=False).written == 3
        assert conn.in_transaction
        conn.rollback()
        assert table(conn) == []

    def test_one_is_opened_where_there_is_none(self, conn: sqlite3.Connection) -> None:
        write(conn, [1], commit=False)
        assert conn.in_transaction
        conn.rollback()
        assert table(conn) == []

    def test_a_failing_chunk_leaves_what_was_there(self, conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO t VALUES (100)")
        with pytest.raises(BatchError):
            write(conn, [1, 2, 3, 1], size=2, commit=False)
        assert conn.in_transaction and table(conn) == [1, 2, 100]

    def test_quarantine(self, conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO t VALUES (100)")
        assert write(conn, [1, 100, 2], commit=False, on_error="quarantine").written == 2
        conn.commit()
        assert table(conn) == [1, 2, 100]


class TestRefused:
    def test_an_open_transaction(self, conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(
            ValueError, match=r"in a transaction.*commit or roll back first, or pass commit=False"
        ):
            write(conn, [2])
        assert conn.in_transaction

    def test_a_closed_connection(self) -> None:
        conn = sqlite3.connect(":memory:")
        conn.close()
        with pytest.raises(ValueError, match="the connection is closed; pass an open one"):
            write(conn, [1])

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since 3.12")
    def test_sqlite_autocommit(self) -> None:
        conn = sqlite3.connect(":memory:", autocommit=True)
        with pytest.raises(ValueError, match=r"commit\(\) does nothing.*LEGACY_TRANSACTION_CONTROL"):
            write(conn, [1])
        conn.close()

    def test_an_unknown_driver_in_autocommit_mode(self) -> None:
        fake = Fake()
        fake.autocommit = True  # type: ignore[attr-defined]
        with pytest.raises(
            ValueError, match=r"each row would be a transaction; set conn\.autocommit = False"
        ):
            batch_execute(fake, INSERT, rows(1))

    def test_commit_false_without_a_transaction_in_autocommit_mode(self) -> None:
        conn = sqlite3.connect(":memory:", isolation_level=None)
        with pytest.raises(ValueError, match="begin one first"):
            write(conn, [1], commit=False)
        conn.close()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"size": 0}, "size must be an int >= 1, got 0"),
            ({"size": True}, "size must be an int >= 1, got True"),
            ({"max_bad": -1}, "max_bad must be an int >= 0, got -1"),
            ({"on_error": "ignore"}, "on_error must be 'raise', 'quarantine' or callable, got 'ignore'"),
        ],
    )
    def test_wrong_arguments(self, conn: sqlite3.Connection, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError) as caught:
            write(conn, [1], **options)
        assert str(caught.value) == message

    def test_no_connection(self) -> None:
        with pytest.raises(TypeError, match="conn must be a DB-API or asyncpg connection, got 3"):
            batch_execute(3, INSERT, rows(1))

    def test_no_sql(self, conn: sqlite3.Connection) -> None:
        with pytest.raises(TypeError, match="sql must be a str"):
            batch_execute(conn, b"INSERT", rows(1))  # type: ignore[arg-type]


def test_sqlite_that_commits_each_statement_gets_a_transaction_per_chunk(tmp_path: Path) -> None:
    conn = sqlite3.connect(tmp_path / "auto.db", isolation_level=None)
    conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    with pytest.raises(BatchError):
        write(conn, [1, 2, 3, 1], size=2)
    assert table(conn) == [1, 2] and not conn.in_transaction
    conn.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since 3.12")
def test_sqlite_with_a_transaction_always_open(tmp_path: Path) -> None:
    conn = sqlite3.connect(tmp_path / "open.db", autocommit=False)
    conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    conn.commit()
    with pytest.raises(BatchError):
        write(conn, [1, 2, 3, 1], size=2)
    conn.close()
    again = sqlite3.connect(tmp_path / "open.db")
    assert table(again) == [1, 2]
    again.close()


def test_another_way_to_send_a_chunk(conn: sqlite3.Connection) -> None:
    sent = []

    def send(cursor: sqlite3.Cursor, sql: str, chunk: list[tuple[int]]) -> None:
        sent.append(len(chunk))
        cursor.executemany(sql, chunk)

    write(conn, range(5), size=2, execute_batch=send)
    assert sent == [2, 2, 1] and table(conn) == list(range(5))


def test_a_killed_process_leaves_whole_chunks(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    program = f"""
        import os, signal, sqlite3
        from perflint.runtime import batch_execute
        conn = sqlite3.connect({str(path)!r})
        conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
        def source():
            for number in range(10_000):
                yield (number,)
        def send(cursor, sql, chunk):
            cursor.executemany(sql, chunk)
            if chunk[0][0] >= 500:
                os.kill(os.getpid(), signal.SIGKILL)
        batch_execute(conn, {INSERT!r}, source(), size=100, execute_batch=send)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=False)
    assert ended.returncode != 0
    conn = sqlite3.connect(path)
    assert table(conn) == list(range(500))
    conn.close()


class TestAsync:
    def test_aiosqlite(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with aiosqlite.connect(tmp_path / "rows.db") as conn:
                await conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
                await conn.commit()
                assert (await abatch_execute(conn, INSERT, rows(*range(25)), size=10)).batches == 3
                result = await abatch_execute(conn, INSERT, rows(24, 25), on_error="quarantine")
                assert [bad.row for bad in result.quarantined] == [(24,)] and result.written == 1
                with pytest.raises(BatchError):
                    await abatch_execute(conn, INSERT, rows(30, 30))
                assert not conn.in_transaction
                cursor = await conn.execute("SELECT count(*) FROM t")
                assert await cursor.fetchone() == (26,)

        asyncio.run(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since 3.12")
    def test_aiosqlite_whose_commit_does_nothing(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with aiosqlite.connect(tmp_path / "rows.db", autocommit=True) as conn:
                await conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
                await abatch_execute(conn, INSERT, rows(1, 2))
                assert not conn.in_transaction

        asyncio.run(main())

    def test_an_asynchronous_source_and_sink(self) -> None:
        async def source():
            for number in (1, 2, 2, 3):
                yield (number,)

        seen = []

        async def sink(bad: BadRow) -> None:
            seen.append(bad.index)

        async def main() -> None:
            async with aiosqlite.connect(":memory:") as conn:
                await conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
                await conn.commit()
                result = await abatch_execute(conn, INSERT, source(), size=3, on_error=sink)
                assert result.written == 3 and seen == [2]

        asyncio.run(main())

    def test_cancelling_rolls_back(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with aiosqlite.connect(tmp_path / "rows.db") as conn:
                await conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
                await conn.commit()
                written = asyncio.Event()

                async def send(cursor, sql, chunk) -> None:
                    await cursor.executemany(sql, chunk)
                    written.set()
                    await asyncio.sleep(60)

                task = asyncio.create_task(abatch_execute(conn, INSERT, rows(1, 2), execute_batch=send))
                await written.wait()
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() and not conn.in_transaction
                cursor = await conn.execute("SELECT count(*) FROM t")
                assert await cursor.fetchone() == (0,)

        asyncio.run(main())

    def test_the_wrong_twin(self, conn: sqlite3.Connection) -> None:
        async def main() -> None:
            with pytest.raises(
                TypeError, match=r"Connection would block the event loop; use asyncio\.to_thread"
            ):
                await abatch_execute(conn, INSERT, rows(1))
            async with aiosqlite.connect(":memory:") as other:
                with pytest.raises(TypeError, match=r"is asynchronous; await abatch_execute\(\)"):
                    batch_execute(other, INSERT, rows(1))

        asyncio.run(main())

    def test_a_driver_that_turns_out_to_be_asynchronous(self) -> None:
        class Odd(Fake):
            async def cursor(self):  # type: ignore[override]
                return None

        with pytest.raises(BatchError) as caught:
            batch_execute(Odd(), INSERT, rows(1))
        assert "await abatch_execute()" in str(caught.value.__cause__)
