"""`tune_for_throughput`: fewer collections while memory is plenty, the usual ones when it is not."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Literal, NamedTuple

from ._checks import check_count, check_hook, check_seconds
from ._memory_limit import give_back, memory_limit, resident
from ._report import Reporter, log

Pressure = Callable[[int, int], object]
Thresholds = tuple[int, int, int]

_GUARD_SHARE = 0.1  # of the time that passes, at most, for collections of the guard
_RELAXED = 0.9  # of the mark: below that the tuning holds again
_FASTEST = 2 << 30  # bytes per second of new garbage that the guard reckons with
_SHORTEST = 0.005  # seconds between two looks
_QUIET = 60.0  # seconds between two log records about pressure
_WARNING_LEVEL = 30
_FROZEN_AT_START = (
    gc.get_freeze_count() if hasattr(gc, "get_freeze_count") else 0
)  # Python 3.12: some hundreds


class _Settings(NamedTuple):
    gen0: int
    freeze: bool
    soft_limit: int | str
    fraction: float
    interval: float
    on_pressure: Pressure | None


def tune_for_throughput(
    *,
    gen0: int = 50_000,
    freeze: bool = True,
    soft_limit: int | Literal["auto"] = "auto",
    fraction: float = 0.8,
    interval: float = 1.0,
    on_pressure: Pressure | None = None,
) -> GCTuning:
    """Collect garbage less often, for as long as there is memory. Call it once, when the program has started up.

    CPython frees what is in no cycle at once; its collector looks for cycles after so many new containers and knows
    nothing about bytes. So this raises that number to `gen0` (never lowers it), collects once and, with `freeze`,
    takes all that is alive out of later collections. Measure first: programs whose cycles own large buffers get
    slower, which is why there is always a guard.

    soft_limit   bytes; "auto" is the least of the cgroup's limit (v1 and v2), RLIMIT_AS and the machine's memory
    fraction     of the limit, above 0 and at most 1. Above that the guard, a daemon thread, puts the interpreter's
                 default thresholds back until memory is below 0.9 of the mark, and collects: for at most 10 % of the
                 time, because a collector that runs all the time saves no program
    interval     seconds, the longest time between two looks at the memory; near the mark it looks more often
    on_pressure  called as `on_pressure(rss, limit)` in the guard's thread when a collection did not help; without it
                 the logger `perflint.runtime` gets a warning, at most one a minute

    While a tuning is in force, a further call returns the same object, whatever its arguments. In a forked child the
    tuning holds, with a guard of its own; called before the fork, the frozen objects stay shared pages.
    Without /proc there is no guard, and on a free-threaded build nothing is frozen: RuntimeWarning says so.

    Raises ValueError for values out of range and TypeError for a hook that cannot be called.
    """
    settings = _Settings(
        check_count("gen0", gen0, 1), bool(freeze), soft_limit, fraction, _positive(interval), on_pressure
    )
    check_hook("on_pressure", on_pressure)
    if soft_limit != "auto":
        check_count("soft_limit", soft_limit, 1)
    if not 0 < check_seconds("fraction", fraction) <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1, got {fraction!r}")
    return _tunings.add(settings)


def default_thresholds(version: tuple[int, ...]) -> Thresholds:
    """What CPython of that version starts with."""
    if version < (3, 13):
        return 700, 10, 10
    if (
        (3, 14) <= version < (3, 14, 5)
    ):  # the incremental collector: two generations, the last number is not used
        return 2000, 10, 0
    return 2000, 10, 10


class GCTuning:
    """A tuning of the collector in force; made by `tune_for_throughput`, undone by `restore` or the end of `with`.

    `limit` is the memory limit in bytes that the guard keeps to, None without a guard.
    """

    def __init__(self, settings: _Settings) -> None:
        self.limit: int | None = None
        self._settings = settings
        self._calls = 1
        self._guard: _Guard | None = None
        self._before = self._ours = gc.get_threshold()
        self._frozen = 0

    def restore(self) -> None:
        """Undo one call of `tune_for_throughput`; the last one puts everything back and ends the guard.

        Thresholds that somebody else has set since are left alone, and so is everything frozen if more has been
        frozen since, because `gc.unfreeze` cannot tell whose it is.
        """
        _tunings.remove(self)

    def __enter__(self) -> GCTuning:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore()

    def _begin(self) -> None:
        first, second, third = self._before
        # 0 means that nothing is collected by itself: that is never lowered either
        tuned = (max(first, self._settings.gen0) if first else 0, second, third)
        if self._settings.freeze:
            self._freeze()
        self._set(tuned)
        self._guard = self._make_guard(tuned)
        if self._guard:
            self._guard.start()

    def _freeze(self) -> None:
        if "free-threading" in sys.version:
            warnings.warn(
                "gc.freeze() does nothing on a free-threaded build; pass freeze=False", RuntimeWarning, 5
            )
            return
        gc.collect()
        if (
            gc.get_freeze_count() <= _FROZEN_AT_START
        ):  # else it is somebody's, which could not be told from ours
            gc.freeze()
            self._frozen = gc.get_freeze_count()

    def _make_guard(self, tuned: Thresholds) -> _Guard | None:
        limit = memory_limit() if self._settings.soft_limit == "auto" else int(self._settings.soft_limit)
        if limit is None or resident() is None:
            warnings.warn(
                "tune_for_throughput() cannot see the memory of this process: no guard", RuntimeWarning, 5
            )
            return None
        self.limit = limit
        usual = default_thresholds(sys.version_info[:3])
        eased = usual if not self._before[0] or self._before[0] > usual[0] else self._before
        return _Guard(limit, self._settings, lambda pressed: self._set(eased if pressed else tuned))

    def _set(self, thresholds: Thresholds) -> None:
        if gc.get_threshold() == self._ours:
            gc.set_threshold(*thresholds)
            self._ours = gc.get_threshold()  # as the interpreter keeps them

    def _end(self) -> None:
        if self._guard:
            self._guard.stop()
        self._set(self._before)
        if self._frozen and gc.get_freeze_count() <= self._frozen:
            gc.unfreeze()
        self._frozen = 0


class _Guard:
    """Looks at the memory; `switch(True)` puts the default thresholds in force, `switch(False)` the tuned ones."""

    def __init__(
        self,
        limit: int,
        settings: _Settings,
        switch: Callable[[bool], object],
        memory: Callable[[], int | None] = resident,
        collect: Callable[[], object] = gc.collect,
        trim: Callable[[], object] = give_back,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mark = int(limit * settings.fraction)
        self._limit, self._interval, self._hook = limit, settings.interval, settings.on_pressure
        self._switch, self._memory, self._clock = switch, memory, clock
        self._collect, self._trim = collect, trim
        self._pressed = False
        self._next = self._told = -_QUIET  # when it may collect again; when it last logged
        self._reporter = Reporter("tune_for_throughput")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> float:
        """Do what is needed now; returns the seconds until the next look."""
        size = self._memory()
        if size is None:
            return self._interval
        if size > self.mark:
            self._press()
        elif self._pressed and size < self.mark * _RELAXED:
            self._pressed = False
            self._switch(False)
        if self._pressed:
            return self._interval
        return min(self._interval, max(_SHORTEST, (self.mark - size) / _FASTEST))

    def _press(self) -> None:
        if not self._pressed:
            self._pressed = True
            self._switch(True)  # first: a young collection is then due at the next container
        begun = self._clock()
        if begun < self._next:
            return
        self._collect()
        size = self._memory()
        if size is not None and size > self.mark * _RELAXED:
            self._trim()
            size = self._memory()
        ended = self._clock()
        self._next = ended + (ended - begun) * (1 / _GUARD_SHARE - 1)
        if size is not None and size > self.mark:
            self._tell(size)

    def _tell(self, size: int) -> None:
        if self._hook is not None:
            try:
                self._hook(size, self._limit)
            except Exception as error:
                self._reporter.report(error, "on_pressure")
        elif self._clock() - self._told >= _QUIET:
            self._told = self._clock()
            message = "memory stays at %d of %d MiB after a collection: it is no garbage"
            log(_WARNING_LEVEL, message, size >> 20, self._limit >> 20)

    def start(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name="perflint-gc-guard", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; from its own hook, after the hook."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(self.look()):
            pass


class _Tunings:
    """At most one tuning is in force, because the collector is the process's."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tuning: GCTuning | None = None
        self._paused: _Guard | None = None
        self._hooked = False

    def add(self, settings: _Settings) -> GCTuning:
        with self._lock:
            if self._tuning is not None:
                self._tuning._calls += 1
                if self._tuning._settings != settings:
                    log(_WARNING_LEVEL, "tune_for_throughput() is in force with other arguments, which hold")
                return self._tuning
            if not self._hooked and hasattr(os, "register_at_fork"):
                self._hooked = True
                os.register_at_fork(
                    before=self._before_fork, after_in_parent=self._go_on, after_in_child=self._after_fork
                )
            tuning = GCTuning(settings)
            tuning._begin()
            self._tuning = tuning
            return tuning

    def remove(self, tuning: GCTuning) -> None:
        with self._lock:
            if self._tuning is tuning:
                tuning._calls -= 1
                if not tuning._calls:
                    self._tuning = None
                    tuning._end()

    def _before_fork(self) -> None:
        """No thread of ours at the fork: Python 3.12 warns of forks beside threads, and rightly."""
        guard = self._tuning._guard if self._tuning else None
        if guard is not None and guard._thread is not threading.current_thread():
            self._paused = guard
            guard.stop()

    def _go_on(self) -> None:
        guard, self._paused = self._paused, None
        if guard is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # no thread can be started, as at the end of the interpreter
                guard.start()

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._go_on()


_tunings = _Tunings()


def _positive(interval: float) -> float:
    if check_seconds("interval", interval) <= 0:
        raise ValueError(f"interval must be above 0 seconds, got {interval!r}")
    return float(interval)
