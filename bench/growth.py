"""How perflint's time and memory grow: `python bench/growth.py`.

Checks made-up files of ever more lines, folders of ever more files (hard links where the system has them) and the awkward
shapes of shapes.py, each in a process of its own with one job and no cache. Figures are CPU time, less that of an
empty file, and peak memory. A series ends where its next point would take more than `--budget` seconds, if it goes on
growing as it did. `--json bench/growth.json` keeps the figures that docs/speed.md and docs/growth.svg are made from.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from math import ceil, log, log10
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.processes import report, run  # noqa: E402
from bench.shapes import AWKWARD, ordinary  # noqa: E402
from bench.speed import PERFLINT, environment  # noqa: E402

STEPS = (1.0, 0.3)  # of each power of ten
LINKS = 1000  # files of a folder; file systems limit the links to one file
FILE_LINES = 60
FOUND = 10  # one file in so many has a finding


class Series(NamedTuple):
    name: str
    counts: str  # what the size counts
    sizes: list[int]


class Point(NamedTuple):
    """CPU seconds less those of an empty file, and bytes at the peak."""

    n: int
    cpu: float
    peak: int


def every(options: argparse.Namespace) -> Iterator[Series]:
    yield Series("lines", "lines in one file", _sizes(10, options.most_lines))
    yield Series(
        "files", f"files of {FILE_LINES} lines, one in {FOUND} with a finding", _sizes(10, options.most_files)
    )
    for name, (_, counts, most) in AWKWARD.items():
        most = min(most, options.most_awkward)
        yield Series(name, counts, _sizes(max(most // 1000, 10), most))


def _sizes(first: int, last: int) -> list[int]:
    """From about the first to the last, three to four times as many at each step."""
    powers = range(ceil(log10(last / first)) + 1)
    sizes = {int(last * part / 10**power) for power in powers for part in STEPS}
    return sorted(size for size in sizes if size >= first)


def make(name: str, size: int, folder: Path) -> None:
    """Write what a series checks at that size into an empty folder."""
    if name == "files":
        folders(folder, size)
        return
    shape = AWKWARD[name][0] if name in AWKWARD else ordinary
    (folder / "made_up.py").write_text(shape(size), encoding="utf-8")


def folders(folder: Path, count: int) -> None:
    """`count` files of FILE_LINES lines, LINKS to a folder."""
    for start in range(0, count, LINKS):
        below = folder / f"package_{start}"
        below.mkdir()
        firsts: dict[bool, Path] = {}
        for number in range(min(LINKS, count - start)):
            path, found = below / f"module_{number}.py", number % FOUND == 0
            if found not in firsts:
                firsts[found] = path
                path.write_text(ordinary(FILE_LINES, found), encoding="utf-8")
                continue
            try:
                os.link(firsts[found], path)
            except OSError:  # not on this file system
                shutil.copyfile(firsts[found], path)


class Meter:
    """Runs the command in a folder of its own and takes off what starting it costs."""

    def __init__(self, work: Path) -> None:
        self.work = work
        (work / "perflint.toml").write_text("")
        help_text = work / "help.txt"
        run([*PERFLINT, "check", "--help"], work, environment(work), help_text)
        fresh = ["--no-cache"] if "--no-cache" in help_text.read_text("utf-8") else []
        self.command = [*PERFLINT, "check", "--config", str(work / "perflint.toml"), *fresh, "--jobs", "1"]
        self.start = 0.0
        self.start = min(self("lines", 0).cpu for _ in range(3))

    def __call__(self, name: str, size: int) -> Point:
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            # In a process of its own: what it takes there does not count for the next one.
            run([sys.executable, __file__, "--make", name, str(size), folder], self.work, {})
            used = run([*self.command, folder], self.work, environment(self.work))
        return Point(size, max(used.cpu - self.start, 0.0), used.peak)


def grow(series: Series, meter: Meter, budget: float) -> tuple[list[Point], int | None]:
    """The points, and the first size that was left out for the budget's sake."""
    points: list[Point] = []
    for size in series.sizes:
        if len(points) > 1:
            before, last = points[-2:]
            power = exponent([before, last], meter.start) or 1.0
            if (meter.start + last.cpu) * (size / last.n) ** power > budget:
                return points, size
        points.append(meter(series.name, size))
        print(
            f"  {size:>9,}  {points[-1].cpu:8.2f} s  {points[-1].peak / 1e6:6.0f} MB",
            file=sys.stderr,
            flush=True,
        )
    return points, None


def exponent(points: list[Point], start: float) -> float | None:
    """The slope of log time over log n at the sizes that starting does not drown; None below two of them."""
    told = [point for point in points if point.cpu >= start / 4][-3:]
    if len(told) < 2:
        return None
    return linear_regression([log(point.n) for point in told], [log(point.cpu) for point in told]).slope


def measured(options: argparse.Namespace) -> dict[str, Any]:
    result = []
    with tempfile.TemporaryDirectory(prefix="perflint-growth-") as folder:
        meter = Meter(Path(folder))
        for series in every(options):
            if options.only and series.name not in options.only:
                continue
            print(series.name, file=sys.stderr, flush=True)
            points, left_out = grow(series, meter, options.budget)
            result.append(
                {
                    "name": series.name,
                    "counts": series.counts,
                    "points": [point._asdict() for point in points],
                    "growth": exponent(points, meter.start),
                    "left_out": left_out,
                }
            )
    from perflint.evidence.bench import machine  # late: see processes.run

    python = sys.version.split()[0]
    return {
        "schema": 1,
        "machine": machine(),
        "python": python,
        "start": meter.start,
        "budget": options.budget,
        "series": result,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most-lines", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--most-files", type=int, default=100_000, metavar="N")
    parser.add_argument(
        "--most-awkward", type=int, default=5_000_000, metavar="N", help="largest size of a shape"
    )
    parser.add_argument(
        "--budget", type=float, default=300, metavar="SECONDS", help="most CPU time of one point"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this series alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        name, size, folder = options.make
        make(name, int(size), Path(folder))
        return 0
    unknown = set(options.only or ()) - {"lines", "files", *AWKWARD}
    if unknown:
        parser.error(
            f"--only: no series is called {', '.join(sorted(unknown))}; there are lines, files, {', '.join(AWKWARD)}"
        )
    if min(options.most_lines, options.most_files, options.most_awkward) < 10:
        parser.error("sizes must be at least 10")
    return report("growth", lambda: measured(options), options.json)


if __name__ == "__main__":
    sys.exit(main())
