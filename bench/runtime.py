"""What the parts of `perflint.runtime` cost and save: `python bench/runtime.py [--items N] [--rounds N]`.

Prints a Markdown table; `--write docs/runtime.md` puts it between that page's markers. All figures are ratios of
two forms that took turns on the same machine. Memory is the growth of the peak over an interpreter that has
imported the same modules, each in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import machine, parser, publish  # noqa: E402
from perflint.runtime import WorkerPool, bounded_gather, bounded_map  # noqa: E402

BEGIN, END = "<!-- figures: python bench/runtime.py --write docs/runtime.md -->", "<!-- end of figures -->"


async def fetch(number: int) -> int:
    payload = bytearray(2048)  # what a response buffer holds at the very least
    await asyncio.sleep(0)
    return len(payload) + number


def gather_all(items: int) -> None:
    async def main() -> None:
        await asyncio.gather(*(fetch(number) for number in range(items)))

    asyncio.run(main())


def gather_bounded(items: int) -> None:
    async def main() -> None:
        await bounded_gather((fetch(number) for number in range(items)), limit=100)

    asyncio.run(main())


def map_all(items: int) -> None:
    with ThreadPoolExecutor(2) as executor:
        for _ in executor.map(str, range(items)):
            pass


def map_bounded(items: int) -> None:
    with ThreadPoolExecutor(2) as executor:
        for _ in bounded_map(executor, str, range(items), buffersize=100):
            pass


def nothing(items: int) -> None:
    """The interpreter, its modules, a loop and an executor."""
    gather_bounded(1)
    map_bounded(1)


FORMS: dict[str, Callable[[int], None]] = {
    form.__name__: form for form in (gather_all, gather_bounded, map_all, map_bounded, nothing)
}


SMALLEST = 256 * 1024  # bytes; less growth than this is noise, and counts as this much


def child(form: str, items: int) -> tuple[int, float]:
    """Peak memory in bytes and CPU seconds of one form in a fresh process."""
    command = [sys.executable, __file__, "--child", form, "--items", str(items)]
    peak, seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return peak, seconds


def measure(form: str, items: int) -> None:
    begun = time.process_time()
    FORMS[form](items)
    seconds = time.process_time() - begun
    print(json.dumps([peak_memory(), seconds]))


def peak_memory() -> int:
    """Bytes. On Linux not from getrusage, whose peak a child inherits from its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def growth(before: str, after: str, items: int, rounds: int) -> tuple[float, float]:
    """How many times more memory and CPU time `before` takes."""
    memory, cpu = [], []
    for _ in range(rounds):
        idle, _ = child("nothing", items)
        (peak, seconds), (bounded, bounded_seconds) = child(before, items), child(after, items)
        memory.append((peak - idle) / max(SMALLEST, bounded - idle))
        cpu.append(seconds / bounded_seconds)
    return statistics.median(memory), statistics.median(cpu)


SERVICE = 0.002  # seconds that a task takes
WORKERS = 4
REQUESTS = 6000  # over some seconds; the longer overload lasts, the longer an unbounded queue


def overload(submit: Callable[[Callable[[], None]], object], requests: int) -> list[float]:
    """The latencies of the served requests, at twice the rate that the workers can serve."""
    latencies: list[float] = []
    gap = SERVICE / WORKERS / 2
    begun = time.perf_counter()
    for number in range(requests):
        due = begun + number * gap
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)

        def task(arrived: float = due) -> None:
            time.sleep(SERVICE)
            latencies.append(time.perf_counter() - arrived)

        submit(task)
    return latencies


def p99(latencies: list[float]) -> float:
    return statistics.quantiles(latencies, n=100)[98]


def overload_ratio(requests: int, rounds: int) -> float:
    ratios = []
    for _ in range(rounds):
        with ThreadPoolExecutor(WORKERS) as executor:
            unbounded = overload(executor.submit, requests)
        with WorkerPool(WORKERS, WORKERS) as pool:
            bounded = overload(pool.submit, requests)
        ratios.append(p99(unbounded) / p99(bounded))
    return statistics.median(ratios)


def submit_ratio(tasks: int, rounds: int) -> float:
    """CPU time of submitting `tasks` and running them, executor over pool."""
    ratios = []
    for _ in range(rounds):
        times = []
        for executor in (ThreadPoolExecutor(2), WorkerPool(2, tasks)):
            done = threading.Event()
            begun = time.process_time()
            for _ in range(tasks - 1):
                executor.submit(int)
            executor.submit(done.set)
            executor.shutdown()
            times.append(time.process_time() - begun)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def table(items: int, rounds: int) -> str:
    gather_memory, gather_cpu = growth("gather_all", "gather_bounded", items, rounds)
    map_memory, map_cpu = growth("map_all", "map_bounded", items, rounds)
    rows = [
        (f"peak memory, {items:,} items", "`asyncio.gather`", "`bounded_gather(limit=100)`", gather_memory),
        (f"CPU time, {items:,} items", "`asyncio.gather`", "`bounded_gather(limit=100)`", gather_cpu),
        (f"peak memory, {items:,} items", "`Executor.map`", "`bounded_map(buffersize=100)`", map_memory),
        (f"CPU time, {items:,} items", "`Executor.map`", "`bounded_map(buffersize=100)`", map_cpu),
        (
            f"p99 latency, {REQUESTS:,} requests at twice the capacity",
            "`ThreadPoolExecutor`",
            "`WorkerPool`, queue of 4",
            overload_ratio(REQUESTS, rounds),
        ),
        ("CPU time per submitted task", "`ThreadPoolExecutor`", "`WorkerPool`", submit_ratio(50_000, rounds)),
    ]
    lines = ["| what | without | with | without / with |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {without} | {bounded} | {ratio:.1f} |" for what, without, bounded, ratio in rows]
    return "\n".join([*lines, "", f"Medians of {rounds} interleaved rounds; {machine()}."])


def main() -> None:
    command = parser(__doc__, rounds=3)
    command.add_argument("--items", type=int, default=100_000, help="items to gather and map")
    command.add_argument("--child", choices=FORMS, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.child:
        measure(options.child, options.items)
        return
    publish(table(options.items, options.rounds), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
