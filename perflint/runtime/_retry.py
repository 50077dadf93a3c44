"""A full pool may be asked again, a few times and with growing pauses; never until it gives in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ._checks import check_count, check_seconds
from ._report import loop_runs_here

_MOST_ATTEMPTS = 5


class Submitter(Protocol):
    @property
    def closed(self) -> bool: ...
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> bool: ...


def retry_submit(
    pool: Submitter,
    fn: Callable[..., Any],
    /,
    *args: Any,
    attempts: int = 3,
    base: float = 0.01,
    cap: float = 0.25,
    **kwargs: Any,
) -> bool:
    """Submit up to `attempts` times (1 to 5), with jittered pauses that grow from `base` to at most `cap` seconds.

    For work inside the process with no better place to go. A closed pool is not asked again. ValueError for more
    than 5 attempts: more load does not cure overload. RuntimeError under a running event loop, which it would
    block: use `aretry_submit` there.
    """
    pauses = _pauses(attempts, base, cap)
    if loop_runs_here():
        raise RuntimeError("retry_submit() would block the running event loop; await aretry_submit()")
    while not pool.submit(fn, *args, **kwargs):
        pause = next(pauses, None)
        if pause is None or pool.closed:
            return False
        time.sleep(pause)
    return True


async def aretry_submit(
    pool: Submitter,
    fn: Callable[..., Any],
    /,
    *args: Any,
    attempts: int = 3,
    base: float = 0.01,
    cap: float = 0.25,
    **kwargs: Any,
) -> bool:
    """`retry_submit` for coroutines, with either kind of pool."""
    import asyncio

    pauses = _pauses(attempts, base, cap)
    while not pool.submit(fn, *args, **kwargs):
        pause = next(pauses, None)
        if pause is None or pool.closed:
            return False
        await asyncio.sleep(pause)
    return True


def _pauses(attempts: int, base: float, cap: float) -> Iterator[float]:
    """The pauses between `attempts` tries: half fixed, half random, so that callers do not meet again."""
    if check_count("attempts", attempts, 1) > _MOST_ATTEMPTS:
        raise ValueError(f"attempts must be at most {_MOST_ATTEMPTS}, got {attempts}")
    base, cap = check_seconds("base", base), check_seconds("cap", cap)
    import random

    longest = [min(cap, base * 2**turn) for turn in range(attempts - 1)]
    return (pause * random.uniform(0.5, 1.0) for pause in longest)
