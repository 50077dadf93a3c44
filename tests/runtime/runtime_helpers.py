"""What the tests of the runtime share: waiting without sleeping, and running scripts."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = 30.0  # seconds; never waited for when things go well


def until(test: Callable[[], object], timeout: float = LONG) -> bool:
    """Poll what has no event to wait for: the end of a thread, the work of a finalizer."""
    deadline = time.monotonic() + timeout
    while not test():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


def gone(before: Iterable[threading.Thread], timeout: float = LONG) -> bool:
    return until(lambda: set(threading.enumerate()) <= set(before), timeout)


class Blocker:
    """Tasks that occupy workers until released."""

    def __init__(self, expected: int = 1) -> None:
        self._free = threading.Event()
        self._started = threading.Semaphore(0)
        self.expected = expected

    def __call__(self, *_: object) -> None:
        self._started.release()
        assert self._free.wait(LONG)

    def started(self, count: int | None = None) -> None:
        for _ in range(count or self.expected):
            assert self._started.acquire(timeout=LONG)

    def release(self) -> None:
        self._free.set()


def script(text: str, *, timeout: float = 30.0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `text` in a fresh interpreter; raises subprocess.TimeoutExpired if it hangs."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent))), **environ}
    command = [sys.executable, "-W", "error", "-c", text]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)


def consistent(stats: Any) -> bool:
    return bool(
        stats.submitted
        == stats.completed + stats.failed + stats.dropped + stats.cancelled + stats.queued + stats.active
    )
