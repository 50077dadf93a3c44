"""Checks of `WorkerPool` that also run against broken variants of it, each of which must fail one.

Every check takes the pool class, and runs in a process of its own when the variant may hang.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runtime_helpers import LONG, Blocker, consistent


def race(Pool: Any, rounds: int = 20) -> int:
    """4 submitters against 2 shutdowns: what was accepted has run. Returns how much was accepted."""
    total = 0
    for seed in range(rounds):
        chance = random.Random(seed)
        ran: list[int] = []
        accepted = [0] * 4
        pool = Pool(chance.randint(1, 4), chance.choice([0, 1, 10, 1000]))
        begin = threading.Barrier(6)

        def submit(
            mine: int, pool: Any = pool, ran: Any = ran, accepted: Any = accepted, begin: Any = begin
        ) -> None:
            begin.wait(LONG)
            for number in range(300):
                accepted[mine] += pool.submit(ran.append, number)

        def shut(turns: int, pool: Any = pool, begin: Any = begin) -> None:
            begin.wait(LONG)
            for _ in range(turns):
                time.sleep(0)  # let others run a while; how long is up to the scheduler
            assert pool.shutdown()

        threads = [threading.Thread(target=submit, args=(mine,)) for mine in range(4)]
        threads += [threading.Thread(target=shut, args=(chance.randint(0, 300),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive(), "hangs"
        stats = pool.stats()
        assert len(ran) == sum(accepted) == stats.completed == stats.submitted, (len(ran), accepted, stats)
        assert stats.rejected == 1200 - sum(accepted) and not pool._state.threads
        total += len(ran)
    return total


class Announced:
    """A lock that says when somebody comes for it."""

    def __init__(self, lock: Any) -> None:
        self.lock, self.wanted = lock, threading.Event()

    def __enter__(self) -> None:
        self.wanted.set()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def closed_is_checked_under_the_lock(Pool: Any) -> None:
    """A submit that has begun when the pool closes is refused, or its task runs."""
    ran: list[int] = []
    answers: list[bool] = []
    pool = Pool(1, 1).start()
    worker = next(iter(pool._state.threads))
    lock = pool._state.lock
    with lock:
        pool._state.lock = announced = Announced(lock)
        submitter = threading.Thread(target=lambda: answers.append(pool.submit(ran.append, 1)))
        submitter.start()
        assert announced.wanted.wait(LONG)
        pool._state.lock = lock
        pool.shutdown(timeout=0)
        assert pool._state.changed.wait_for(lambda: not pool._state.threads, LONG)
        assert pool.shutdown()
    submitter.join(LONG)
    worker.join(LONG)
    assert answers == [False] and ran == [] and not pool._state.threads, "accepted after the end"


def capacity(Pool: Any) -> None:
    blocker = Blocker(3)
    pool = Pool(3, 2)
    with pool._state.lock:  # no worker wakes up while we count
        answers = [pool.submit(blocker) for _ in range(7)]
    blocker.release()
    assert pool.shutdown(timeout=LONG)
    assert answers == [True] * 5 + [False] * 2, answers


def isolation(Pool: Any) -> None:
    pool, ran = Pool(1, 10, on_error=lambda exc, fn: None, exit_timeout=0), threading.Event()

    def fails() -> None:
        raise SystemExit

    assert pool.submit(fails) and pool.submit(ran.set)
    assert ran.wait(4) and pool.shutdown(timeout=LONG)


def reentrance(Pool: Any) -> None:
    """What a signal handler does inside submit, without the signal."""
    pool = Pool(1, 10).start()
    with pool._state.lock:
        assert pool.submit(int)
    assert pool.shutdown(timeout=LONG) and pool.stats().completed == 1


def shutdown_inside_start(Pool: Any) -> None:
    """A handler shuts the pool down just when the thread of its first worker has started."""
    start, answers = threading.Thread.start, []

    def interrupted(thread: threading.Thread) -> None:
        threading.Thread.start = start  # type: ignore[method-assign]
        start(thread)
        answers.append(pool.shutdown(timeout=LONG))

    pool = Pool(1, 1)
    threading.Thread.start = interrupted  # type: ignore[method-assign]
    accepted = pool.submit(int)
    assert answers == [True] and not accepted
    assert pool.shutdown(timeout=3) and pool.stats().submitted == 0


def waiting_inside_start(Pool: Any) -> None:
    """A handler waits, so that the lock is free, just when the thread of the first worker has started."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        threading.Thread.start = start  # type: ignore[method-assign]
        start(thread)
        while thread.is_alive() and not pool._state.parks:
            pool._state.changed.wait(0.001)

    pool, ran = Pool(1, 1, exit_timeout=0), threading.Event()
    threading.Thread.start = interrupted  # type: ignore[method-assign]
    assert pool.submit(ran.set)
    assert ran.wait(4), "the worker is gone and the pool does not know"
    assert pool.shutdown(timeout=LONG)


def submit_inside_admission(Pool: Any) -> None:
    """A handler fills the pool, or ends it, between the test for room and the append."""
    for ends in (False, True):
        pool, ran, inner = Pool(1, 1).start(), list[str](), list[bool]()
        state = pool._state
        wake = state._wake

        def interrupted(
            state: Any = state,
            wake: Any = wake,
            ran: Any = ran,
            inner: Any = inner,
            ends: bool = ends,
            pool: Any = pool,
        ) -> None:
            state._wake = wake
            wake()
            if ends:
                inner.append(pool.shutdown(timeout=LONG))
            else:
                inner.extend(pool.submit(ran.append, "inner") for _ in range(2))

        with state.lock:
            state._wake = interrupted
            outer = pool.submit(ran.append, "outer")
        assert pool.shutdown(timeout=LONG) and consistent(pool.stats())
        assert (
            outer is False
            and ran == ([] if ends else ["inner"] * 2)
            and inner == ([True] if ends else [True] * 2)
        )


@contextmanager
def alarms(handler: Callable[..., None], first: float, interval: float = 0) -> Iterator[None]:
    """Have a timer's signals handled; afterwards by nobody: a late one may be under way, and CPython wants a function."""
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, first, interval)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, lambda *_: None)


def signals(Pool: Any, seconds: float = 0.4) -> None:
    """Submit from a signal handler, every half millisecond, inside submit."""
    ran: list[int] = []
    accepted: tuple[list[int], list[int]] = [], []
    pool = Pool(2, 50).start()

    def handler(*_: object) -> None:
        if pool.submit(ran.append, 1):  # not `+=`: the handler interrupts itself
            accepted[1].append(1)

    with alarms(handler, 0.0005, 0.0005):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if pool.submit(ran.append, 0):
                accepted[0].append(0)
    assert pool.shutdown(timeout=LONG)
    assert ran.count(0) == len(accepted[0]) and ran.count(1) == len(accepted[1]) > 0
    assert pool.stats().submitted == pool.stats().completed == len(ran)


def shutdown_signals(Pool: Any, rounds: int = 40) -> None:
    """Shut down from a signal handler at random moments of submitting."""
    chance = random.Random(1)
    for _ in range(rounds):
        ran: list[int] = []
        pool, ended, accepted = Pool(2, 1000).start(), list[bool](), 0

        def handler(*_: object, pool: Any = pool, ended: Any = ended) -> None:
            ended.append(pool.shutdown(timeout=LONG))

        with alarms(handler, chance.uniform(1e-5, 3e-3)):
            while not ended:
                accepted += pool.submit(ran.append, 1)
        assert ended == [True] and pool.shutdown() and len(ran) == accepted, (len(ran), accepted)


STUCK = """
import threading
from {module} import {name} as Pool
pool = Pool(1, 5, exit_timeout=0.2)
begun = threading.Event()
pool.submit(lambda: (begun.set(), threading.Event().wait()))
begun.wait()
assert pool.submit(int)
print("end")
"""


def stuck_exit(Pool: Any) -> None:
    """A stuck task cannot keep the process alive; what is lost is logged."""
    text = STUCK.format(module=Pool.__module__, name=Pool.__name__)
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=6)
    assert (ran.returncode, ran.stdout) == (0, "end\n"), ran
    assert ran.stderr == "pool: exit: 1 queued tasks lost, 1 still running\n", ran.stderr
