"""Times one example before and after, in a process of its own: a job as JSON on stdin, figures on stdout.

Standard library only. Times are seconds of CPU per call (or seconds that pass), with the garbage
collector off while the clock runs (`timeit`'s way), so that its pauses do not fall on one side
by chance. Memory is the peak of what Python allocates during one call, in bytes.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
import timeit
import tracemalloc
from contextlib import redirect_stdout
from io import StringIO
from statistics import median, quantiles
from typing import Any

# Rounds of each side; a slow example gets fewer, but never under three unless it is very slow.
ROUNDS = 15
FEWEST = 3


class Side:
    """One of the two forms, its inputs, and how long it took."""

    def __init__(self, job: dict[str, Any], code: str, size: int) -> None:
        self.names: dict[str, Any] = {"__name__": "__bench__", "n": size}
        random.seed(size)  # both sides get the same inputs
        for text in (job["setup"], code):
            exec(compile(text, "<example>", "exec", dont_inherit=True), self.names)
        self.call = job["call"]
        clock = time.perf_counter if job["measure"] == "wall" else time.process_time
        self.timer = timeit.Timer(self.call, timer=clock, globals=self.names)
        self.loops = 1
        self.times: list[float] = []
        self.spent = 0.0

    def result(self) -> Any:
        return eval(self.call, self.names)

    def calibrate(self, least: float) -> None:
        """Find how many calls take `least` seconds; that timing is the first."""
        while self.time() < least:
            self.times.clear()
            self.loops *= 2

    def peak(self) -> int:
        """Bytes allocated at once during one call, over what was there before."""
        call = compile(self.call, "<call>", "eval")  # here: what compiling takes is not the call's
        gc.collect()
        tracemalloc.start()
        try:
            eval(call, self.names)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def time(self) -> float:
        """Seconds that one timing took."""
        took = self.timer.timeit(self.loops)
        self.times.append(took / self.loops)
        self.spent += took
        return took


def measure(job: dict[str, Any]) -> list[dict[str, float]]:
    """One point for each size in the job; raise whatever the example raises, ValueError where the two disagree."""
    return [_point(job, size) for size in job["sizes"]]


def _point(job: dict[str, Any], size: int) -> dict[str, float]:
    before, after = sides = Side(job, job["before"], size), Side(job, job["after"], size)
    if not same(before.result(), after.result()):
        raise ValueError(f"before and after give different results at n={size}")
    if job["measure"] == "memory":
        return _memory(before, after, size)
    budget = job["budget"]
    for side in sides:
        side.calibrate(budget / ROUNDS)
    while len(before.times) < ROUNDS:
        spent = before.spent + after.spent
        if spent > 20 * budget or (spent > 4 * budget and len(before.times) >= FEWEST):
            break
        for side in sides if len(before.times) % 2 else reversed(sides):
            side.time()
    ratios = [one / other for one, other in zip(before.times, after.times, strict=True)]
    low, ratio, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {
        "n": size,
        "before": min(before.times),
        "after": min(after.times),
        "ratio": ratio,
        "low": low,
        "high": high,
    }


def _memory(before: Side, after: Side, size: int) -> dict[str, float]:
    """Peaks hardly differ between calls: the median of three says enough."""
    peaks = [(before.peak(), after.peak()) for _ in range(FEWEST)]
    ratios = sorted(one / max(other, 1) for one, other in peaks)
    most, least = (median(column) for column in zip(*peaks, strict=True))
    low, ratio, high = ratios
    return {"n": size, "before": most, "after": least, "ratio": ratio, "low": low, "high": high}


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal; objects that compare by identity need only be of one type."""
    equals: object = type(one).__eq__
    if equals is object.__eq__:
        return type(one) is type(other)
    equal = one == other
    while getattr(equal, "ndim", 0):  # arrays and frames compare element by element
        equal = equal.all()
    return bool(equal)


def main() -> None:
    job = json.load(sys.stdin)
    try:
        with redirect_stdout(StringIO()):
            answer: dict[str, Any] = {"points": measure(job)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
