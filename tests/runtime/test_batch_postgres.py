"""`batch_execute` on a real PostgreSQL, by every driver and in both of its modes."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import psycopg
import pytest
from postgres import DRIVERS, Database, server
from runtime_helpers import ROOT

from perflint.runtime import BatchError

CREATE = "CREATE TABLE t(a INTEGER PRIMARY KEY CHECK (a > 0), at SERIAL)"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("postgres")) as uri:
        yield uri


@pytest.fixture
def empty(uri: str) -> str:
    with psycopg.connect(uri, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS t")
        conn.execute(CREATE)
    return uri


@pytest.fixture(params=DRIVERS)
def database(request: pytest.FixtureRequest, empty: str) -> Iterator[Database]:
    kind, autocommit = DRIVERS[request.param]
    database = kind(empty, autocommit)
    yield database
    database.close()


def test_chunks(database: Database) -> None:
    result = database.write(range(1, 26), size=10)
    assert (result.written, result.batches) == (25, 3)
    assert database.seen() == list(range(1, 26)) and not database.in_transaction()


def test_no_rows(database: Database) -> None:
    assert database.write([]).batches == 0 and not database.in_transaction()


@pytest.mark.parametrize("at", [0, 1, 9, 10, 19])
def test_a_bad_row_anywhere(database: Database, at: int) -> None:
    numbers = list(range(1, 21))
    numbers[at] = 0
    with pytest.raises(BatchError) as caught:
        database.write(numbers, size=10)
    done = at // 10 * 10
    assert caught.value.written == done and "CheckViolation" in type(caught.value.__cause__).__name__
    assert database.seen() == numbers[:done] and not database.in_transaction()
    numbers[at] = 100
    database.write(numbers[caught.value.written :], size=10)
    assert database.seen() == numbers


def test_quarantine(database: Database) -> None:
    result = database.write([1, 0, 2, 2, 3], on_error="quarantine")
    assert [bad.index for bad in result.quarantined] == [1, 3]
    assert database.seen() == [1, 2, 3] and not database.in_transaction()


def test_an_error_that_is_no_rows_fault_is_raised(database: Database) -> None:
    database.insert = database.insert.replace("INTO t", "INTO nowhere")
    with pytest.raises(BatchError):
        database.write([1], on_error="quarantine")
    assert not database.in_transaction()


def test_an_open_transaction_is_refused(database: Database) -> None:
    if database.autocommit:
        database.run("BEGIN")
    database.run("INSERT INTO t VALUES (7)")
    with pytest.raises(ValueError, match="in a transaction"):
        database.write([1])
    assert database.write([1, 7, 2], commit=False, on_error="quarantine").written == 2
    assert database.in_transaction() and database.seen() == []
    with pytest.raises(BatchError):
        database.write([3, 3], commit=False)
    database.run("COMMIT")
    assert database.seen() == [7, 1, 2]


def test_commit_false_needs_a_transaction_in_autocommit_mode(database: Database) -> None:
    if database.autocommit:
        with pytest.raises(ValueError, match="begin one first"):
            database.write([1], commit=False)
    else:
        database.write([1], commit=False)
        assert database.in_transaction() and database.seen() == []


def test_a_closed_connection(empty: str) -> None:
    conn = psycopg.connect(empty)
    conn.close()
    from perflint.runtime import batch_execute

    with pytest.raises(ValueError, match="the connection is closed"):
        batch_execute(conn, "INSERT INTO t VALUES (%s)", [(1,)])


def test_a_source_that_reads_by_the_same_connection(empty: str) -> None:
    """executemany with a generator like this one hangs: psycopg holds the connection while it reads."""
    from perflint.runtime import batch_execute

    with psycopg.connect(empty, autocommit=True) as conn:
        rows = ((number + conn.execute("SELECT 1").fetchone()[0],) for number in range(5))
        assert batch_execute(conn, "INSERT INTO t(a) VALUES (%s)", rows, size=2).written == 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
def test_a_killed_process_leaves_whole_chunks(empty: str) -> None:
    program = f"""
        import os, signal, psycopg
        from perflint.runtime import batch_execute
        def send(cursor, sql, chunk):
            cursor.executemany(sql, chunk)
            if chunk[0][0] > 500:
                os.kill(os.getpid(), signal.SIGKILL)
        conn = psycopg.connect({empty!r})
        rows = ((number,) for number in range(1, 10_000))
        batch_execute(conn, "INSERT INTO t(a) VALUES (%s)", rows, size=100, execute_batch=send)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, env=dict(os.environ), check=False
    )
    assert ended.returncode == -signal.SIGKILL
    with psycopg.connect(empty) as conn:
        assert conn.execute("SELECT count(*), max(a) FROM t").fetchone() == (500, 500)
