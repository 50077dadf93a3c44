"""What `batch_execute` meets on PostgreSQL alone."""

import os
import signal
import subprocess
import sys
import textwrap

import psycopg
import pytest
from databases import Psycopg
from runtime_helpers import ROOT

from perflint.runtime import batch_execute


@pytest.fixture
def empty(postgres_uri: str) -> str:
    database = Psycopg(postgres_uri)
    database.reset()
    database.end()
    return postgres_uri


def test_a_source_that_reads_by_the_same_connection(empty: str) -> None:
    """executemany with a generator like this one hangs: psycopg holds the connection while it reads."""
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
