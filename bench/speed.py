"""perflint's speed beside ruff's, Fixit's and flake8's: `python bench/speed.py --corpus FOLDER`.

FOLDER is what `python bench/corpus.py FOLDER` fetched. The commands take turns: each round runs every one once (short ones
several times), after a first round that only fills disk and other caches. Figures are medians of the rounds, of the
whole process with its children; ratios are medians of the ratios of the rounds. Fixit and flake8 are slow and read only SUBSET;
their ratios compare CPU time per byte. `--json bench/speed.json` keeps the figures that docs/speed.md is made from.
Needs the extra `bench`, and Linux or macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.corpus import files, pinned  # noqa: E402
from bench.processes import Failed, Used, report, run  # noqa: E402

SUBSET = ("requests-*", "httpie-*")  # what Fixit and flake8 read
SHORT = 7  # runs in a round of what ends within a moment
TOOLS = ("libcst", "ast-serialize", "ruff", "fixit", "flake8", "flake8-bugbear", "flake8-async")
PERFLINT = [sys.executable, "-c", "import sys; from perflint.cli import main; sys.exit(main())"]
RUFF_RULES = "PERF,RUF006,S201"
PARSE = "import ast, pathlib, sys\nfor root in sys.argv[1:]:\n for path in pathlib.Path(root).rglob('*.py'):\n  ast.parse(path.read_bytes())"
SMALL = {
    "clean.py": "import json\n\n\ndef load(path):\n    with open(path) as stream:\n        return json.load(stream)\n",
    "finding.py": "def squares(numbers):\n    found = []\n    for number in numbers:\n        found.append(number * number)\n    return found\n",
}


class Row(NamedTuple):
    """A command to measure; `rounds` is how often it runs in a round, `subset` whether it reads only SUBSET."""

    key: str
    what: str
    command: list[str]
    subset: bool = False
    times: int = 1


class Bar(NamedTuple):
    """A promise of the project: `value` of the figures is at most (or at least) `limit`."""

    what: str
    value: Callable[[Figures], float | None]
    limit: float
    unit: str = "x"
    least: bool = False


class Figures:
    """What the rounds measured, by the rows' keys."""

    def __init__(self, share: float) -> None:
        self.used: dict[str, list[Used]] = {}  # medians within each round
        self.share = share  # of the corpus's bytes that SUBSET holds

    def add(self, key: str, runs: list[Used]) -> None:
        self.used.setdefault(key, []).append(
            Used(*(statistics.median(part) for part in zip(*runs, strict=True)))
        )  # type: ignore[arg-type]

    def median(self, key: str, part: str) -> float | None:
        used = self.used.get(key)
        return statistics.median(getattr(item, part) for item in used) if used else None

    def ratio(self, one: str, other: str, part: str) -> float | None:
        """The median of the rounds' ratios; None where one of the two was not measured."""
        if one not in self.used or other not in self.used:
            return None
        pairs = zip(self.used[one], self.used[other], strict=True)
        return statistics.median(getattr(a, part) / getattr(b, part) for a, b in pairs)

    def per_byte(self, slow: str) -> float | None:
        ratio = self.ratio(slow, "cold", "cpu")
        return None if ratio is None else ratio / self.share


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


BARS = (
    Bar("cold, one job: CPU of ruff's", lambda of: of.ratio("cold", "ruff", "cpu"), 8),
    Bar("warm: wall time of ruff's", lambda of: of.ratio("warm", "ruff-warm", "wall"), 1.5),
    Bar("Fixit's CPU per byte of ours, cold", lambda of: of.per_byte("fixit"), 50, least=True),
    Bar("flake8's CPU per byte of ours, cold", lambda of: of.per_byte("flake8"), 20, least=True),
    Bar("`perflint --version`: wall time of `python -c pass`", lambda of: of.ratio("version", "python", "wall"), 2),
    Bar("one small file, nothing in it: wall time", lambda of: _scaled(of.median("clean", "wall"), 1e3), 150, "ms"),
    Bar("one small file with a finding: wall time", lambda of: _scaled(of.median("small", "wall"), 1e3), 150, "ms"),
    Bar("cold, one job: peak memory", lambda of: _scaled(of.median("cold", "peak"), 1e-6), 200, "MB"),
)  # fmt: skip


def rows(corpus: list[Path], subset: list[Path], work: Path) -> tuple[list[Row], list[str]]:
    """The commands that can be measured here, and why others cannot."""
    everything, part = [list(map(str, paths)) for paths in (corpus, subset)]
    help_text = work / "help.txt"
    run([*PERFLINT, "check", "--help"], work, environment(work), help_text)
    caches = "--no-cache" in help_text.read_text("utf-8")
    check = [*PERFLINT, "check", "--config", str(work / "perflint.toml")]
    fresh = ["--no-cache"] if caches else []
    ruff = [str(_script("ruff")), "check", "--isolated", "--select", RUFF_RULES]
    fixit = [sys.executable, "-m", "fixit", "--quiet", "--config-file", str(work / "fixit.toml"), "lint"]
    flake8 = [sys.executable, "-m", "flake8", "--isolated", "--jobs", "1"]
    small = {name: str(work / name) for name in SMALL}
    found = [
        Row("cold", "perflint, cold, one job", [*check, *fresh, "--jobs", "1", *everything]),
        Row("ruff", "ruff, cold", [*ruff, "--no-cache", *everything]),
        Row("ast", "`ast.parse` of every file", [sys.executable, "-c", PARSE, *everything]),
        Row("cold-all", "perflint, cold, all cores", [*check, *fresh, *everything]),
        Row("warm", "perflint, warm", [*check, *everything], times=3),
        Row(
            "warm-files",
            "perflint, warm, file by file",
            [*check, "--output-file", os.devnull, *everything],
            times=3,
        ),
        Row("ruff-warm", "ruff, warm", [*ruff, "--cache-dir", str(work / "ruff"), *everything], times=3),
        Row("cold-subset", "perflint, cold, one job", [*check, *fresh, "--jobs", "1", *part], True),
        Row("fixit", "Fixit", [*fixit, *part], True),
        Row("flake8", "flake8 with bugbear and async", [*flake8, *part], True),
        Row("python", "`python -c pass`", [sys.executable, "-c", "pass"], times=SHORT),
        Row("version", "`perflint --version`", [*PERFLINT, "--version"], times=SHORT),
        Row("libcst", "`python -c 'import libcst'`", [sys.executable, "-c", "import libcst"], times=SHORT),
        Row("small", "one small file with a finding", [*check, *fresh, small["finding.py"]], times=SHORT),
        Row("clean", "one small file without", [*check, *fresh, small["clean.py"]], times=SHORT),
    ]
    left_out = [] if caches else ["perflint, warm: this version has no cache"]
    return [row for row in found if caches or not row.key.startswith("warm")], left_out


def environment(work: Path) -> dict[str, str]:
    """Ours from this checkout, and every cache in the working folder: that of compiled modules, too, as installed ones have it."""
    caches = {"PERFLINT_CACHE_DIR": "cache", "XDG_CACHE_HOME": "", "PYTHONPYCACHEPREFIX": "compiled"}
    places = {name: str(work / folder) for name, folder in caches.items()}
    return {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "", **places}


def _script(name: str) -> Path:
    beside = Path(sysconfig.get_path("scripts"), name)
    return beside if beside.exists() else Path(shutil.which(name) or name)


def versions() -> dict[str, str]:
    """Of what is measured; raise Failed where something is not installed."""
    found, missing = {}, []
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise Failed(
            f"not installed beside this Python: {', '.join(missing)}; run `pip install -e '.[bench]'` and use its python"
        )
    return found


def measure(commands: list[Row], figures: Figures, rounds: int, work: Path) -> list[dict[str, Any]]:
    """Fill the figures; return what each round's profile of the stages says."""
    stages = []
    profile = [sys.executable, str(ROOT / "bench" / "stages.py"), str(work / "stages.json")]
    cold = next(row.command[len(PERFLINT) :] for row in commands if row.key == "cold")
    for turn in range(rounds + 1):
        print(f"round {turn} of {rounds}", file=sys.stderr, flush=True)
        for row in commands:
            if turn == 0 and row.key in ("fixit", "flake8"):
                continue  # they read no cache, and each round of them takes as long as all the others'
            used = [run(row.command, work, environment(work)) for _ in range(row.times if turn else 1)]
            if turn:
                figures.add(row.key, used)
        if turn:
            run([*profile, *cold], work, environment(work))
            stages.append(json.loads((work / "stages.json").read_text()))
    return stages


def document(
    commands: list[Row], figures: Figures, stages: list[dict[str, Any]], rounds: int
) -> dict[str, Any]:
    """All that is kept. Seconds, bytes; shares of the whole."""
    # Imported late: a large process passes its size on to the peak of what it starts.
    import perflint
    from perflint.evidence.bench import machine

    bars = [
        {
            "what": bar.what,
            "value": value,
            "limit": bar.limit,
            "unit": bar.unit,
            "least": bar.least,
            "holds": value >= bar.limit if bar.least else value <= bar.limit,
        }
        for bar in BARS
        if (value := bar.value(figures)) is not None
    ]
    measured = {
        row.key: {
            "what": row.what,
            "subset": row.subset,
            **{part: figures.median(row.key, part) for part in Used._fields},
        }
        for row in commands
    }
    return {
        "schema": 1,
        "machine": machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {"python": sys.version.split()[0], "perflint": perflint.__version__, **versions()},
        "rounds": rounds,
        "rows": measured,
        "bars": bars,
        "stages": summary(stages),
    }


def summary(stages: list[dict[str, Any]]) -> dict[str, Any]:
    """Each stage's share of the CPU time, the median of the rounds, and the bytes that reached it."""
    shares: dict[str, list[float]] = {}
    for profile in stages:
        whole = sum(profile["seconds"].values())
        for name, seconds in profile["seconds"].items():
            shares.setdefault(name, []).append(seconds / whole)
    reached = stages[-1]["bytes"]
    return {
        name: {"share": statistics.median(found), "bytes": reached.get(name)}
        for name, found in shares.items()
    }


def prepare(work: Path) -> None:
    """Settings that keep every tool from reading those of the folders above, and the small files."""
    (work / "perflint.toml").write_text("")
    (work / "fixit.toml").write_text("[tool.fixit]\nroot = true\n")
    for name, text in SMALL.items():
        (work / name).write_text(text)


def measured(corpus: Path, rounds: int) -> dict[str, Any]:
    projects = [path for path in sorted(corpus.glob("*-*")) if path.is_dir()]
    subset = [path for path in projects if any(fnmatch(path.name, pattern) for pattern in SUBSET)]
    if len(subset) != len(SUBSET):
        raise Failed(f"{corpus} is not the corpus; fetch it with `python bench/corpus.py {corpus}`")
    versions()
    whole, part = files(projects), files(subset)
    size, small = (sum(path.stat().st_size for path in found) for found in (whole, part))
    with tempfile.TemporaryDirectory(prefix="perflint-speed-") as folder:
        work = Path(folder)
        prepare(work)
        commands, left_out = rows(
            [path.resolve() for path in projects], [path.resolve() for path in subset], work
        )
        figures = Figures(small / size)
        result = document(commands, figures, measure(commands, figures, rounds, work), rounds)
    expected = pinned()
    result["corpus"] = {"files": len(whole), "bytes": size, "pinned": (len(whole), size) == expected[1:]}
    result["subset"] = {"projects": [path.name for path in subset], "files": len(part), "bytes": small}
    result["left_out"] = left_out
    return result


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus", type=Path, required=True, metavar="FOLDER", help="made by bench/corpus.py"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return report("speed", lambda: measured(options.corpus, options.rounds), options.json)


if __name__ == "__main__":
    sys.exit(main())
