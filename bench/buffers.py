"""From which size a `BufferPool` pays: `python bench/buffers.py [--rounds N]`.

Prints a Markdown table; `--write docs/runtime.md` puts it between that page's markers. Ratios of CPU time, a fresh
bytearray over one of the pool, in turns: made or acquired, filled from its start with bytes to the given part, and
dropped or released.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import machine, parser, publish  # noqa: E402
from perflint.runtime import BufferPool  # noqa: E402

BEGIN, END = (
    "<!-- figures: python bench/buffers.py --write docs/runtime.md -->",
    "<!-- end of buffer figures -->",
)
SIZES = [64 << 10, 1 << 20, 16 << 20, 32 << 20, 64 << 20, 256 << 20]
PARTS = (0.1, 1.0)
SECONDS = 0.05  # of CPU time per measurement, about


def fresh(size: int, data: bytes, times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        buffer = bytearray(size)
        memoryview(buffer)[: len(data)] = data  # as recv_into does, without a copy between
    return time.process_time() - begun


def pooled(size: int, data: bytes, times: int) -> float:
    pool = BufferPool(size, 1)
    pool.release(pool.acquire())
    begun = time.process_time()
    for _ in range(times):
        with pool.buffer() as buffer:
            memoryview(buffer)[: len(data)] = data
    return time.process_time() - begun


def ratio(size: int, part: float, rounds: int) -> float:
    data = b"x" * int(size * part)
    times = 2
    while fresh(size, data, times) < SECONDS:
        times *= 2
    return statistics.median(fresh(size, data, times) / pooled(size, data, times) for _ in range(rounds))


def table(rounds: int) -> str:
    lines = ["| bytes | a tenth is filled | all is filled |", "| --- | --- | --- |"]
    for size in SIZES:
        name = f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB"
        lines.append(f"| {name} | {' | '.join(f'{ratio(size, part, rounds):.1f}' for part in PARTS)} |")
    return "\n".join(
        [*lines, "", f"CPU time, fresh / pooled; medians of {rounds} interleaved rounds; {machine()}."]
    )


def main() -> None:
    options = parser(__doc__, rounds=7).parse_args()
    publish(table(options.rounds), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
