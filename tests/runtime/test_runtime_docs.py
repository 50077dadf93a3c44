"""The guide's examples run, and its figures come from the benchmark."""

import importlib.util
import re
import sys
from types import ModuleType

import pytest
from runtime_helpers import ROOT, script

PAGE = ROOT / "docs" / "runtime.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: str(TEXT[: TEXT.index(text)].count("\n") + 1))
def test_example(example: str) -> None:
    ran = script(example)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_examples_show_every_public_name() -> None:
    import perflint.runtime

    shown = "\n".join(EXAMPLES) + TEXT
    assert EXAMPLES and not [
        name for name in perflint.runtime.__all__ if name not in shown and name != "PoolStats"
    ]


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_runtime", ROOT / "bench" / "runtime.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_runtime"] = module
    spec.loader.exec_module(module)
    return module


def test_the_figures_are_those_of_a_run() -> None:
    bench = benchmark()
    figures = TEXT.split(bench.BEGIN)[1].split(bench.END)[0]
    assert figures.count("\n| ") == 8 and "Medians of" in figures


@pytest.mark.slow
def test_the_bounds_pay() -> None:
    """Ratios only: they hold on any machine."""
    bench = benchmark()
    memory, _ = bench.growth("gather_all", "gather_bounded", 100_000, 1)
    assert memory >= 10
    memory, _ = bench.growth("map_all", "map_bounded", 100_000, 1)
    assert memory >= 20
    assert bench.overload_ratio(bench.REQUESTS, 1) >= 10
    assert bench.submit_ratio(50_000, 1) > 1
