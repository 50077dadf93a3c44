"""Streams with a bounded look-ahead: `bounded_stream` on a loop, `bounded_map` over an executor."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._checks import check_count, check_task, check_timeout
from ._gather import Signal, close_source

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

Given = TypeVar("Given")
Made = TypeVar("Made")


def bounded_stream(
    func: Callable[[Given], Awaitable[Made]],
    source: Iterable[Given] | AsyncIterable[Given],
    *,
    limit: int,
    ordered: bool = True,
) -> AsyncGenerator[Made, None]:
    """Yield `await func(item)` for each item of `source`, at most `limit` at a time, in O(limit) memory.

    An item is taken from `source` only when one of `limit` places is free, and a result keeps its place until it is
    yielded, so a slow consumer slows the source. ordered=False yields results as they come. The first exception,
    of an item or of the source, is raised in its turn; then, and by `aclose()`, the rest is cancelled and awaited.

    Raises ValueError if `limit` is not an int of at least 1, TypeError if `func` is not callable or `source` not
    iterable, at the call.
    """
    check_count("limit", limit, 1)
    if not callable(func):
        raise TypeError(f"func must be callable, got {func!r}")
    if not isinstance(source, (Iterable, AsyncIterable)):
        raise TypeError(f"source must be iterable, got {source!r}")
    return _stream(func, source, limit, ordered)


async def _stream(
    func: Callable[[Given], Awaitable[Made]],
    source: Iterable[Given] | AsyncIterable[Given],
    limit: int,
    ordered: bool,
) -> AsyncGenerator[Made, None]:
    stream = Stream(func, limit, ordered)
    feeder = stream.loop.create_task(stream.feed(source))
    feeder.add_done_callback(stream.fed)
    try:
        while True:
            task = stream.next_task()
            if task is not None:
                yield task.result()
            elif feeder.done() and not stream.places:
                feeder.result()
                return
            else:
                await stream.ready.wait()
    finally:
        await stream.cancel(feeder)


class Stream(Generic[Given, Made]):
    """One run of `bounded_stream`: the feeder fills places, the consumer empties them."""

    def __init__(self, func: Callable[[Given], Awaitable[Made]], limit: int, ordered: bool) -> None:
        import asyncio

        self.loop = asyncio.get_running_loop()
        self.func, self.limit, self.ordered = func, limit, ordered
        self.places: set[asyncio.Task[Made]] = set()
        self.turns: deque[asyncio.Task[Made]] = deque()  # as started if ordered, else as finished
        self.slot, self.ready = Signal(self.loop), Signal(self.loop)

    async def feed(self, source: Iterable[Given] | AsyncIterable[Given]) -> None:
        if isinstance(source, AsyncIterable):
            items = source.__aiter__()
            try:
                while True:
                    await self.free()
                    try:
                        item = await items.__anext__()
                    except StopAsyncIteration:
                        return
                    self.spawn(item)
            finally:
                await close_source(items)
        else:
            pulled = iter(source)
            while True:
                await self.free()
                try:
                    item = next(pulled)
                except StopIteration:
                    return
                self.spawn(item)

    def fed(self, feeder: asyncio.Task[None]) -> None:
        self.ready.set()

    async def free(self) -> None:
        while len(self.places) >= self.limit:
            await self.slot.wait()

    def spawn(self, item: Given) -> None:
        task = self.loop.create_task(_apply(self.func, item))
        self.places.add(task)
        if self.ordered:
            self.turns.append(task)
        task.add_done_callback(self.done)

    def done(self, task: asyncio.Task[Made]) -> None:
        if not self.ordered:
            self.turns.append(task)
        self.ready.set()

    def next_task(self) -> asyncio.Task[Made] | None:
        """The finished task whose turn it is; its place is free again."""
        if not self.turns or not self.turns[0].done():
            return None
        task = self.turns.popleft()
        self.places.discard(task)
        self.slot.set()
        return task

    async def cancel(self, feeder: asyncio.Task[None]) -> None:
        """Cancel and await all that runs; nothing is left after it."""
        import asyncio

        tasks: list[asyncio.Task[Any]] = [feeder, *self.places]
        self.places.clear()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen: it came after the stream had ended


async def _apply(func: Callable[[Given], Awaitable[Made]], item: Given) -> Made:
    return await func(item)


def bounded_map(
    executor: concurrent.futures.Executor,
    fn: Callable[..., Made],
    *iterables: Iterable[Any],
    buffersize: int,
    timeout: float | None = None,
) -> BoundedMap[Made]:
    """`executor.map(fn, *iterables)` that never has more than `buffersize` calls submitted and not yet yielded.

    The first `buffersize` are submitted at the call, then one per result taken; `Executor.map(buffersize=)` of
    Python 3.14 does the same. Results keep their order. An exception of a call is raised in its turn, TimeoutError
    of concurrent.futures when `timeout` seconds have passed since the call; either cancels what is still queued, as
    does `close()`. If the executor is shut down meanwhile, the next pull raises its RuntimeError.

    Raises ValueError if `buffersize` is not an int of at least 1, TypeError if `fn` cannot be called in an executor.
    """
    check_count("buffersize", buffersize, 1)
    check_task(fn)
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must have submit(), got {executor!r}")
    return BoundedMap(executor, fn, zip(*iterables), buffersize, check_timeout("timeout", timeout))  # noqa: B905


class BoundedMap(Iterator[Made]):
    """What `bounded_map` returns: an iterator with `close()`."""

    def __init__(
        self,
        executor: concurrent.futures.Executor,
        fn: Callable[..., Made],
        calls: Iterator[tuple[Any, ...]],
        buffersize: int,
        timeout: float | None,
    ) -> None:
        self._executor: concurrent.futures.Executor | None = executor
        self._fn, self._calls = fn, calls
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._futures: deque[concurrent.futures.Future[Made]] = deque()
        self._error: BaseException | None = None
        try:
            while len(self._futures) < buffersize and self._submit_next():
                pass
        except BaseException:
            self.close()
            raise

    def _submit_next(self) -> bool:
        if self._executor is None:
            return False
        args = next(self._calls, None)
        if args is None:
            self._executor = None
            return False
        self._futures.append(self._executor.submit(self._fn, *args))
        return True

    def __next__(self) -> Made:
        if self._error is not None:
            error, self._error = self._error, None
            self.close()
            raise error
        if not self._futures:
            raise StopIteration
        left = None if self._deadline is None else self._deadline - time.monotonic()
        try:
            result = self._futures[0].result(left)
        except BaseException:
            self.close()
            raise
        self._futures.popleft()
        try:
            self._submit_next()
        except Exception as exc:  # this result is good; the next pull raises
            self._error = exc
        return result

    def close(self) -> None:
        """Cancel what is queued; the iterator is exhausted."""
        self._executor = None
        while self._futures:
            self._futures.pop().cancel()

    def __del__(self) -> None:
        if hasattr(self, "_futures"):
            self.close()
