"""Where memory was allocated, by tracemalloc: on only when asked for, off again by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._debug_http import Refused
from ._sampler import plain

if TYPE_CHECKING:
    import tracemalloc

TRACING_SECONDS = 300.0
COST = "Tracing makes code that allocates a lot some 20 times slower."

_OFF = "Tracing is off; start it with POST /debug/heap/start."
_Where = tuple[str, ...]  # "file:line", the caller first
_Sizes = dict[_Where, tuple[int, int]]  # bytes and blocks


class HeapTracer:
    """tracemalloc on behalf of one server; what the program traces by itself is the program's to stop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._until: float | None = None  # set while we trace
        self._marked: _Sizes | None = None

    @property
    def until(self) -> float | None:
        """When tracing stops by itself, on the clock; None if it is not ours."""
        return self._until

    def start(self, frames: int) -> str:
        import tracemalloc

        with self._alone():
            if tracemalloc.is_tracing() and self._until is None:
                return "The program traces already; nothing was changed."
            if self._until is not None:
                tracemalloc.stop()
            tracemalloc.start(frames)
            self._marked = None
            self._until = self._clock() + TRACING_SECONDS
        return f"Tracing has started and stops in {TRACING_SECONDS:.0f} s. {COST}"

    def stop(self) -> str:
        import tracemalloc

        with self._alone():
            if not tracemalloc.is_tracing():
                self._forget()
                return "Tracing was off."
            if self._until is None:
                raise Refused(409, "The program started the tracing itself, so only the program may stop it.")
            self._forget()
            tracemalloc.stop()
        return "Tracing has stopped."

    def top(self, limit: int, group: str) -> dict[str, Any]:
        """The places that hold most memory; Refused while tracing is off."""
        with self._alone():
            found = self._sizes(group)
        rows = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
        return {
            "traced_bytes": sum(size for size, _ in found.values()),
            "stops_in_seconds": None if self._until is None else round(self._until - self._clock()),
            "top": [
                {"bytes": size, "blocks": blocks, "where": list(where)}
                for where, (size, blocks) in rows[:limit]
            ],
        }

    def mark(self) -> str:
        with self._alone():
            self._marked = self._sizes("lineno")
        return "Marked; GET /debug/heap/diff shows what has grown since."

    def diff(self, limit: int) -> dict[str, Any]:
        """What has changed most since the mark."""
        with self._alone():
            before = self._marked
            if before is None:
                raise Refused(409, "Nothing is marked; mark the heap with POST /debug/heap/mark first.")
            now = self._sizes("lineno")
        rows: list[dict[str, Any]] = []
        for where in before.keys() | now.keys():
            (old, old_blocks), (new, new_blocks) = before.get(where, (0, 0)), now.get(where, (0, 0))
            if new != old:
                rows.append({"bytes": new - old, "blocks": new_blocks - old_blocks, "where": list(where)})
        rows.sort(key=lambda row: (-abs(row["bytes"]), row["where"]))
        return {"grown_bytes": sum(row["bytes"] for row in rows), "diff": rows[:limit]}

    def tick(self) -> None:
        """Stop when the time is over; called every second or so."""
        if self._until is not None and self._clock() >= self._until and self._lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._lock.release()

    def close(self) -> None:
        if self._until is not None:
            import tracemalloc

            self._forget()
            tracemalloc.stop()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self.close()

    def _forget(self) -> None:
        self._until = self._marked = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A snapshot copies all traces; one at a time."""
        if not self._lock.acquire(blocking=False):
            raise Refused(409, "Another request reads the heap; try again when it is done.")
        try:
            yield
        finally:
            self._lock.release()

    def _sizes(self, group: str) -> _Sizes:
        import tracemalloc

        if not tracemalloc.is_tracing():
            self._forget()
            raise Refused(409, _OFF)
        try:
            snapshot = tracemalloc.take_snapshot()
        except RuntimeError:  # stopped meanwhile
            raise Refused(409, _OFF) from None
        kept = snapshot.filter_traces(
            [tracemalloc.Filter(False, name) for name in (tracemalloc.__file__, __file__)]
        )
        return {_where(found.traceback, group): (found.size, found.count) for found in kept.statistics(group)}


def _where(traceback: tracemalloc.Traceback, group: str) -> _Where:
    if group == "filename":
        return (plain(traceback[0].filename),)
    return tuple(f"{plain(frame.filename)}:{frame.lineno}" for frame in traceback)
