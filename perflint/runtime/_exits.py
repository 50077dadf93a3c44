"""Interpreter exit: pools are closed and drained, until the time given to them is over."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from typing import Protocol


class Finishable(Protocol):
    exit_timeout: float

    def close(self, drain: bool) -> object: ...
    def finish(self, deadline: float) -> None: ...


_pools: dict[int, weakref.ref[Finishable]] = {}
_hooked_exits: set[str] = set()
_exit_begun = threading.Event()


def exiting() -> bool:
    """Whether the exit of this interpreter has reached the pools."""
    return _exit_begun.is_set()


def run_at_exit(pool: Finishable) -> None:
    """Close and drain `pool` at exit, unless it is collected before."""
    key = id(pool)

    def forget(_: object) -> None:
        _pools.pop(key, None)

    _pools[key] = weakref.ref(pool, forget)
    if "atexit" not in _hooked_exits:
        import logging  # noqa: F401  # its own exit hook must run after ours, which logs what is lost

        _hooked_exits.add("atexit")
        atexit.register(_at_exit)


def allow_no_daemons() -> None:
    """Threads that are no daemons are joined before atexit; have the pools closed before that."""
    register = getattr(threading, "_register_atexit", None)
    if register is not None and "threading" not in _hooked_exits:
        _hooked_exits.add("threading")
        register(_at_exit)


def _at_exit() -> None:
    _exit_begun.set()
    begun = time.monotonic()
    pools = [pool for reference in list(_pools.values()) if (pool := reference()) is not None]
    for pool in pools:
        pool.close(drain=True)
    try:
        for pool in pools:
            pool.finish(begun + pool.exit_timeout)
    except KeyboardInterrupt:  # the user is done waiting
        for pool in pools:
            pool.close(drain=False)
