"""Measures what each rule gains on this interpreter: `perflint bench`.

A rule's docstring holds the code before and after, its Benchmark the inputs. Each rule is
timed in a process of its own, so that one cannot warm, fill or crash another. A front end
needs one call:

    print(bench.main(codes, sizes=sizes, record_to=path, output_format="text"))

which raises ConfigError for an unknown rule or a size under 1.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from math import log
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple

import perflint
from perflint.analysis import registry
from perflint.analysis.rule import Benchmark, Measure, Rule
from perflint.model.config import ConfigError
from perflint.testing import example

SCHEMA = 1
BUDGET = 0.3  # seconds for each side and size
_TIMEOUT = 600  # seconds for one rule


class Point(NamedTuple):
    """Fastest times at one size, in seconds per call (peaks, in bytes), and how many times less `after` takes.

    `ratio` is the median over the rounds, in each of which the two ran one after the other, so
    that a busy machine slows both; `low` and `high` are the quartiles.
    """

    n: int
    before: float
    after: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Measurement:
    """What one rule gains on one Python; `note` says why there are no points."""

    code: str
    name: str
    python: str
    points: tuple[Point, ...] = ()
    note: str = ""
    measure: Measure = "time"

    @property
    def growth(self) -> tuple[float, float] | None:
        """The exponents of n that fit the times before and after, or None under two sizes.

        Least squares of log time over log n on the upper half of the sizes: at the small ones
        a constant cost hides the growth.
        """
        if len(self.points) < 2:
            return None
        middle = log(self.points[0].n * self.points[-1].n) / 2
        upper = [point for point in self.points if log(point.n) >= middle]
        points = upper if len(upper) > 1 else self.points[-2:]
        sizes = [log(point.n) for point in points]
        before = linear_regression(sizes, [log(point.before) for point in points])
        after = linear_regression(sizes, [log(point.after) for point in points])
        return before.slope, after.slope


def main(
    codes: Iterable[str] = (),
    *,
    sizes: Sequence[int] | None = None,
    record_to: Path | None = None,
    output_format: str = "text",
) -> str:
    """Measure the named rules (all, where none is named) and return the report; `text` or `json`."""
    if sizes is not None and min(sizes, default=0) < 1:
        raise ConfigError("a size to measure must be at least 1")
    measurements = run([_find(code) for code in codes] or registry.rules(), sizes, BUDGET)
    if record_to is not None:
        record(record_to, measurements)
    return as_json(measurements) if output_format == "json" else render(measurements)


def _find(code: str) -> Rule:
    rule = registry.find(code)
    if rule is None:
        known = [word for rule in registry.rules() for word in (rule.code, rule.name)]
        nearest = get_close_matches(code, known, n=1, cutoff=0)
        raise ConfigError(
            f"no rule is called {code!r}" + "".join(f"; the nearest is {word}" for word in nearest)
        )
    return rule


def run(
    rules: Iterable[Rule], sizes: Sequence[int] | None = None, budget: float = BUDGET
) -> list[Measurement]:
    """Measure rules one after the other, at their own sizes unless others are given.

    `budget` is the time in seconds that each side gets at each size.
    """
    return [_measure(rule, rule.benchmark, sizes, budget) for rule in rules]


def _measure(
    rule: Rule, benchmark: Benchmark | None, sizes: Sequence[int] | None, budget: float
) -> Measurement:
    version = platform.python_version()
    if benchmark is None:
        return Measurement(rule.code, rule.name, version, note="not measured: the harm is no cost")
    missing = [name for name in benchmark.needs if find_spec(name) is None]
    points: tuple[Point, ...] = ()
    if missing:
        note = f"not measured: {' and '.join(missing)} not installed"
    else:
        answer = _ask(_job(rule, benchmark, sorted(set(sizes or benchmark.sizes)), budget))
        points = tuple(Point(**point) for point in answer.get("points", ()))
        note = f"failed: {answer['error']}" if "error" in answer else ""
    return Measurement(rule.code, rule.name, version, points, note, benchmark.measure)


def _job(rule: Rule, bench: Benchmark, sizes: list[int], budget: float) -> dict[str, Any]:
    return {
        "measure": bench.measure,
        "setup": textwrap.dedent(bench.setup),
        "call": bench.call,
        "before": example(rule.doc, "Bad") if bench.before is None else textwrap.dedent(bench.before),
        "after": example(rule.doc, "Good") if bench.after is None else textwrap.dedent(bench.after),
        "sizes": sizes,
        "budget": budget,
    }


def _ask(job: dict[str, Any]) -> dict[str, Any]:
    """The stopwatch's answer, or why there is none."""
    home = str(Path(perflint.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "perflint.evidence.stopwatch"]
    with tempfile.TemporaryDirectory() as empty:  # nothing in the user's folder may shadow a module
        try:
            done = subprocess.run(
                command,
                input=json.dumps(job),
                capture_output=True,
                encoding="utf-8",
                cwd=empty,
                env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"took over {_TIMEOUT} seconds"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"error": f"exit code {done.returncode}" + "".join(f", {line}" for line in lines[-1:])}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def render(measurements: Iterable[Measurement]) -> str:
    """A table per rule, for people."""
    return "\n\n".join("\n".join(_lines(measurement)) for measurement in measurements)


def _lines(measurement: Measurement) -> list[str]:
    lines = [f"{measurement.code} {measurement.name}, Python {measurement.python}"]
    if measurement.note:
        return [*lines, f"  {measurement.note}"]
    lines.append(f"  {'n':>10}  {'before':>10}  {'after':>10}  ratio (middle half of the rounds)")
    for point in measurement.points:
        spread = f"({point.low:.2f}-{point.high:.2f})"
        shown = _bytes if measurement.measure == "memory" else _seconds
        times = f"{shown(point.before):>10}  {shown(point.after):>10}"
        lines.append(f"  {point.n:>10,}  {times}  {point.ratio:.2f}x {spread}")
    if measurement.growth:
        before, after = measurement.growth
        lines.append(f"  growth: n^{before:.2f}{_class(before)} -> n^{after:.2f}{_class(after)}")
    return lines


def _seconds(seconds: float) -> str:
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


def _bytes(count: float) -> str:
    for unit, name in ((2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"


def _class(exponent: float) -> str:
    """The growth class that an exponent speaks for, if it is near one."""
    classes = {0: " (constant)", 1: " (linear, or n log n)", 2: " (quadratic)"}
    near = round(exponent)
    return classes.get(near, "") if abs(exponent - near) <= 0.15 else ""


def as_json(measurements: Iterable[Measurement]) -> str:
    """The same figures for machines."""
    return json.dumps(
        [
            {
                **asdict(measurement),
                "points": [point._asdict() for point in measurement.points],
                "growth": measurement.growth,
            }
            for measurement in measurements
        ],
        indent=2,
    )


def record(path: Path, measurements: Iterable[Measurement]) -> None:
    """Merge the figures into a file like `measured.json`; rules and Pythons not measured now keep theirs."""
    kept = json.loads(path.read_text(encoding="utf-8"))["rules"] if path.exists() else {}
    for measurement in measurements:
        if measurement.points:
            version = ".".join(measurement.python.split(".")[:2])
            versions = {**kept.get(measurement.code, {}), version: _figures(measurement)}
            kept[measurement.code] = dict(
                sorted(versions.items(), key=lambda item: int(item[0].split(".")[1]))
            )
    document = {"schema": SCHEMA, "machine": machine(), "rules": dict(sorted(kept.items()))}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _figures(measurement: Measurement) -> dict[str, Any]:
    return {
        "python": measurement.python,
        "measure": measurement.measure,
        "sizes": {str(point.n): float(f"{point.ratio:.3g}") for point in measurement.points},
        "growth": [round(exponent, 2) for exponent in measurement.growth or ()],
    }


def machine() -> str:
    """The kind of machine, such as `x86_64 Linux glibc`."""
    return " ".join(filter(None, (platform.machine(), platform.system(), platform.libc_ver()[0])))
