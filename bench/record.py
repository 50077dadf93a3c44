"""Record `perflint/evidence/measured.json` for every supported Python: `python bench/record.py [CODE...]`.

Each Python gets a fresh virtual environment in a temporary folder, with this checkout and the
packages that the rules' benchmarks need. `--python PATH` (repeatable) names interpreters;
otherwise `python3.10` to `python3.13` are looked up on PATH and among pyenv's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "perflint" / "evidence" / "measured.json"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")

NEEDS = "from perflint.analysis.registry import rules; print(*{p for r in rules() if r.benchmark for p in r.benchmark.needs})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("codes", nargs="*", metavar="CODE", help="rules to measure; all by default")
    parser.add_argument("--python", action="append", help="an interpreter to measure on")
    options = parser.parse_args()
    pythons = options.python or [python for version in VERSIONS if (python := find(version))]
    if not pythons:
        sys.exit("no Python found; name one with --python PATH")
    for python in pythons:
        measure(python, options.codes)


def find(version: str) -> str | None:
    """An interpreter of that version that runs; a pyenv shim whose version is not set does not."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))]
    return next((python for python in found if python and runs(python)), None)


def runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def measure(python: str, codes: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="perflint-bench-") as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        scripts = Path(folder) / ("Scripts" if os.name == "nt" else "bin")
        install = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, str(ROOT)], check=True)
        needs = subprocess.run(
            [scripts / "python", "-c", NEEDS], check=True, capture_output=True, text=True, cwd=folder
        )
        if needs.stdout.split():
            subprocess.run([*install, *needs.stdout.split()], check=True)
        subprocess.run([scripts / "perflint", "bench", *codes, "--record", MEASURED], check=True, cwd=folder)


if __name__ == "__main__":
    main()
