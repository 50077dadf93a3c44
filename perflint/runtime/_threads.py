"""`WorkerPool`: a fixed number of threads, a bounded queue, and an answer to every submit."""

from __future__ import annotations

import contextvars
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec

from ._checks import Hook, PoolStats, check_count, check_hook, check_seconds, check_task, check_timeout
from ._state import PoolState

P = ParamSpec("P")


class WorkerPool:
    """Threads that run tasks for their effect, with bounded memory and no surprises.

    At most `workers` tasks run and `queue_size` wait; `submit` never blocks and answers False beyond that. A task
    that was accepted is run exactly once, or counted in `stats().dropped`. Whatever a task raises, SystemExit
    included, is counted, reported, and the worker goes on.

    workers       threads, at least 1; started on demand
    queue_size    tasks that may wait, at least 0; 0 accepts only what can run at once
    on_error      called as `on_error(exc, fn)` in the worker; without it the logger `perflint.runtime` gets a record
                  with the traceback, at most 10 per second
    exit_timeout  seconds that the exit of the interpreter waits for accepted tasks
    context       run each task in a copy of the submitter's `contextvars` context

    The threads are daemons: a stuck task cannot keep the process alive. A running task cannot be cancelled; pass a
    deadline to the call that may block. Results are not kept: use `bounded_map` for them. A signal handler may call
    any method; call `start` first, since CPython cannot start a thread from a handler that interrupted another start.
    In a forked child the pool is empty and usable; a process made by `multiprocessing` must call `shutdown` itself.

    Raises ValueError for sizes out of range and TypeError for a hook that cannot be called.
    """

    def __init__(
        self,
        workers: int,
        queue_size: int,
        *,
        name: str = "pool",
        on_error: Hook | None = None,
        exit_timeout: float = 5.0,
        context: bool = False,
    ) -> None:
        check_count("workers", workers, 1)
        check_count("queue_size", queue_size, 0)
        check_hook("on_error", on_error)
        self._context = bool(context)
        self._state = PoolState(
            workers, queue_size, str(name), on_error, check_seconds("exit_timeout", exit_timeout)
        )

    def start(self) -> WorkerPool:
        """Start all workers now; RuntimeError if the pool is shut down or no thread can start."""
        self._state.start()
        return self

    def submit(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Accept `fn(*args, **kwargs)` for a worker, or answer False: the pool is full or closed. Never blocks.

        Raises TypeError if `fn` is not callable or is a coroutine or generator function, whose body would never
        run, and RuntimeError if not one thread can be started.
        """
        check_task(fn)
        context = contextvars.copy_context() if self._context else None
        return self._state.offer((fn, args, kwargs, context))

    def submit_wait(self, fn: Callable[..., object], /, *args: Any, timeout: float, **kwargs: Any) -> bool:
        """Like `submit`, but wait up to `timeout` seconds for a slot: backpressure for batch producers.

        Waiting callers are served in order. False after `timeout`, or when the pool closes.
        """
        check_task(fn)
        context = contextvars.copy_context() if self._context else None
        return self._state.offer_wait((fn, args, kwargs, context), check_seconds("timeout", timeout))

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no task is queued or running; False if that takes more than `timeout` seconds.

        Raises RuntimeError in a task of the pool.
        """
        return self._state.join(check_timeout("timeout", timeout))

    def shutdown(self, wait: bool = True, *, drain: bool = True, timeout: float | None = None) -> bool:
        """Close the pool; True once all workers are gone, so that nothing runs any more.

        drain=False drops what is queued and counts it, also while another caller drains. After `timeout` seconds,
        with wait=False and in a task of the pool the answer is False while workers are left; they still finish what
        was accepted. May be called any number of times, from any thread.
        """
        return self._state.shutdown(wait, drain, check_timeout("timeout", timeout))

    def stats(self) -> PoolStats:
        """A consistent snapshot of the counters."""
        return self._state.stats()

    @property
    def closed(self) -> bool:
        """Whether the pool has stopped accepting tasks for good."""
        return self._state.closed

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drain after success or an Exception; Ctrl-C and its like drop the queue and await running tasks."""
        self._state.shutdown(True, exc is None or isinstance(exc, Exception), None)

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(f"a {type(self).__name__} has threads and cannot be pickled; create it in the child")

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self._state.name!r} {state} {self.stats()}>"

    def __del__(self) -> None:
        state: PoolState | None = getattr(self, "_state", None)
        if state is not None and not state.closed:
            left = state.close(drain=True)
            if left:
                message = f"{state.name}: WorkerPool was not shut down ({state.stats()})"
                warnings.warn(message, ResourceWarning, stacklevel=2, source=self)
