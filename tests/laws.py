"""What must hold on any tree of Python files, whoever wrote it. Run it on your own:

    python tests/laws.py PATH... [--python python3.10 ...] [--jobs 2]

For each file: no crash and no PRF001; the same findings with gates off; `fix` and then
`fix --unsafe-fixes` leave text that parses (on the given interpreters too), lose no comment,
and a second run changes nothing. Prints one line per broken law and the number of files.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source, SourceError
from perflint.testing import comments

CONFIG = Config(select=("ALL",))
PARSE = (
    "import ast, pathlib, sys, warnings\n"
    "warnings.simplefilter('ignore')\n"
    "for old, new in zip(sys.argv[1::2], sys.argv[2::2]):\n"
    "    try: ast.parse(pathlib.Path(old).read_bytes())\n"
    "    except SyntaxError: continue\n"
    "    try: ast.parse(pathlib.Path(new).read_bytes())\n"
    "    except SyntaxError as error: print(old, error)\n"
)


def python_files(roots: list[Path]) -> list[Path]:
    found = (path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*.py"))))
    return [path for path in found if path.is_file() and "site-packages" not in path.parts]


def broken_laws(path: Path) -> tuple[list[str], bytes | None]:
    """The laws that this file breaks, and its text after all fixes where there were any."""
    try:
        source = Source(str(path), path.read_bytes())
    except SourceError:
        return [], None
    findings = engine.check(source, CONFIG)
    if {item.code for item in findings} == {"PRF000"}:
        return [], None
    broken = [f"{path}: {item.message}" for item in findings if item.code == "PRF001"]
    ungated = engine.check(source, CONFIG, gates=False)
    whole = all(
        item.code != "PRF000" for item in ungated
    )  # LibCST may read the functions, but not the module
    if whole and findings != ungated:
        broken.append(f"{path}: findings differ with gates off")
    fixed = source
    for allow in (Applicability.SAFE, Applicability.UNSAFE):
        problems, fixed = _fixed(fixed, allow)
        broken += problems
    return broken, fixed.raw(fixed.data) if fixed is not source else None


def _fixed(source: Source, allow: Applicability) -> tuple[list[str], Source]:
    result = fix(source, _check, allow)
    broken = [f"{source.path}: {item.message}" for item in result.defects]
    if result.source is not source:
        if comments(result.source) != comments(source):
            broken.append(f"{source.path}: a fix lost a comment")
        if fix(result.source, _check, allow).applied:
            broken.append(f"{source.path}: a second run fixes more")
    return broken, result.source


def _check(source: Source):
    return engine.check(source, CONFIG)


def unparsable(pairs: list[tuple[Path, bytes]], python: str) -> Iterator[str]:
    """Which fixed texts this interpreter cannot parse although it parses the original."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = []
        for number, (path, text) in enumerate(pairs):
            copy = Path(folder, f"{number}.py")
            copy.write_bytes(text)
            arguments += [str(path), str(copy)]
        for start in range(0, len(arguments), 400):
            command = [python, "-c", PARSE, *arguments[start : start + 400]]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            yield from (f"{line} ({python})" for line in result.stdout.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--python", nargs="*", default=[sys.executable])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for python in options.python:
        if shutil.which(python) is None:
            parser.error(f"--python: no interpreter is called {python}")
    paths, pairs, count = python_files(options.paths), [], 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for path, (broken, text) in zip(paths, pool.map(broken_laws, paths, chunksize=8), strict=True):
            count += len(broken)
            print(*broken, sep="\n", end="\n" if broken else "")
            if text is not None:
                pairs.append((path, text))
    for python in options.python:
        for line in unparsable(pairs, python):
            count += 1
            print(line)
    print(f"{len(paths)} files, {len(pairs)} fixed, {count} broken laws")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
