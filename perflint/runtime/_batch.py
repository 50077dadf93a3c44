"""Writes many rows in transactions of bounded size: `batch_execute` and its async twin.

The steps are a generator that yields calls and gets their results, so that both twins share them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

from ._checks import check_count
from ._drivers import Connection, Cursor, Dialect, dialect, is_async, is_data_error

Outcome = TypeVar("Outcome")

_SAVEPOINT = "perflint_batch"

OnError = Literal["raise", "quarantine"] | Callable[["BadRow"], object]
Steps = Generator[Callable[[], Any], Any, Outcome]  # yields calls to make, is sent their results


class BadRow(NamedTuple):
    """A row that the database refused; `index` counts from 0 over all rows."""

    index: int  # type: ignore[assignment]
    row: Any
    error: BaseException


class BatchResult(NamedTuple):
    """What was written: rows and chunks committed, rows refused, and statements sent to find them."""

    written: int
    quarantined: list[BadRow]
    batches: int
    attempts: int


class BatchError(Exception):
    """A chunk failed and was rolled back; the driver's error is the cause (`__cause__`).

    `written` rows of the chunks before it stay. The failed chunk is number `batch_index` and holds the rows
    `first_row` to `last_row`, all counted from 0: `islice(rows, error.first_row, None)` is what is left to do.
    `close_errors` are errors of closing and rolling back that came after the first.
    """

    def __init__(
        self, batch_index: int, first_row: int, last_row: int, written: int, close_errors: list[BaseException]
    ) -> None:
        super().__init__(batch_index, first_row, last_row, written, close_errors)
        self.batch_index = batch_index
        self.first_row = first_row
        self.last_row = last_row
        self.written = written
        self.close_errors = close_errors

    def __str__(self) -> str:
        return (
            f"batch {self.batch_index} (rows {self.first_row} to {self.last_row}) was rolled back; "
            f"{self.written} rows are written"
        )


def batch_execute(
    conn: Connection,
    sql: str,
    rows: Iterable[Any],
    *,
    size: int = 1000,
    on_error: OnError = "raise",
    commit: bool = True,
    execute_batch: Callable[[Cursor, str, list[Any]], object] | None = None,
    max_bad: int | None = None,
) -> BatchResult:
    """Execute `sql` once for each of `rows`, in one transaction per `size` rows.

    `rows` is consumed lazily, a chunk at a time, and never while the driver works: the source may use the same
    connection. A chunk that fails is rolled back and BatchError raised; chunks before it stay. Errors are never
    swallowed, and later ones (closing, rolling back) never hide the first.

    `on_error="quarantine"` writes the good rows of a failing chunk and returns the bad ones, as far as the rows are
    to blame (integrity and data errors); `on_error=sink` calls `sink(BadRow)` instead, before the chunk is committed,
    and is for more bad rows than fit in memory. More than `max_bad` of them raise BatchError.
    `commit=False` works in the caller's transaction, with a savepoint per chunk, and leaves it open.
    `execute_batch(cursor, sql, chunk)` replaces the driver's executemany; for psycopg2 it is `extras.execute_batch`.

    Raises ValueError for a connection that is closed, holds a transaction (with `commit=True`), or is in a mode that
    makes batches meaningless; TypeError for an async connection.
    """
    if is_async(conn):
        raise TypeError(f"{type(conn).__name__} is asynchronous; await abatch_execute()")
    source = iter(rows)
    options = _Options(dialect(conn), sql, size, on_error, commit, execute_batch, max_bad)
    steps = _write(options, lambda: list(islice(source, size)))
    return _drive(steps)


async def abatch_execute(
    conn: Connection,
    sql: str,
    rows: Iterable[Any] | AsyncIterable[Any],
    *,
    size: int = 1000,
    on_error: OnError = "raise",
    commit: bool = True,
    execute_batch: Callable[[Cursor, str, list[Any]], object] | None = None,
    max_bad: int | None = None,
) -> BatchResult:
    """`batch_execute` for asyncpg, psycopg's AsyncConnection, aiosqlite and their like; `rows` may be asynchronous.

    A cancelled call rolls its chunk back first. A sink may be a coroutine function.
    Raises TypeError for a connection that is not asynchronous.
    """
    if not is_async(conn):
        raise TypeError(
            f"{type(conn).__name__} would block the event loop; use asyncio.to_thread(batch_execute, ..)"
        )
    options = _Options(dialect(conn), sql, size, on_error, commit, execute_batch, max_bad)
    if isinstance(rows, AsyncIterable):
        stream = aiter(rows)
        steps = _write(options, lambda: _take(stream, size))
    else:
        source = iter(rows)
        steps = _write(options, lambda: list(islice(source, size)))
    return await _adrive(steps)


class _Options:
    """The arguments, checked."""

    def __init__(
        self,
        driver: Dialect,
        sql: str,
        size: int,
        on_error: OnError,
        commit: bool,
        execute_batch: Callable[[Cursor, str, list[Any]], object] | None,
        max_bad: int | None,
    ) -> None:
        if not isinstance(sql, str):
            raise TypeError(f"sql must be a str, got {sql!r}")
        if on_error not in ("raise", "quarantine") and not callable(on_error):
            raise ValueError(f"on_error must be 'raise', 'quarantine' or callable, got {on_error!r}")
        self.driver = driver
        self.sql = sql
        self.size = check_count("size", size, 1)
        self.isolate = on_error != "raise"
        self.sink = on_error if callable(on_error) else None
        self.commit = commit
        self.send = execute_batch or driver.write
        self.max_bad = None if max_bad is None else check_count("max_bad", max_bad, 0)
        self.refuse()

    def refuse(self) -> None:
        """Raise ValueError where the connection's state would make the promise a lie."""
        if self.driver.closed():
            raise ValueError("the connection is closed; pass an open one")
        if reason := self.driver.refusal():
            raise ValueError(reason)
        pending = self.driver.in_transaction()
        if self.commit and pending:
            raise ValueError(
                "the connection is in a transaction, which commit=True would end; "
                "commit or roll back first, or pass commit=False"
            )
        if not self.commit and not pending and self.driver.autocommit():
            raise ValueError("commit=False needs the caller's transaction; begin one first")


class _Chunk:
    """One chunk on its way: where it stands, and what became of its rows."""

    def __init__(self, index: int, first: int, rows: list[Any]) -> None:
        self.index = index
        self.first = first
        self.rows = rows
        self.bad: list[BadRow] = []
        self.attempts = 0
        self.later_errors: list[BaseException] = []


def _write(options: _Options, take: Callable[[], Any]) -> Steps[BatchResult]:
    written = batches = attempts = first = refused = 0
    quarantined: list[BadRow] = []
    while rows := (yield take):  # a source that fails does so before its chunk has begun
        chunk = _Chunk(batches, first, rows)
        try:
            yield from _transaction(options, chunk, refused)
        except Exception as error:
            last = first + len(rows) - 1
            failure = BatchError(batches, first, last, written, chunk.later_errors)
            _note(failure, chunk.later_errors)
            raise failure from error
        except BaseException as error:  # Ctrl-C, cancellation: rolled back, and itself
            _note(error, chunk.later_errors)
            raise
        written += len(rows) - len(chunk.bad)
        refused += len(chunk.bad)
        quarantined += chunk.bad if options.sink is None else ()
        batches += 1
        attempts += chunk.attempts
        first += len(rows)
    return BatchResult(written, quarantined, batches, attempts)


def _transaction(options: _Options, chunk: _Chunk, refused: int) -> Steps[None]:
    """Write one chunk and commit it, or roll it back and raise the first error."""
    driver = options.driver
    cursor, marked = None, False
    try:
        yield driver.begin
        if not options.commit:
            yield lambda: driver.run(f"SAVEPOINT {_SAVEPOINT}_chunk")
            marked = True
        cursor = opened = yield driver.cursor
        if options.isolate:
            yield from _isolate(options, chunk, opened, refused)
        else:
            chunk.attempts += 1
            yield lambda: options.send(opened, options.sql, chunk.rows)
        cursor = None
        yield lambda: driver.close(opened)
        if options.commit:
            yield driver.commit
        else:
            yield lambda: driver.run(f"RELEASE SAVEPOINT {_SAVEPOINT}_chunk")
    except BaseException:
        yield from _undo(options, chunk, cursor, marked)
        raise


def _undo(options: _Options, chunk: _Chunk, cursor: Cursor | None, marked: bool) -> Steps[None]:
    """Close and roll back; what goes wrong here comes second."""
    driver = options.driver
    calls: list[Callable[[], Any]] = []
    if cursor is not None:
        calls.append(lambda: driver.close(cursor))
    if options.commit:
        calls.append(driver.rollback)
    elif marked:
        calls.append(lambda: driver.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}_chunk"))
        calls.append(lambda: driver.run(f"RELEASE SAVEPOINT {_SAVEPOINT}_chunk"))
    for call in calls:
        try:
            yield call
        except Exception as error:
            chunk.later_errors.append(error)


def _isolate(options: _Options, chunk: _Chunk, cursor: Cursor, refused: int) -> Steps[None]:
    """Write the good rows of a chunk; halves are tried left to right, so rows keep their order.

    Where many rows are bad, halving costs more than it saves: after `size // 32` of them (measured on
    PostgreSQL) the rest goes row by row.
    """
    waiting = [(0, len(chunk.rows))]
    while waiting:
        start, end = waiting.pop()
        if end - start > 1 and len(chunk.bad) > options.size // 32:
            waiting += [(at, at + 1) for at in range(end - 1, start - 1, -1)]
            continue
        error = yield from _attempt(options, chunk, cursor, chunk.rows[start:end])
        if error is None:
            continue
        if end - start > 1:
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
            continue
        bad = BadRow(chunk.first + start, chunk.rows[start], error)
        chunk.bad.append(bad)
        if options.max_bad is not None and refused + len(chunk.bad) > options.max_bad:
            raise error
        if options.sink is not None:
            yield partial(options.sink, bad)


def _attempt(options: _Options, chunk: _Chunk, cursor: Cursor, rows: list[Any]) -> Steps[Exception | None]:
    """Write rows under a savepoint; the error that they are to blame for, or None."""
    driver = options.driver
    chunk.attempts += 1
    yield lambda: driver.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        yield lambda: options.send(cursor, options.sql, rows)
    except Exception as error:
        if not is_data_error(error):
            raise
        yield lambda: driver.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        yield lambda: driver.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        return error
    yield lambda: driver.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return None


def _drive(steps: Steps[Outcome]) -> Outcome:
    """Make the calls that the steps ask for. Whatever interrupts, Ctrl-C included, the steps get to undo."""
    result: Any = None
    failure: BaseException | None = None
    while True:
        try:
            call = steps.send(result) if failure is None else steps.throw(failure)
            result, failure = None, None
            result = call()
            if hasattr(result, "__await__"):
                getattr(result, "close", int)()  # no "never awaited" besides
                raise TypeError(f"the driver gives an awaitable, {result!r}; await abatch_execute()")
        except BaseException as error:
            if getattr(steps, "gi_frame", None) is None:  # the generator is done
                return _result(error)  # type: ignore[no-any-return]
            failure = error


async def _adrive(steps: Steps[Outcome]) -> Outcome:
    """The same, awaiting what must be awaited."""
    result: Any = None
    failure: BaseException | None = None
    while True:
        try:
            call = steps.send(result) if failure is None else steps.throw(failure)
            result, failure = None, None
            result = call()
            if hasattr(result, "__await__"):
                result = await result
        except BaseException as error:
            if getattr(steps, "gi_frame", None) is None:  # the generator is done
                return _result(error)  # type: ignore[no-any-return]
            failure = error


def _result(error: BaseException) -> Any:
    """What a finished generator returned, or its error."""
    if isinstance(error, StopIteration):
        return error.value
    raise error


async def _take(stream: AsyncIterator[Any], size: int) -> list[Any]:
    taken: list[Any] = []
    while len(taken) < size:
        try:
            taken.append(await anext(stream))
        except StopAsyncIteration:
            break
    return taken


def _note(error: BaseException, later: list[BaseException]) -> None:
    """Tell of later errors in the traceback, where Python can (3.11)."""
    add = getattr(error, "add_note", None)
    for item in later if add is not None else ():
        add(f"and then: {type(item).__name__}: {item}")  # type: ignore[misc]
