"""What `tune_for_throughput` gains, and what it costs: `python bench/collector.py [--rounds N]`.

Prints a Markdown table; `--write docs/runtime.md` puts it between that page's markers. Each form serves made-up
requests in a process of its own, in turns with the interpreter's own settings: requests per second of CPU time, and
the peak of the memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import machine, parser, publish  # noqa: E402
from perflint.runtime import tune_for_throughput  # noqa: E402

BEGIN, END = (
    "<!-- figures: python bench/collector.py --write docs/runtime.md -->",
    "<!-- end of collector figures -->",
)
SECONDS = 2.0  # of serving, after a tenth of it
LIMIT = 300 << 20  # bytes, for the guard where buffers are big


class Cycle:
    def __init__(self, body: object) -> None:
        self.me, self.body = self, body


def plain() -> None:
    """Rows without a cycle, as most programs make them; the collector is called for so many alive at once."""
    rows = [{"id": number, "tags": [number, str(number)]} for number in range(2000)]
    rows.reverse()


def cycles() -> None:
    for number in range(100):
        Cycle([number])


def buffers() -> None:
    Cycle(bytearray(b"x") * 65_536)


def threshold() -> None:
    """The half of it that is often copied: no guard."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, *gc.get_threshold()[1:])


WORK: dict[str, tuple[Callable[[], None], int, str]] = {  # with objects alive, and what it is called
    "plain": (plain, 300_000, "300,000 objects alive, no cycles"),
    "small": (plain, 0, "hardly any alive, no cycles"),
    "cycles": (cycles, 300_000, "300,000 alive, small cycles"),
    "buffers": (buffers, 0, "cycles that own 64 KiB buffers"),
}
FORMS: dict[str, Callable[[], object]] = {
    "default": lambda: None,
    "threshold": threshold,
    "tuned": tune_for_throughput,
    "guarded": lambda: tune_for_throughput(soft_limit=LIMIT),
}


def serve(work: str, form: str) -> None:
    """In a child: prints requests per second and the peak in MiB."""
    request, alive, _ = WORK[work]
    kept = [{"number": number, "more": [number]} for number in range(alive // 2)]
    FORMS[form]()
    for seconds in (SECONDS / 10, SECONDS):
        begun, served = time.process_time(), 0
        while time.process_time() - begun < seconds:
            request()
            served += 1
    status = Path("/proc/self/status").read_text()
    print(json.dumps([served / SECONDS, int(status.partition("VmHWM:")[2].split()[0]) / 1024, len(kept)]))


def child(work: str, form: str) -> tuple[float, float]:
    command = [sys.executable, __file__, "--child", work, form]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    rate, peak, _ = json.loads(ran.stdout)
    return rate, peak


def row(work: str, form: str, name: str, rounds: int) -> str:
    rates, usual, peaks = [], [], []
    for _ in range(rounds):
        (before, low), (after, peak) = child(work, "default"), child(work, form)
        rates.append(after / before)
        usual.append(low)
        peaks.append(peak)
    memory = f"{statistics.median(usual):.0f} | {statistics.median(peaks):.0f}"
    return f"| {WORK[work][2]} | {name} | {statistics.median(rates):.1f} | {memory} |"


def table(rounds: int) -> str:
    tuned = "`tune_for_throughput()`"
    lines = [
        "| program | with | requests per CPU second, times | MiB at most before | after |",
        "| --- | --- | --- | --- | --- |",
        *(row(work, "tuned", tuned, rounds) for work in ("plain", "small", "cycles")),
        row("buffers", "threshold", "`gc.set_threshold(50_000)` alone", rounds),
        row("buffers", "guarded", f"`tune_for_throughput(soft_limit={LIMIT >> 20} MiB)`", rounds),
    ]
    return "\n".join([*lines, "", f"Medians of {rounds} interleaved rounds; {machine()}."])


def main() -> None:
    command = parser(__doc__, rounds=3)
    command.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.child:
        serve(*options.child)
        return
    publish(table(options.rounds), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
