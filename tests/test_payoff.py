"""What is said of measured figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import perflint
from perflint.analysis.payoff import clause, payoff
from perflint.model.config import Target

MEASURED = Path(perflint.__file__).parent / "evidence" / "measured.json"


def said(low: float, high: float, growth: tuple[float, ...] = (1.0, 1.0)) -> str:
    figures = {"3.11": {"sizes": {"10000": high, "100": low, "1000": 99.0}, "growth": growth}}
    return clause(figures, Target((3, 11), (3, 11)))


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            (4.04, 33.3, (1.98, 1.02)),
            "measured 4.0x at n=100, 33x at n=10,000 on Python 3.11 (n^2.0 -> n^1.0)",
        ),
        ((1.31, 1234.5), "measured 1.3x at n=100, 1,234x at n=10,000 on Python 3.11"),
        ((1.08, 2.0), "measured 1.08x at n=100, 2.0x at n=10,000 on Python 3.11"),
        ((1.04, 33.0), "measured no gain at n=100, 33x at n=10,000 on Python 3.11"),
        ((0.7, 2.0), "measured 0.70x (slower) at n=100, 2.0x at n=10,000 on Python 3.11"),
        ((1.0, 0.8), "measured no gain at n=100, 0.80x (slower) at n=10,000 on Python 3.11"),
        ((1.04, 0.96), "no gain measured at n=100 or n=10,000 on Python 3.11"),
        ((1.04, 0.96, (2.0, 1.0)), "no gain measured at n=100 or n=10,000 on Python 3.11"),
        ((2.0, 2.0, ()), "measured 2.0x at n=100, 2.0x at n=10,000 on Python 3.11"),
    ],
)
def test_the_clause(figures: tuple[Any, ...], expected: str) -> None:
    assert said(*figures) == expected


def test_memory_is_called_memory() -> None:
    figures = {"3.11": {"measure": "memory", "sizes": {"100": 1.0, "1000": 41.0}, "growth": [1.0, 0.0]}}
    assert clause(figures, Target()) == (
        "measured no gain at n=100, 41x at n=1,000 in peak memory on Python 3.11 (n^1.0 -> n^0.0)"
    )
    figures["3.11"]["sizes"]["100"] = 0.85
    assert clause(figures, Target()).startswith(
        "measured 0.85x (more) at n=100, 41x at n=1,000 in peak memory"
    )


def test_one_size_is_said_once() -> None:
    figures = {"3.11": {"sizes": {"100": 3.0}, "growth": []}}
    assert clause(figures, Target()) == "measured 3.0x at n=100 on Python 3.11"


@pytest.mark.parametrize(
    ("low", "high", "version"),
    [
        ((3, 12), (3, 12), "3.12"),  # exact
        ((3, 10), (3, 13), "3.11"),  # the lowest measured in the range
        ((3, 12), (3, 14), "3.12"),
        ((3, 14), (3, 14), "3.12"),  # the nearest outside
        ((3, 8), (3, 8), "3.9"),
        ((3, 10), (3, 10), "3.9"),  # of two as near, the lower
    ],
)
def test_which_version_speaks(low: tuple[int, int], high: tuple[int, int], version: str) -> None:
    figures = {name: {"sizes": {"100": 3.0}, "growth": []} for name in ("3.12", "3.9", "3.11")}
    assert clause(figures, Target(low, high)).endswith(f"on Python {version}")


def test_nothing_measured_nothing_said() -> None:
    assert clause({}, Target()) == ""
    assert clause({"3.11": {"sizes": {}, "growth": []}}, Target()) == ""
    assert payoff("XYZ999", Target()) == ""


def test_the_shipped_figures_can_be_said() -> None:
    document = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert document["schema"] == 1
    for code, versions in document["rules"].items():
        for version, figures in versions.items():
            assert figures["python"].startswith(f"{version}.")
            assert all(int(size) > 0 and ratio > 0 for size, ratio in figures["sizes"].items())
            assert len(figures["growth"]) in (0, 2)
        assert "measured" in payoff(code, Target())


def test_payoff_imports_no_runner() -> None:
    script = (
        "import sys; from perflint.analysis.payoff import payoff; from perflint.model.config import Target;"
    )
    script += (
        "payoff('PRF101', Target()); print([m for m in sys.modules if 'evidence' in m or 'libcst' in m])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
