"""The runner of benchmarks: what it runs, what it says and what it keeps. Never how long anything takes."""

from __future__ import annotations

import json
import re
from math import nan
from pathlib import Path
from typing import Any

import pytest
from samples import changed

from perflint.analysis import registry
from perflint.analysis.gates import Gate
from perflint.analysis.rule import Benchmark, Rule
from perflint.evidence import bench, stopwatch
from perflint.evidence.bench import Measurement, Point
from perflint.model.config import ConfigError
from perflint.model.diagnostics import Severity

DOC = """A made-up rule.

Bad:

    def doubled(items):
        out = []
        for item in items:
            out.append(item * 2)
        return out

Good:

    def doubled(items):
        return [item * 2 for item in items]

Not flagged: anything.
"""


def made_up(**options: Any) -> Rule:
    return Rule(
        code="PRF998",
        name="made-up",
        summary="made up",
        category="text",
        severity=Severity.INFO,
        since="0.1",
        fix="never",
        gate=Gate(),
        doc=DOC,
        benchmark=Benchmark(
            **{"setup": "items = range(n)", "call": "doubled(items)", "sizes": (4, 2), **options}
        ),
    )


def measured(**options: Any) -> Measurement:
    (measurement,) = bench.run([made_up(**options)], budget=0.001)
    return measurement


def grown(before: float, after: float, sizes: tuple[int, ...] = (100, 1_000, 10_000)) -> Measurement:
    """Figures of a rule whose two forms grow by these exponents."""
    points = []
    for n in sizes:
        slow, fast = n**before * 1e-9, n**after * 1e-9
        points.append(Point(n, slow, fast, slow / fast, slow / fast * 0.9, slow / fast * 1.1))
    return Measurement("PRF998", "made-up", "3.11.7", tuple(points))


# running


def test_the_docstrings_examples_are_timed_at_the_rules_sizes() -> None:
    measurement = measured()
    assert measurement.note == ""
    assert [point.n for point in measurement.points] == [2, 4]
    for point in measurement.points:
        assert point.before > 0
        assert 0 < point.low <= point.ratio <= point.high


def test_other_code_and_other_sizes() -> None:
    rule = made_up(
        before="doubled = len",
        after="def doubled(x):\n    return len(x)",
        call="doubled(items) or print('!')",
    )
    (measurement,) = bench.run([rule], [3], budget=0.001)
    assert [point.n for point in measurement.points] == [3]


def test_memory_is_the_peak_of_one_call() -> None:
    measurement = measured(
        before="def doubled(items):\n    return len(bytearray(1000 * len(items))) // 1000",
        after="doubled = len",
        sizes=(1000, 4000),
        measure="memory",
    )
    small, large = measurement.points
    assert 1_000_000 <= small.before < 1_100_000 and 4_000_000 <= large.before < 4_100_000
    assert small.after < 10_000 and small.low <= small.ratio <= small.high and small.ratio > 100
    assert "MiB" in bench.render([measurement]) and " B" in bench.render([measurement])
    assert 0.9 < measurement.growth[0] < 1.1


def test_what_waits_is_timed_by_the_clock_on_the_wall() -> None:
    code = "import time\ndef doubled(items):\n    time.sleep({})\n"
    measurement = measured(before=code.format(0.02), after=code.format(0.001), measure="wall")
    assert all(point.before >= 0.02 for point in measurement.points)  # its CPU time is nearly none


def test_a_rule_about_losses_has_nothing_to_time() -> None:
    rule = changed(made_up(), benchmark=None)
    (measurement,) = bench.run([rule], [1, 2])
    assert not measurement.points and measurement.note == "not measured: the harm is no cost"


def test_setup_and_code_may_be_indented() -> None:
    assert (
        measured(
            setup="""
        import math
        items = [math.floor(n)] * n
    """
        ).note
        == ""
    )


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"needs": ("no_such_package",)}, "not measured: no_such_package not installed"),
        ({"after": "doubled = list"}, "failed: ValueError: before and after give different results at n=2"),
        (
            {"setup": "import no_such_package"},
            "failed: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ({"call": "doubled("}, "failed: SyntaxError"),
        ({"setup": "import os; os._exit(3)"}, "failed: exit code 3"),
        ({"setup": "raise SystemExit('no')"}, "failed: exit code 1, no"),
    ],
)
def test_what_cannot_be_measured_says_why(options: dict[str, Any], note: str) -> None:
    measurement = measured(**options)
    assert measurement.points == ()
    assert measurement.note.startswith(note)


def test_the_users_folder_shadows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bisect.py").write_text("raise ValueError('wrong module')")
    monkeypatch.chdir(tmp_path)
    assert measured(setup="import bisect; items = range(n)").note == ""


def test_both_sides_get_the_same_random_inputs() -> None:
    assert measured(setup="import random; items = [random.random() for _ in range(n)]").note == ""


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        ([1], [2], False),
        (b"a", bytearray(b"a"), True),
        (None, None, True),
        (nan, nan, False),
        (object(), object(), True),
        (object(), 1, False),
    ],
)
def test_same(one: object, other: object, equal: bool) -> None:
    assert stopwatch.same(one, other) is equal


def test_same_for_arrays() -> None:
    class Array:
        def __init__(self, *rows: Any) -> None:
            self.rows = rows
            self.ndim = 1

        def __eq__(self, other: object) -> Any:
            assert isinstance(other, Array)
            return Array(*(a == b for a, b in zip(self.rows, other.rows, strict=True)))

        def all(self) -> bool:
            return all(self.rows)

        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    assert stopwatch.same(Array(1, 2), Array(1, 2))
    assert not stopwatch.same(Array(1, 2), Array(1, 3))


# figures


@pytest.mark.parametrize("exponents", [(2.0, 1.0), (1.0, 0.0), (1.1, 1.1)])
def test_growth_is_the_exponent(exponents: tuple[float, float]) -> None:
    assert grown(*exponents).growth == pytest.approx(exponents)
    assert grown(*exponents, sizes=(10, 1_000)).growth == pytest.approx(exponents)


def test_growth_is_read_where_constant_costs_no_longer_hide_it() -> None:
    points = [Point(n, 1e-3 + n * n * 1e-9, n * 1e-9, 1, 1, 1) for n in (10, 100, 10_000, 100_000)]
    growth = Measurement("PRF998", "made-up", "3.11.7", tuple(points)).growth
    assert growth is not None
    assert growth[0] == pytest.approx(2, abs=0.05)


def test_one_size_has_no_growth() -> None:
    assert grown(2, 1, sizes=(100,)).growth is None


def test_the_table() -> None:
    table = bench.render(
        [grown(2, 1), Measurement("PRF997", "other", "3.11.7", note="not measured: x not installed")]
    )
    assert table.splitlines() == [
        "PRF998 made-up, Python 3.11.7",
        "           n      before       after  ratio (middle half of the rounds)",
        "         100       10 us      100 ns  100.00x (90.00-110.00)",
        "       1,000        1 ms        1 us  1000.00x (900.00-1100.00)",
        "      10,000      100 ms       10 us  10000.00x (9000.00-11000.00)",
        "  growth: n^2.00 (quadratic) -> n^1.00 (linear, or n log n)",
        "",
        "PRF997 other, Python 3.11.7",
        "  not measured: x not installed",
    ]


def test_only_a_near_exponent_is_given_a_name() -> None:
    assert bench.render([grown(1.5, 0.1)]).endswith("growth: n^1.50 -> n^0.10 (constant)")


def test_json_holds_the_same() -> None:
    (entry,) = json.loads(bench.as_json([grown(2, 1, sizes=(10, 100))]))
    assert set(entry) == {"code", "name", "python", "points", "note", "measure", "growth"}
    assert entry["growth"] == pytest.approx([2, 1])
    assert set(entry["points"][0]) == {"n", "before", "after", "ratio", "low", "high"}


# recording


def test_record_merges(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    first = grown(2, 1)
    bench.record(path, [first])
    for python, code in (("3.9.1", "PRF998"), ("3.10.2", "PRF998"), ("3.12.0", "PRF100")):
        bench.record(path, [Measurement(code, "made-up", python, first.points)])
    bench.record(path, [Measurement("PRF998", "made-up", "3.11.8", note="failed: oh")])
    document = json.loads(path.read_text())
    assert document["schema"] == 1
    assert list(document["rules"]) == ["PRF100", "PRF998"]
    assert list(document["rules"]["PRF998"]) == ["3.9", "3.10", "3.11"]
    assert document["rules"]["PRF998"]["3.11"] == {
        "python": "3.11.7",
        "measure": "time",
        "sizes": {"100": 100.0, "1000": 1000.0, "10000": 10000.0},
        "growth": [2.0, 1.0],
    }


def test_recording_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    bench.record(path, [grown(2, 1)])
    once = path.read_bytes()
    bench.record(path, [grown(2, 1)])
    assert path.read_bytes() == once
    assert once.endswith(b"}\n")


def test_the_machine_is_a_kind_and_not_a_name() -> None:
    assert re.fullmatch(r"\S+ (Linux|Darwin|Windows)( \w+)?", bench.machine())


# the whole


def test_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BUDGET", 0.001)
    rule = made_up()
    monkeypatch.setattr(registry, "rules", lambda: (rule,))
    path = tmp_path / "measured.json"
    assert bench.main(["prf998"], sizes=[2], record_to=path).startswith("PRF998 made-up, Python 3.")
    assert list(json.loads(path.read_text())["rules"]) == ["PRF998"]
    assert [entry["code"] for entry in json.loads(bench.main(output_format="json"))] == ["PRF998"]
    with pytest.raises(ConfigError, match="no rule is called 'made-upp'; the nearest is made-up"):
        bench.main(["made-upp"])
    with pytest.raises(ConfigError, match="at least 1"):
        bench.main(sizes=[0])


@pytest.mark.slow
@pytest.mark.parametrize("rule", registry.rules(), ids=lambda rule: rule.code)
def test_every_rule_can_be_measured(rule: Rule) -> None:
    """Both forms run and agree; what they gain is for `bench/record.py` to say."""
    sizes = rule.benchmark.sizes[:2] if rule.benchmark else None
    (measurement,) = bench.run([rule], sizes, budget=0.001)
    assert measurement.points or measurement.note.startswith("not measured")
