"""Failures are told: to a hook, or to the logger `perflint.runtime`, at a bounded rate."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from ._checks import Hook, label_of
from ._forks import survive_fork

REPORTS_PER_SECOND = 10
_WARNING, _ERROR = 30, 40  # levels of logging, which is only imported to log


class Reporter:
    """Reports failures of one owner; never raises an Exception.

    Without a hook, at most REPORTS_PER_SECOND records a second are logged; the next one that passes, and
    `flush`, tell how many were not.
    """

    def __init__(
        self, name: str, on_error: Hook | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._on_error = on_error
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may report while its thread reports
        self._window = -1.0
        self._count = 0
        self._suppressed = 0
        self._known = False

    def report(self, exc: BaseException, subject: object, on_error: Hook | None = None) -> None:
        hook = on_error or self._on_error
        if hook is None:
            self._log_failure("%s: %s failed", exc, subject)
            return
        try:
            hook(exc, subject)
        except BaseException as broken:
            if not isolates(broken):
                raise
            self._log_failure("%s: on_error failed for %s", broken, subject)

    def flush(self) -> None:
        """Say how many reports were suppressed since the last record."""
        with self._lock:
            suppressed, self._suppressed = self._suppressed, 0
        self._tell_suppressed(suppressed)

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        self._suppressed = 0

    def _log_failure(self, message: str, exc: BaseException, subject: object) -> None:
        suppressed = self._admit()
        if suppressed is None:
            return
        self._tell_suppressed(suppressed)
        log(_ERROR, message, self.name, label_of(subject), exc=exc)

    def _admit(self) -> int | None:
        """None if this record is one too many, else how many were suppressed before it."""
        if not self._known:
            self._known = True
            survive_fork(self)
        with self._lock:
            now = self._clock()
            if self._window < 0 or now - self._window >= 1:
                self._window, self._count = now, 0
            if self._count >= REPORTS_PER_SECOND:
                self._suppressed += 1
                return None
            self._count += 1
            suppressed, self._suppressed = self._suppressed, 0
            return suppressed

    def _tell_suppressed(self, suppressed: int) -> None:
        if suppressed:
            log(_WARNING, "%s: %d failures suppressed", self.name, suppressed)


def log(level: int, message: str, *values: object, exc: BaseException | None = None) -> None:
    """Log without ever failing: a broken handler must not take a worker down."""
    try:
        import logging

        logging.getLogger("perflint.runtime").log(level, message, *values, exc_info=exc)
    except BaseException as broken:
        if not isolates(broken):
            raise


def log_error(message: str, *values: object) -> None:
    log(_ERROR, message, *values)


def isolates(exc: BaseException) -> bool:
    """Whether `exc` may be stopped here.

    An Exception always. The others mean "stop" to the main thread and to an event loop (Ctrl-C, `sys.exit`,
    cancellation); in any other thread they only end the thread, silently, so there they are stopped too.
    """
    if isinstance(exc, Exception):
        return True
    return threading.current_thread() is not threading.main_thread() and not loop_runs_here()


def loop_runs_here() -> bool:
    """Whether an asyncio or trio loop runs in this thread; neither is imported to find out."""
    in_trio = getattr(getattr(sys.modules.get("trio"), "lowlevel", None), "in_trio_run", None)
    if in_trio is not None and in_trio():
        return True
    running = getattr(sys.modules.get("asyncio"), "get_running_loop", None)
    if running is None:
        return False
    try:
        running()
    except RuntimeError:
        return False
    return True
