"""What `serve_debug` costs the program beside it: `python bench/debug.py [--rounds N]`.

Prints a Markdown table; `--write docs/runtime.md` puts it between that page's markers. Ratios of the CPU time
of the process, all threads, for a fixed piece of work in the main thread, with and without, in turns on one machine.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import machine, parser, publish  # noqa: E402
from perflint.runtime import serve_debug  # noqa: E402
from perflint.runtime._sampler import take_profile  # noqa: E402

BEGIN, END = (
    "<!-- figures: python bench/debug.py --write docs/runtime.md -->",
    "<!-- end of debug figures -->",
)

Beside = Callable[[], contextlib.AbstractContextManager[object]]


def compute() -> None:
    for _ in range(60):
        sum(number * number for number in range(20_000))


def allocate() -> None:
    for _ in range(40):
        [{"number": number} for number in range(5_000)]


@contextmanager
def profile(hz: float = 100, threads: int = 0) -> Iterator[None]:
    """The sampler of /debug/profile, beside so many threads that wait."""
    done = threading.Event()
    idle = [threading.Thread(target=done.wait) for _ in range(threads)]
    sampler = threading.Thread(target=take_profile, args=(600, hz), kwargs={"stop": done.wait})
    for thread in (*idle, sampler):
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in (*idle, sampler):
            thread.join()


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def ratio(work: Callable[[], None], beside: Beside, rounds: int) -> float:
    def measured() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    work()
    ratios = []
    for _ in range(rounds):
        alone = measured()
        with beside():
            together = measured()
        ratios.append(
            together / ((alone + measured()) / 2)
        )  # between two without: the machine's speed drifts
    return statistics.median(ratios)


def table(rounds: int) -> str:
    rows = [
        ("a debug server that nobody asks", ratio(compute, lambda: serve_debug(0), rounds)),
        ("a profile, 100 looks per second", ratio(compute, profile, rounds)),
        ("the same beside 100 threads that wait", ratio(compute, lambda: profile(100, 100), rounds)),
        ("a profile, 1000 looks per second", ratio(compute, lambda: profile(1000), rounds)),
        ("heap tracing, code that allocates", ratio(allocate, traced, rounds)),
    ]
    lines = ["| beside the work | CPU time, with / without |", "| --- | --- |"]
    lines += [f"| {what} | {times:.2f} |" for what, times in rows]
    return "\n".join([*lines, "", f"Medians of {rounds} interleaved rounds; {machine()}."])


def main() -> None:
    options = parser(__doc__, rounds=60).parse_args()
    publish(table(options.rounds), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
