"""`bounded_gather`: asyncio.gather with a limit, a deadline, and nothing left running after the call."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ._checks import check_count, check_timeout
from ._report import Reporter

if TYPE_CHECKING:
    import asyncio

Got = TypeVar("Got")

_gathers = Reporter("bounded_gather")


@overload
async def bounded_gather(
    aws: Iterable[Awaitable[Got]] | AsyncIterable[Awaitable[Got]],
    *,
    limit: int,
    timeout: float | None = None,
    item_timeout: float | None = None,
    return_exceptions: Literal[False] = False,
) -> list[Got]: ...
@overload
async def bounded_gather(
    aws: Iterable[Awaitable[Got]] | AsyncIterable[Awaitable[Got]],
    *,
    limit: int,
    timeout: float | None = None,
    item_timeout: float | None = None,
    return_exceptions: bool,
) -> list[Got | BaseException]: ...
async def bounded_gather(
    aws: Iterable[Awaitable[Any]] | AsyncIterable[Awaitable[Any]],
    *,
    limit: int,
    timeout: float | None = None,
    item_timeout: float | None = None,
    return_exceptions: bool = False,
) -> list[Any]:
    """Await all of `aws`, at most `limit` at a time, and return the results in order.

    One item is taken from `aws` per free slot, so over a generator at most `limit` coroutines exist; the source may
    be an async generator and need not end. Tasks and futures are accepted, but run already.

    The first failure cancels and awaits the rest, closes what was not started, and is raised itself, not in a
    group; unlike asyncio.gather, nothing runs after the call. Items that wait for each other need a `limit` of at
    least their number. Failures of siblings during that cancellation are logged.

    timeout            seconds for the whole call; then everything is cancelled and asyncio.TimeoutError raised
    item_timeout       seconds per item, counted from its start
    return_exceptions  put exceptions of items into the list, as asyncio.gather does

    Raises ValueError if `limit` is not an int of at least 1, TypeError for an item that cannot be awaited.
    """
    check_count("limit", limit, 1)
    timeout, item_timeout = check_timeout("timeout", timeout), check_timeout("item_timeout", item_timeout)
    if isinstance(aws, AsyncIterable):
        return await Gathering(limit, item_timeout, return_exceptions).run(aws, timeout)
    if not isinstance(aws, Iterable):
        raise TypeError(f"expected an iterable of awaitables, got {aws!r}")
    if not isinstance(aws, Collection):
        return await Gathering(limit, item_timeout, return_exceptions).run(iter(aws), timeout)
    unique = {id(aw): aw for aw in aws}
    keys = [id(aw) for aw in aws] if len(unique) < len(aws) else None
    results = await Gathering(limit, item_timeout, return_exceptions).run(Items(unique.values()), timeout)
    if keys is None:
        return results
    found = dict(zip(unique, results, strict=True))
    return [found[key] for key in keys]


class Items(Iterator[Any]):
    """Awaitables that exist already: those never started are closed, or cancelled if they run."""

    def __init__(self, aws: Iterable[Any]) -> None:
        self._rest = iter(list(aws))

    def __next__(self) -> Any:
        return next(self._rest)

    def discard(self) -> list[asyncio.Future[Any]]:
        import asyncio

        running = []
        for aw in self._rest:
            if asyncio.isfuture(aw):
                aw.cancel()
                running.append(aw)
            elif asyncio.iscoroutine(aw):
                aw.close()
        return running


class Signal:
    """Wakes one waiting coroutine; callers loop on what they wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None

    def set(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        self._future = self._loop.create_future()
        try:
            await self._future
        finally:
            self._future = None


class Gathering:
    """One call of `bounded_gather`; bookkeeping per item is constant, by done callbacks."""

    def __init__(self, limit: int, item_timeout: float | None, return_exceptions: bool) -> None:
        import asyncio

        self.loop = asyncio.get_running_loop()
        self.limit = limit
        self.item_timeout = item_timeout
        self.return_exceptions = return_exceptions
        self.results: list[Any] = []
        self.running: dict[int, asyncio.Future[Any]] = {}
        self.failure: BaseException | None = None
        self.feeder: asyncio.Task[None] | None = None
        self.slot, self.ended = Signal(self.loop), Signal(self.loop)

    async def run(self, source: Iterator[Any] | AsyncIterable[Any], timeout: float | None) -> list[Any]:
        import asyncio

        timer = None
        if timeout is not None:
            timer = self.loop.call_later(timeout, lambda: self.fail(asyncio.TimeoutError()))
        try:
            if isinstance(source, AsyncIterable):
                self.feeder = self.loop.create_task(self.feed_async(source))
                self.feeder.add_done_callback(self.fed)
            else:
                await self.feed(source)
            await self.end()
        except GeneratorExit:  # the loop is gone: nothing can be awaited any more
            raise
        except BaseException as exc:
            self.fail(exc)
            await self.end()
            if exc is not self.failure and self.failure is not None:
                _gathers.report(self.failure, "item")
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if self.failure is not None:
                await self.discard(source)
        return self.outcome()

    def outcome(self) -> list[Any]:
        failure, self.failure = self.failure, None  # no cycle through the traceback
        try:
            if failure is not None:
                raise failure
            return self.results
        finally:
            del failure

    async def feed(self, source: Iterator[Any]) -> None:
        while True:
            while len(self.running) >= self.limit and self.failure is None:
                await self.slot.wait()
            if self.failure is not None:
                return
            try:
                aw = next(source)
            except StopIteration:
                return
            self.spawn(aw)

    async def feed_async(self, source: AsyncIterable[Any]) -> None:
        """In a task of its own, so that a failure can interrupt a source that waits."""
        items = source.__aiter__()
        try:
            while self.failure is None:
                while len(self.running) >= self.limit:
                    await self.slot.wait()
                try:
                    aw = await items.__anext__()
                except StopAsyncIteration:
                    return
                if self.failure is None:
                    self.spawn(aw)
                else:
                    _refuse(aw)
        finally:
            await close_source(items)

    def fed(self, feeder: asyncio.Task[None]) -> None:
        if not feeder.cancelled() and (exc := feeder.exception()) is not None:
            self.fail(exc)
        elif feeder.cancelled() and self.failure is None:
            self.fail(_cancelled())
        self.ended.set()

    def spawn(self, aw: Any) -> None:
        import asyncio

        if not asyncio.isfuture(aw) and not isinstance(aw, Awaitable):
            raise TypeError(f"expected an awaitable, got {aw!r}")
        if self.item_timeout is not None:
            future: asyncio.Future[Any] = self.loop.create_task(_timed(aw, self.item_timeout))
        elif asyncio.isfuture(aw):
            future = aw
        else:
            future = self.loop.create_task(aw if asyncio.iscoroutine(aw) else _awaited(aw))
        index = len(self.results)
        self.results.append(None)
        self.running[index] = future
        future.add_done_callback(functools.partial(self.done, index))

    def done(self, index: int, future: asyncio.Future[Any]) -> None:
        del self.running[index]
        exc = _cancelled() if future.cancelled() else future.exception()
        if exc is None:
            self.results[index] = future.result()
        elif self.failure is not None:
            if isinstance(exc, Exception):
                _gathers.report(exc, "item, during cancellation,")
        elif self.return_exceptions:
            self.results[index] = exc
        else:
            self.fail(exc)
        self.slot.set()
        if not self.running:
            self.ended.set()

    def fail(self, exc: BaseException) -> None:
        if self.failure is None:
            self.failure = exc
        for future in list(self.running.values()):
            future.cancel()
        if self.feeder is not None:
            self.feeder.cancel()
        self.slot.set()
        self.ended.set()

    async def end(self) -> None:
        """Wait for everything that runs; a cancellation meanwhile cancels it, and is raised afterwards."""
        cancelled: BaseException | None = None
        while self.running or (self.feeder is not None and not self.feeder.done()):
            try:
                await self.ended.wait()
            except GeneratorExit:  # each wait may be cancelled anew
                raise
            except BaseException as exc:
                cancelled = exc
                self.fail(exc)
        if cancelled is not None:
            raise cancelled

    async def discard(self, source: Iterator[Any] | AsyncIterable[Any]) -> None:
        """Close what was not started, so that no coroutine is left "never awaited"."""
        import asyncio

        if isinstance(source, Items):
            running = source.discard()
            if running:
                await asyncio.wait(running)
        elif callable(close := getattr(source, "close", None)):
            try:
                close()
            except Exception as exc:
                _gathers.report(exc, "source")


async def close_source(items: AsyncIterator[Any]) -> None:
    close: Callable[[], Awaitable[object]] | None = getattr(items, "aclose", None)
    if close is not None:
        try:
            await close()
        except Exception as exc:
            _gathers.report(exc, "source")


def _cancelled() -> BaseException:
    import asyncio

    return asyncio.CancelledError()


def _refuse(aw: Any) -> None:
    for name in ("close", "cancel"):
        end = getattr(aw, name, None)
        if callable(end):
            end()
            return


async def _awaited(aw: Awaitable[Any]) -> Any:
    return await aw


async def _timed(aw: Awaitable[Any], timeout: float) -> Any:
    import asyncio

    return await asyncio.wait_for(aw, timeout)
