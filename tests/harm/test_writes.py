"""Writes: rows lost behind an aborted transaction, and what a driver sends for many rows."""

import re
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import servers
from programs import fixed, run

from perflint.analysis import registry
from perflint.testing import example


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with servers.postgres() as address:
        with psycopg.connect(address, autocommit=True) as conn:
            conn.execute("CREATE TABLE users(id INTEGER UNIQUE, name TEXT)")
            conn.execute("CREATE TABLE readings(at INTEGER, value INTEGER)")
        yield address


def docs(code: str, title: str) -> str:
    """The docstring's example of a rule."""
    rule = registry.find(code)
    assert rule is not None
    return example(rule.doc, title)


ROWS = [(1, "ann"), (2, "bob"), (1, "ann again"), (3, "cid")]


@pytest.mark.parametrize(("title", "skipped", "saved"), [("Bad", 2, 0), ("Good", 1, 3)])
def test_one_bad_row_loses_all_the_others(uri: str, title: str, skipped: int, saved: int) -> None:
    with psycopg.connect(uri, autocommit=True) as conn:
        conn.execute("DELETE FROM users")
        ended = run(f"{docs('PRF508', title)}\nprint(load({uri!r}, {ROWS}))\n")
        assert (ended.code, ended.out.strip()) == (0, str(skipped)), ended.err  # it ends as if all was well
        assert conn.execute("SELECT count(*) FROM users").fetchone() == (saved,)


def test_the_same_with_psycopg2(uri: str) -> None:
    program = f"""
    import psycopg2

    conn = psycopg2.connect({uri!r})
    cur = conn.cursor()
    errors = []
    for row in {ROWS}:
        try:
            cur.execute("INSERT INTO users VALUES (%s, %s)", row)
        except psycopg2.Error as error:
            errors.append(type(error).__name__)
    conn.commit()
    cur.execute("SELECT count(*) FROM users")
    print(errors, cur.fetchone())
    conn.close()
    """
    with psycopg.connect(uri, autocommit=True) as conn:
        conn.execute("DELETE FROM users")
    assert run(program).out == "['UniqueViolation', 'InFailedSqlTransaction'] (0,)\n"


@contextmanager
def counted(uri: str) -> Iterator[tuple[str, list[int]]]:
    """The server behind a socket that counts the queries a client sends one by one."""
    found = re.search(r"host=([^&]+)", uri)
    assert found is not None
    queries = [0]
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(Path(folder) / ".s.PGSQL.5432"))
        listener.listen()
        path = next(Path(found[1].replace("%2F", "/")).glob(".s.PGSQL.*[0-9]"))

        def serve() -> None:
            client, _ = listener.accept()
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(str(path))
                back = threading.Thread(target=forward, args=(server, client, None))
                back.start()
                forward(client, server, queries)
                server.shutdown(socket.SHUT_WR)
                back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield uri.replace(found[1], folder.replace("/", "%2F")), queries
        thread.join()


def forward(source: socket.socket, to: socket.socket, queries: list[int] | None) -> None:
    while data := source.recv(65536):
        if queries is not None and data[:1] == b"Q":  # the driver waits for the answer to each
            queries[0] += 1
        to.sendall(data)


SEND = """
{program}
save({dsn!r}, [(number, number) for number in range(200)])
"""


def test_executemany_of_psycopg2_sends_row_after_row(uri: str) -> None:
    before = docs("PRF511", "Bad")
    sent = []
    for program in (before, fixed("PRF511", before)):
        with counted(uri) as (dsn, queries):
            ended = run(SEND.format(program=program, dsn=dsn))
            assert ended.code == 0, ended.err
        sent.append(queries[0])
    assert sent[0] > 200 and sent[1] < 10
    with psycopg.connect(uri) as conn:
        assert conn.execute("SELECT count(*), sum(value) FROM readings").fetchone() == (400, 2 * 199 * 100)


TRACE = """
import sqlite3

plain = sqlite3.connect

def connect(path):
    conn = plain(path)
    conn.set_trace_callback(print)
    return conn

sqlite3.connect = connect
"""


def traced(program: str, path: Path, rows: str) -> list[str]:
    """The statements that SQLite runs, BEGIN and COMMIT among them."""
    ended = run(f"{TRACE}{program}\nsave({str(path)!r}, {rows})\n")
    assert ended.code == 0, ended.err
    return ended.out.splitlines()


def test_a_commit_per_row(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "t.db")) as conn:
        conn.execute("CREATE TABLE readings(at, value)")
    before = docs("PRF502", "Bad")
    seen = [
        traced(text, tmp_path / "t.db", "[(1, 2), (3, 4), (5, 6)]")
        for text in (before, fixed("PRF502", before))
    ]
    assert [[line.split()[0] for line in lines].count("COMMIT") for lines in seen] == [3, 1]
