"""`AsyncWorkerPool`: at most so many jobs at once on one event loop, one task per job."""

from __future__ import annotations

import contextvars
import functools
import warnings
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._checks import Hook, PoolStats, check_count, check_hook, check_job, check_seconds, check_timeout
from ._report import Reporter, log_error

if TYPE_CHECKING:
    import asyncio

Job = tuple[Callable[..., Awaitable[object]], tuple[Any, ...], dict[str, Any], contextvars.Context]

_GRACE = 1.0  # seconds for cancelled jobs to end


class AsyncWorkerPool:
    """Runs coroutine functions for their effect, with bounded memory and an answer to every submit.

    At most `workers` jobs run and `queue_size` wait. Each job is a task of its own, in a copy of the submitter's
    context; whatever it raises is counted and reported, and the pool goes on. KeyboardInterrupt and SystemExit are
    left to asyncio, which stops the loop. The pool belongs to the loop that first uses it.

    workers       jobs that run at once, at least 1
    queue_size    jobs that may wait, at least 0
    on_error      called as `on_error(exc, fn)`; without it the logger `perflint.runtime` gets a record with the
                  traceback, at most 10 per second
    task_timeout  seconds after which a job is cancelled and counted as failed with TimeoutError

    Use it with `async with`: it drains at the end of the block, and drops the queue if the block raised. When all
    tasks of the loop are cancelled, as asyncio.run does at its end, the pool closes and drops its queue.

    Raises ValueError for sizes out of range and TypeError for a hook that cannot be called.
    """

    def __init__(
        self,
        workers: int,
        queue_size: int,
        *,
        name: str = "pool",
        on_error: Hook | None = None,
        task_timeout: float | None = None,
    ) -> None:
        import asyncio

        self._workers = check_count("workers", workers, 1)
        self._capacity = workers + check_count("queue_size", queue_size, 0)
        check_hook("on_error", on_error)
        self._task_timeout = check_timeout("task_timeout", task_timeout)
        self._name = str(name)
        self._reporter = Reporter(self._name, on_error)
        self._running_loop = asyncio.get_running_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[Job] = deque()
        self._waiters: deque[tuple[asyncio.Future[bool], Job]] = deque()
        self._joiners: set[asyncio.Future[bool]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Future[None] | None = None
        self._closed = self._ended = False
        self._active = self._rejected = self._completed = self._failed = self._dropped = self._cancelled = 0

    def submit(self, fn: Callable[..., Awaitable[object]], /, *args: Any, **kwargs: Any) -> bool:
        """Accept the call `fn(*args, **kwargs)` to be awaited, or answer False: full or closed. Never blocks.

        Takes the function, not a coroutine: a rejected function costs nothing. Raises TypeError for anything else,
        and RuntimeError in another thread or under another loop.
        """
        check_job(fn)
        self._here()
        return self._admit((fn, args, kwargs, contextvars.copy_context()))

    async def submit_wait(
        self, fn: Callable[..., Awaitable[object]], /, *args: Any, timeout: float, **kwargs: Any
    ) -> bool:
        """Like `submit`, but wait up to `timeout` seconds for a slot. Callers are served in order."""
        check_job(fn)
        timeout = check_seconds("timeout", timeout)
        loop = self._here()
        job = fn, args, kwargs, contextvars.copy_context()
        if self._closed or self._active + len(self._queue) < self._capacity or not timeout:
            return self._admit(job)
        waiter = loop.create_future(), job
        self._waiters.append(waiter)
        try:
            accepted = await _within(waiter[0], timeout)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if not accepted:
            self._rejected += 1
        return accepted

    async def join(self) -> None:
        """Wait until no job is queued or running. Raises RuntimeError in a job of the pool."""
        self._here()
        if self._inside():
            raise RuntimeError(f"{self._name}: join() from a job of the pool would wait for itself")
        await self._idle(None)

    async def shutdown(self, *, drain: bool = True, timeout: float | None = None) -> bool:
        """Close the pool and wait for its jobs; True once none is left, so that nothing runs any more.

        drain=False drops what is queued and counts it. When `timeout` seconds are over, or this call is cancelled,
        the queue is dropped and running jobs are cancelled and awaited; a job that swallows that for more than
        1 second is logged, and the answer is False. In a job of the pool: False at once; the pool ends after it.
        """
        timeout = check_timeout("timeout", timeout)
        self._here()
        self._ended = True
        self._close(drain)
        if self._inside():
            return False
        try:
            if await self._idle(timeout):
                return True
        except BaseException:
            await self._abort()
            raise
        return await self._abort()

    def stats(self) -> PoolStats:
        """A consistent snapshot of the counters."""
        queued, active = len(self._queue), self._active
        ended = self._completed + self._failed + self._dropped + self._cancelled
        return PoolStats(
            ended + queued + active,
            self._rejected,
            self._completed,
            self._failed,
            self._dropped,
            queued,
            active,
            self._cancelled,
        )

    @property
    def closed(self) -> bool:
        """Whether the pool has stopped accepting jobs for good."""
        return self._closed

    async def __aenter__(self) -> AsyncWorkerPool:
        self._here()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shutdown(drain=exc is None)

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(f"a {type(self).__name__} has tasks and cannot be pickled; create it in the child")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} {self._name!r} {state} {self.stats()}>"

    def __del__(self) -> None:
        if getattr(self, "_loop", None) is not None and not self._ended:
            message = f"{self._name}: AsyncWorkerPool was not shut down ({self.stats()})"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def _here(self) -> asyncio.AbstractEventLoop:
        """The running loop, which must be the pool's."""
        try:
            loop = self._running_loop()
        except RuntimeError:
            loop = None
        if loop is None or loop is not (self._loop or loop):
            raise RuntimeError(
                f"{self._name}: an AsyncWorkerPool is used only by the thread of its event loop; "
                "from elsewhere use loop.call_soon_threadsafe(pool.submit, fn, ...)"
            )
        self._loop = loop
        return loop

    def _inside(self) -> bool:
        import asyncio

        return asyncio.current_task() in self._tasks

    def _admit(self, job: Job) -> bool:
        if self._closed or self._active + len(self._queue) >= self._capacity:
            self._rejected += 1
            return False
        if self._active < self._workers:
            self._start(job)
        else:
            self._enqueue(job)
        return True

    def _enqueue(self, job: Job) -> None:
        self._queue.append(job)
        if self._watch is None and self._loop is not None:
            self._watch = self._loop.create_future()
            self._loop.create_task(_watch_cancellation(self._watch))

    def _start(self, job: Job) -> None:
        assert self._loop is not None
        fn, args, kwargs, context = job
        self._active += 1  # before the task exists: with an eager factory the job may end inside create_task
        coro = _run_job(fn, args, kwargs, self._task_timeout)
        try:
            task = context.run(self._loop.create_task, coro)
        except BaseException as exc:
            self._active -= 1
            coro.close()
            if not isinstance(exc, Exception):
                self._failed += 1  # the job ran eagerly and raised what asyncio lets through
            raise
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._done, fn))

    def _done(self, fn: object, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._active -= 1
        exc = None if task.cancelled() else task.exception()
        self._cancelled += task.cancelled()
        self._failed += exc is not None
        self._completed += exc is None and not task.cancelled()
        try:
            if isinstance(exc, Exception):
                self._reporter.report(exc, fn)
        finally:  # a hook may raise what asyncio lets through
            del exc
            if self._watch is not None and self._watch.cancelled():
                self._close(drain=False)
            self._pump()

    def _pump(self) -> None:
        """Start queued jobs, let waiters move up, and tell joiners when nothing is left."""
        while self._queue and self._active < self._workers:
            self._start(self._queue.popleft())
        while self._waiters and not self._closed and self._active + len(self._queue) < self._capacity:
            future, job = self._waiters.popleft()
            if not future.done():
                future.set_result(True)
                self._admit(job)
        if self._queue or self._active:
            return
        if self._watch is not None and not self._watch.done():
            self._watch.set_result(None)
        self._watch = None
        for joiner in self._joiners:
            if not joiner.done():
                joiner.set_result(True)

    def _close(self, drain: bool) -> None:
        self._closed = True
        if not drain:
            self._dropped += len(self._queue)
            self._queue.clear()
        for future, _ in self._waiters:
            if not future.done():
                future.set_result(False)
        self._reporter.flush()

    async def _idle(self, timeout: float | None) -> bool:
        """Wait until nothing is queued or running; False after `timeout` seconds."""
        assert self._loop is not None
        if not self._queue and not self._active:
            return True
        future: asyncio.Future[bool] = self._loop.create_future()
        self._joiners.add(future)
        try:
            return await (future if timeout is None else _within(future, timeout))
        finally:
            self._joiners.discard(future)

    async def _abort(self) -> bool:
        """Drop the queue, cancel the running jobs and give them a moment to end."""
        self._close(drain=False)
        for task in list(self._tasks):
            task.cancel()
        if await self._idle(_GRACE):
            return True
        log_error("%s: shutdown: %d jobs ignore their cancellation", self._name, self._active)
        return False


async def _run_job(
    fn: Callable[..., Awaitable[object]], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
) -> None:
    if timeout is None:
        await fn(*args, **kwargs)
    else:
        import asyncio

        await asyncio.wait_for(fn(*args, **kwargs), timeout)


async def _watch_cancellation(watch: asyncio.Future[None]) -> None:
    """Lives while jobs are queued: cancelling every task of the loop, and nothing less, cancels `watch`.

    Without it the pool would start queued jobs on a loop that is about to close.
    """
    await watch


async def _within(future: asyncio.Future[bool], timeout: float) -> bool:
    """The result of `future`, or False after `timeout` seconds.

    asyncio.wait_for is not used: before 3.12 a result and a cancellation at the same moment can lose either.
    """

    def expire() -> None:
        if not future.done():
            future.set_result(False)

    timer = future.get_loop().call_later(timeout, expire)
    try:
        return await future
    finally:
        timer.cancel()
