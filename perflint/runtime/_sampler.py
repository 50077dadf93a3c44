"""A CPU profile by sampling: the stacks of all threads, so many times a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection
from types import CodeType, FrameType
from typing import Any, NamedTuple

MOST_SECONDS, MOST_HZ = 120.0, 1000

_MOST_STACKS, _MOST_FRAMES = 20_000, 128  # what a profile may hold
_LOOK_SHARE = 0.05  # of the time that passes, at most, for looking
_RUNNING = 0.02  # of the time that passes on a processor; waiting for the GIL takes less

# Where a thread without work stands, for platforms that do not tell the processor time of a thread
_WAITS = {
    "threading.py": {"wait", "acquire", "join", "_wait_for_tstate_lock"},
    "selectors.py": {"select", "_select"},
    "socket.py": {"accept"},
    "queue.py": {"get"},
    "thread.py": {"_worker"},
    "subprocess.py": {"_try_wait", "_wait"},
    "connection.py": {"_recv", "_poll"},
}


class Frame(NamedTuple):
    """A function of a stack."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})" if self.file else self.name


_Key = tuple[int, tuple[CodeType, ...]]  # a thread and its functions
Stack = tuple[Frame, ...]  # from the thread's first function to the one that runs


class CPUProfile(NamedTuple):
    """How often each stack was seen running, by thread.

    `looks` were taken in `seconds`; `idle` counts stacks left out because their thread waited, `lost` those beyond
    what a profile may hold.
    """

    seconds: float
    looks: int
    idle: int
    lost: int
    counts: dict[tuple[str, Stack], int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def take_profile(
    seconds: float,
    hz: float,
    *,
    waiting: bool = False,
    leave_out: Callable[[], Collection[int]] = tuple,
    stop: Callable[[float], bool] | None = None,
) -> CPUProfile:
    """Look at all threads but this one `hz` times a second, less often where that takes over 5 % of the time.

    waiting    also count threads that wait: for the time that passes instead of processor time
    leave_out  identifiers of threads that are not looked at
    stop       waits for so many seconds; True ends the profile early
    """
    stop = stop or threading.Event().wait
    threads, counts = _Threads(), _Counts()
    threads.look((), waiting)  # what the first one that counts is compared with
    begun = due = time.perf_counter()
    looks = idle = 0
    while True:
        now = time.perf_counter()
        due = max(due + 1 / hz, now)  # what was missed is not made up for
        if now >= begun + seconds or stop(max(min(due, begun + seconds) - now, threads.cost / _LOOK_SHARE)):
            break
        running, waited = threads.look({threading.get_ident(), *leave_out()}, waiting)
        looks, idle = looks + 1, idle + waited
        for key in running:
            counts.add(key)
    passed = time.perf_counter() - begun
    return CPUProfile(passed, looks, idle, counts.lost, threads.named(counts.found))


class _Counts:
    def __init__(self) -> None:
        self.found: dict[_Key, int] = {}
        self.lost = 0

    def add(self, key: _Key) -> None:
        if key in self.found or len(self.found) < _MOST_STACKS:
            self.found[key] = self.found.get(key, 0) + 1
        else:
            self.lost += 1


class _Threads:
    """The threads of the process, and whether each was on a processor since the last look."""

    def __init__(self) -> None:
        self.cost = 0.0  # processor seconds of the last look
        self._names: dict[int, str] = {}
        self._clocks: dict[int, int | None] = {}
        self._used: dict[int, tuple[int, int]] = {}
        self._waits: dict[CodeType, bool] = {}

    def look(self, leave_out: Collection[int], waiting: bool) -> tuple[list[_Key], int]:
        """The stacks of running threads, and how many others wait. Nothing here lets another thread run meanwhile."""
        begun = time.thread_time()
        known = {
            thread.ident: thread for thread in threading.enumerate()
        }  # before: its lock may let others run
        frames = sys._current_frames()
        for ident in frames.keys() - self._names.keys():
            self._learn(ident, known.get(ident))
        stacks = [(ident, codes_of(frame)) for ident, frame in frames.items() if ident not in leave_out]
        running = [stack for stack in stacks if self._runs(*stack) or waiting]
        del frames  # they would keep the locals of functions alive
        self.cost = time.thread_time() - begun
        return running, len(stacks) - len(running)

    def named(self, counts: dict[_Key, int]) -> dict[tuple[str, Stack], int]:
        known: dict[CodeType, Frame] = {}
        merged: dict[tuple[str, Stack], int] = {}
        for (ident, codes), count in counts.items():
            for code in codes:
                if code not in known:
                    known[code] = frame_of(code)
            key = self._names[ident], tuple(known[code] for code in codes)
            merged[key] = merged.get(key, 0) + count
        return merged

    def _learn(self, ident: int, thread: threading.Thread | None) -> None:
        self._names[ident] = plain(thread.name) if thread else f"thread {ident}"
        self._clocks[ident] = None
        if sys.platform != "linux":
            return
        if (
            thread is None
        ):  # not made by `threading`; it has a frame, so it is alive, which this call relies on
            self._clocks[ident] = time.pthread_getcpuclockid(ident)
        elif thread.native_id:
            # the clock of a thread's processor time, as the kernel numbers it; safe for threads that have ended,
            # and read without giving up the GIL, which /proc is not
            self._clocks[ident] = ~thread.native_id << 3 | 6

    def _runs(self, ident: int, codes: tuple[CodeType, ...]) -> bool:
        code = codes[-1]
        if code not in self._waits:
            file = code.co_filename.replace("\\", "/").rpartition("/")[2]
            self._waits[code] = code.co_name in _WAITS.get(file, ())
        if self._waits[code]:
            return False
        clock = self._clocks[ident]
        if clock is None:
            return True
        try:
            used, now = time.clock_gettime_ns(clock), time.perf_counter_ns()
        except OSError:  # the thread has ended, or the kernel is none
            self._clocks[ident] = None
            return True
        used_before, before = self._used.get(ident, (used, now))
        self._used[ident] = used, now
        return used - used_before >= max(1, (now - before) * _RUNNING)


def codes_of(frame: FrameType | None) -> tuple[CodeType, ...]:
    """The functions of a stack, the last called last; of a very deep one the deepest."""
    codes: list[CodeType] = []
    while frame is not None and len(codes) < _MOST_FRAMES:
        codes.append(frame.f_code)
        frame = frame.f_back
    codes.reverse()
    return tuple(codes)


def frame_of(code: CodeType, line: int | None = None) -> Frame:
    """The name, file and line of a function, or of a line in it; nothing else of it."""
    name = getattr(code, "co_qualname", code.co_name)
    return Frame(plain(name), plain(code.co_filename), line or code.co_firstlineno)


def lines_of(frame: FrameType | None) -> list[Frame]:
    """A stack with the lines that run now."""
    frames: list[Frame] = []
    while frame is not None and len(frames) < _MOST_FRAMES:
        frames.append(frame_of(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    frames.reverse()
    return frames


def plain(text: str) -> str:
    """On one line and without what separates frames."""
    return "".join(" " if sign == ";" or not sign.isprintable() else sign for sign in text[:300])


def collapsed(profile: CPUProfile) -> str:
    """One line per stack: `thread;function;function count`, as flame graph tools read it."""
    found = sorted(profile.counts.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{';'.join([name, *map(str, stack)])} {count}\n" for (name, stack), count in found)


def speedscope(profile: CPUProfile) -> dict[str, Any]:
    """The file format of speedscope, one profile per thread, in samples."""
    numbers: dict[Frame, int] = {}
    threads: dict[str, tuple[list[list[int]], list[int]]] = {}
    for (name, stack), count in profile.counts.items():
        samples, weights = threads.setdefault(name, ([], []))
        samples.append([numbers.setdefault(frame, len(numbers)) for frame in stack])
        weights.append(count)
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "perflint.runtime",
        "name": f"{profile.looks} looks in {profile.seconds:.1f} s",
        "shared": {"frames": [frame._asdict() for frame in numbers]},
        "profiles": [
            {
                "type": "sampled",
                "name": name,
                "unit": "none",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
            for name, (samples, weights) in threads.items()
        ],
    }


def hottest(profile: CPUProfile) -> list[tuple[Frame, int, int]]:
    """Functions with the samples in which they ran themselves, and those in which they were on the stack."""
    own: dict[Frame, int] = {}
    whole: dict[Frame, int] = {}
    for (_, stack), count in profile.counts.items():
        if stack:
            own[stack[-1]] = own.get(stack[-1], 0) + count
        for frame in set(stack):
            whole[frame] = whole.get(frame, 0) + count
    return sorted(
        ((frame, own.get(frame, 0), count) for frame, count in whole.items()),
        key=lambda item: (-item[1], -item[2], item[0]),
    )
