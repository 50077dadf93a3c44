"""`perflint new-rule`: the files of a new rule, from a template."""

from __future__ import annotations

import re
from pathlib import Path

import perflint
from perflint.analysis import registry
from perflint.model.config import ConfigError
from perflint.project.nearest import nearest_name

# The first digit of a rule's code says what it is about.
FAMILIES = {
    "text": 1,
    "allocation": 2,
    "tasks": 3,
    "pools": 4,
    "database": 5,
    "connections": 6,
    "debug": 7,
    "gc": 8,
}

RULE = '''\
"""Say in one sentence what is wrong.

Say why it costs, what the growth is, and on which Pythons.

Bad:

    def total(items):
        result = 0
        for item in items:
            result = result + item
        return result

Good:

    def total(items):
        return sum(items)

Not flagged: say which code looks alike and why it is left alone.

Say when the fix is safe, when it is unsafe, and when there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.model.diagnostics import Finding, Severity

rule = Rule(
    code="{code}",
    name="{name}",
    summary="say in one clause what is wrong",
    category="{category}",
    severity=Severity.INFO,
    since="{since}",
    fix="never",
    gate=Gate(text=(b"for ",), loop=True),
    doc=__doc__,
    benchmark=Benchmark(setup="items = list(range(n))", call="total(items)"),
)


@rule.visits(cst.For)
def check(node: cst.For, context: Context) -> Iterator[Finding]:
    if not is_flagged(node):
        return
    yield rule.finding(context, node.iter, "say what is wrong; say what to do")


def is_flagged(node: cst.For) -> bool:
    """Say which loops these are."""
    return False
'''

FIXTURE = """\
def near_miss(items):
    for item in items:  # ok: say why this is left alone
        print(item)
"""


def new_rule(checkout: Path, name: str, category: str) -> tuple[Path, Path]:
    """Write a rule that never fires yet and its first fixture; return their paths.

    Raise ConfigError where the name or the category is wrong, or a file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ConfigError(f"a rule's name is small words with dashes, such as list-append-loop, not {name!r}")
    if category not in FAMILIES:
        raise ConfigError(f"no category is called {category!r}{nearest_name(category, FAMILIES)}")
    if registry.find(name):
        raise ConfigError(f"there is a rule {name} already; choose another name")
    rules = checkout / "perflint" / "rules"
    if not rules.is_dir():
        raise ConfigError(f"{rules}: no such folder; run this at the top of perflint's checkout")
    folder = rules / category
    code = _next_code(category)
    since = ".".join(perflint.__version__.split(".")[:2])
    files = {
        folder / f"{name.replace('-', '_')}.py": RULE.format(
            code=code, name=name, category=category, since=since
        ),
        checkout / "fixtures" / name / "basic.py": FIXTURE,
    }
    for path in files:
        if path.exists():
            raise ConfigError(f"{path}: exists already; nothing was written")
    if not folder.is_dir():
        files = {folder / "__init__.py": f'"""Rules about {category}."""\n', **files}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    rule, fixture = list(files)[-2:]
    return rule, fixture


def _next_code(category: str) -> str:
    """The code after the family's last: codes are never reused."""
    first = FAMILIES[category] * 100
    codes = [int(rule.code[3:]) for rule in registry.rules() if rule.code.startswith("PRF")]
    taken = [code for code in codes if first < code < first + 100]
    return f"PRF{max(taken, default=first) + 1}"
