"""Arguments are refused at the call, by a message that says what was expected and what came."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

FOREVER = 3600.0 * 24 * 365  # locks refuse timeouts that overflow a C long; nobody waits this long

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # the co_flags of inspect, without its import


class PoolStats(NamedTuple):
    """One consistent snapshot of a pool.

    `submitted` counts accepted tasks; `submitted == completed + failed + dropped + cancelled + queued + active`
    always. `cancelled` is 0 for threads, which cannot be cancelled. All of them count since the pool was made,
    or since the fork in a forked child.
    """

    submitted: int
    rejected: int
    completed: int
    failed: int
    dropped: int
    queued: int
    active: int
    cancelled: int = 0


def check_count(name: str, value: object, least: int) -> int:
    """`value` as a whole number of at least `least`, else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an int >= {least}, got {value!r}")
    return value


def check_seconds(name: str, value: object) -> float:
    """`value` as seconds, at most a year, else TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be >= 0 seconds, got {value!r}")
    return min(float(value), FOREVER) if value < FOREVER else FOREVER


def check_timeout(name: str, value: object) -> float | None:
    """Seconds, or None for no limit."""
    return None if value is None else check_seconds(name, value)


def check_hook(name: str, hook: object) -> None:
    """A hook is None or a plain callable: the result of a coroutine function would never be awaited."""
    if hook is None:
        return
    if not callable(hook):
        raise TypeError(f"{name} must be callable or None, got {hook!r}")
    if _code_flags(hook) & (_COROUTINE | _ASYNC_GENERATOR | _GENERATOR):
        raise TypeError(f"{name} must be a plain function, got {hook!r}, whose body would never run")


def check_task(fn: object) -> None:
    """TypeError for what a thread would call without running its body."""
    if not callable(fn):
        raise TypeError(f"expected a callable, got {fn!r}")
    if _code_flags(fn) & (_COROUTINE | _ASYNC_GENERATOR | _GENERATOR):
        raise TypeError(f"expected a plain function, got {fn!r}, whose body would never run in a thread")


def check_job(fn: object) -> None:
    """TypeError for what a loop cannot call and await; a coroutine object is closed first."""
    if not callable(fn):
        close = getattr(fn, "close", None)
        if hasattr(fn, "__await__") and callable(close):
            close()  # refused here, so nobody will await it
            raise TypeError(
                f"expected a coroutine function, got a coroutine object: {fn!r}; pass the function"
            )
        raise TypeError(f"expected a coroutine function, got {fn!r}")
    if _code_flags(fn) & (_ASYNC_GENERATOR | _GENERATOR):
        raise TypeError(f"expected a coroutine function, got {fn!r}, a generator whose body would never run")


def _code_flags(fn: object) -> int:
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)
    if code is None:
        code = getattr(getattr(type(fn), "__call__", None), "__code__", None)  # noqa: B004
    flags = getattr(code, "co_flags", 0)
    return flags if isinstance(flags, int) else 0


def label_of(subject: object) -> str:
    """A short name for log lines; `repr` may be huge (a partial with its arguments) or raise."""
    if isinstance(subject, str):
        return subject
    while isinstance(subject, functools.partial):
        subject = subject.func
    name = getattr(subject, "__qualname__", None)
    return name if isinstance(name, str) else type(subject).__qualname__


Hook = Callable[[BaseException, object], object]
