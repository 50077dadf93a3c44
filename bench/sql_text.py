"""Whether a parser reads the SQL in Python code better than its first keyword does: `python bench/sql_text.py NAME=FOLDER ..`.

Collects the constant texts given to `.execute(..)`, `.executemany(..)` and `text(..)` below each folder, and compares
`perflint.analysis.database.sql.verb` with the kind of statement that sqlglot parses, in the first of its dialects
that accepts the text. `--write docs/sql-text.md` puts the tables between that page's markers; `--examples N` prints texts on which the two
differ. Needs `pip install '.[bench]'`.
"""

from __future__ import annotations

import ast
import logging
import platform
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlglot
from sqlglot import exp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import parser, publish  # noqa: E402
from perflint.analysis.database.sql import VERBS, WRITES, verb  # noqa: E402

BEGIN, END = (
    "<!-- figures: python bench/sql_text.py --write docs/sql-text.md -->",
    "<!-- end of SQL figures -->",
)
METHODS = {"execute", "executemany", "text"}
DIALECTS = (None, "postgres", "sqlite", "mysql", "tsql", "oracle", "clickhouse", "snowflake", "bigquery")
SAME = {  # names of sqlglot's for statements that have a keyword
    **dict.fromkeys(("UNION", "INTERSECT", "EXCEPT", "SUBQUERY"), "SELECT"),
    "TRUNCATETABLE": "TRUNCATE",
    "TRANSACTION": "BEGIN",
}
ALIKE = {
    "REPLACE": "INSERT",
    "UPSERT": "INSERT",
    "START": "BEGIN",
    "EXECUTE": "EXEC",
}  # said alike by the two


def texts(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of invalid escapes
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue
        yield from texts_of(tree)


def texts_of(tree: ast.Module) -> Iterator[str]:
    """Literals, and names that are bound to one and nothing else."""
    bound: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            bound[node.targets[0].id].append(node.value)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or name_of(node.func) not in METHODS:
            continue
        given = node.args[0]
        if isinstance(given, ast.Name) and len(bound[given.id]) == 1:
            given = bound[given.id][0]
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            yield given.value


def name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def keyword(text: str) -> str | None:
    word = verb(text)
    return ALIKE.get(word, word) if word else None


def parsed(text: str, dialects: tuple[str | None, ...] = DIALECTS) -> str | None:
    """The statement as sqlglot has it; None for what no dialect reads, or is no statement."""
    for dialect in dialects:
        try:
            statement = sqlglot.parse_one(text, dialect=dialect)
        except (sqlglot.errors.SqlglotError, RecursionError):
            continue
        if isinstance(statement, exp.Command):  # not parsed: the tokenizer's first keyword
            return ALIKE.get(str(statement.this).upper(), str(statement.this).upper())
        found = SAME.get(statement.key.upper(), statement.key.upper())
        found = ALIKE.get(found, found)
        if found in VERBS:
            return found
    return None


def seconds(reader: Callable[[str], object], found: list[str], rounds: int = 3) -> float:
    """CPU time for one text, the least of the rounds."""

    def once() -> float:
        begun = time.process_time()
        for text in found:
            reader(text)
        return time.process_time() - begun

    return min(once() for _ in range(rounds)) / len(found)


def importing(rounds: int = 7) -> float:
    """Seconds that importing sqlglot takes, the least of the rounds."""
    code = "import time; begun = time.process_time(); import sqlglot; print(time.process_time() - begun)"
    command = [sys.executable, "-c", code]
    return min(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    )


def tables(trees: dict[str, list[str]], examples: int) -> str:
    differ: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    lines = [
        "| texts in | all | SQL | same statement | same, writes or not |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in trees.items():
        verdicts = [(keyword(text), parsed(text), text) for text in found]
        sql = [(mine, theirs, text) for mine, theirs, text in verdicts if mine or theirs]
        same = sum(mine == theirs for mine, theirs, _ in sql)
        alike = sum((mine in WRITES) == (theirs in WRITES) for mine, theirs, _ in sql)
        lines.append(f"| {name} | {len(found):,} | {len(sql):,} | {same:,} | {alike:,} |")
        for mine, theirs, text in sql:
            if mine != theirs:
                differ[mine, theirs].append(text)
    everything = [text for found in trees.values() for text in found]
    first = Counter(parsed(text, (None,)) is not None for text in everything)[True]
    times = seconds(verb, everything), seconds(lambda text: parsed(text, ("postgres",)), everything)
    lines += ["", "| first keyword | sqlglot | texts |", "| --- | --- | --- |"]
    for (mine, theirs), found in sorted(differ.items(), key=lambda item: -len(item[1])):
        lines.append(f"| {mine or 'no SQL'} | {theirs or 'not read'} | {len(found)} |")
        for text in found[:examples]:
            print(f"{mine} / {theirs}: {' '.join(text.split())[:240]!r}", file=sys.stderr)
    lines += [
        "",
        (
            f"sqlglot takes {times[1] * 1e6:,.0f} µs for a text in one dialect, {times[1] / times[0]:,.0f} times as long as the keyword's "
            f"{times[0] * 1e6:.1f} µs, and {importing() * 1000:.0f} ms to import; without a dialect it reads {first:,} of the texts. "
            f"Python {platform.python_version()}, sqlglot {sqlglot.__version__}."
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    command = parser(__doc__)
    command.add_argument("trees", nargs="+", metavar="NAME=FOLDER")
    command.add_argument(
        "--examples", type=int, default=0, metavar="N", help="texts to print for each difference"
    )
    options = command.parse_args()
    logging.disable()  # sqlglot tells of each statement that it does not parse
    trees = {}
    for tree in options.trees:
        name, _, folder = tree.rpartition("=")
        trees[name or folder] = sorted(set(texts(Path(folder))))
    publish(tables(trees, options.examples), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
