"""A failure is reported and the caller goes on: functions, blocks, awaitables, done callbacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._checks import Hook, check_hook, check_task
from ._report import Reporter, isolates

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

T = TypeVar("T")
D = TypeVar("D")

_shared = Reporter("perflint.runtime")


@overload
def safe_run(
    fn: Callable[..., T], /, *args: Any, on_error: Hook | None = None, default: None = None, **kwargs: Any
) -> T | None: ...
@overload
def safe_run(
    fn: Callable[..., T], /, *args: Any, on_error: Hook | None = None, default: D, **kwargs: Any
) -> T | D: ...
def safe_run(
    fn: Callable[..., T], /, *args: Any, on_error: Hook | None = None, default: Any = None, **kwargs: Any
) -> Any:
    """Call `fn(*args, **kwargs)`; if it raises, report and return `default`.

    In a thread of its own it stops every BaseException, SystemExit included, which would end the thread without a
    word. In the main thread and under a running event loop it stops Exception only, so Ctrl-C, `sys.exit` and
    cancellation still work. `on_error(exc, fn)` replaces the log record.

    Raises TypeError if `fn` is not callable or is a coroutine function (use `safe_await`).
    """
    check_task(fn)
    check_hook("on_error", on_error)
    try:
        return fn(*args, **kwargs)
    except BaseException as exc:
        if not isolates(exc):
            raise
        _shared.report(exc, fn, on_error)
        return default


class guard:
    """`with guard("label"):` reports an exception of its block and goes on after it.

    It stops what `safe_run` stops, except GeneratorExit, which always passes. One guard may be used again, by many
    threads and inside itself: it holds no state. `on_error(exc, label)` replaces the log record.

        for message in messages:
            with guard("handle message"):
                handle(message)
    """

    __slots__ = ("_label", "_on_error")

    def __init__(self, label: str = "", *, on_error: Hook | None = None) -> None:
        if not isinstance(label, str):
            raise TypeError(f"label must be a str, got {label!r}")
        check_hook("on_error", on_error)
        self._label = label
        self._on_error = on_error

    def __enter__(self) -> guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if exc is None or isinstance(exc, GeneratorExit) or not isolates(exc):
            return False
        _shared.report(exc, self._label or "guarded block", self._on_error)
        return True


@overload
async def safe_await(aw: Awaitable[T], *, on_error: Hook | None = None, default: None = None) -> T | None: ...
@overload
async def safe_await(aw: Awaitable[T], *, on_error: Hook | None = None, default: D) -> T | D: ...
async def safe_await(aw: Awaitable[T], *, on_error: Hook | None = None, default: Any = None) -> Any:
    """Await `aw`; if it raises an Exception, report and return `default`.

    CancelledError, KeyboardInterrupt and SystemExit pass. `on_error(exc, aw)` replaces the log record.
    """
    check_hook("on_error", on_error)
    try:
        return await aw
    except Exception as exc:
        _shared.report(exc, aw, on_error)
        return default


def log_task_exception(task: asyncio.Future[Any]) -> None:
    """Done callback for tasks: log the exception, if any; a cancelled task is silent.

    KeyboardInterrupt and SystemExit are not logged: asyncio has raised them already.
    """
    exc = _outcome(task)
    if isinstance(exc, Exception):
        _shared.report(exc, getattr(task, "get_name", lambda: "future")())


def log_future_exception(future: concurrent.futures.Future[Any]) -> None:
    """Done callback for futures of executors: log the exception, if any; a cancelled future is silent."""
    exc = _outcome(future)
    if exc is not None:
        _shared.report(exc, "future")


def _outcome(future: asyncio.Future[Any] | concurrent.futures.Future[Any]) -> BaseException | None:
    if not future.done():
        raise RuntimeError(f"{future!r} is not done; pass this function to add_done_callback")
    return None if future.cancelled() else future.exception()
