"""The same rules everywhere: in code, documentation, fixtures and changelog."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from perflint.analysis import engine, registry
from perflint.analysis.rule import Rule
from perflint.model.config import Config
from perflint.model.source import Source
from perflint.project.scaffold import FAMILIES

ROOT = Path(__file__).parent.parent
RULES = registry.rules()
CODES = {rule.code for rule in RULES}
NAMES = {rule.name for rule in RULES}


def test_each_rule_has_fixtures_and_nothing_else_has() -> None:
    folders = {path.name for path in (ROOT / "fixtures").iterdir() if path.is_dir()}
    assert folders == NAMES | {"demo"}


def test_goldens_belong_to_fixtures() -> None:
    for golden in (ROOT / "fixtures").rglob("*.fixed"):
        assert golden.with_suffix("").exists(), f"{golden} has no fixture"


def test_each_rule_has_a_page_and_no_page_is_stale() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", ["CHANGELOG.md", "docs/rules-quality.md"])
def test_pages_name_each_rule(page: str) -> None:
    named = set(re.findall(r"PRF[1-8]\d\d", (ROOT / page).read_text("utf-8")))
    assert named >= CODES, f"{page} lacks {sorted(CODES - named)}"
    assert named <= CODES, f"{page} names {sorted(named - CODES)}, which no rule has"


def test_the_readme_names_only_real_rules() -> None:
    named = set(re.findall(r"PRF[1-8]\d\d", (ROOT / "README.md").read_text("utf-8")))
    assert named and named <= CODES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rules_lie_in_the_folder_of_their_family(rule: Rule) -> None:
    assert registry.home(rule).exists()
    assert FAMILIES[rule.category] == int(rule.code[3])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "fixtures" / "demo").glob("*.py")), ids=lambda path: path.stem
)
def test_the_demo_shows_findings_of_many_kinds(path: Path) -> None:
    found = {item.code for item in engine.check(Source(str(path), path.read_bytes()), Config())}
    assert len(found) >= 3


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("found = []\nfor x in xs:\n    found.append(x + 1)\n", "PRF209"),
        (
            "def f(xs):\n    found = []\n    for x in xs:\n        found.append(x)\n    return found\n",
            "PRF206",
        ),
        ("def f(xs):\n    s = ''\n    for x in xs:\n        s += x\n    return s\n", "PRF1"),
        ("def f(xs):\n    s = ''\n    for x in xs:\n        s += str(x)\n    return s\n", "PRF104"),
        (
            "class A:\n    def __init__(self):\n        self.buf = ''\n    def f(self, chunks):\n        for chunk in chunks:\n            self.buf += chunk\n",
            "PRF101",
        ),
        ("def f(xs):\n    data = b''\n    for x in xs:\n        data += x\n    return data\n", "PRF106"),
        (
            "def f(xs):\n    found = []\n    for x in xs:\n        found = found + [x]\n    return found\n",
            "PRF201",
        ),
    ],
)
def test_the_plain_examples_are_reported_by_default(code: str, wanted: str) -> None:
    codes = {item.code for item in engine.check(Source("a.py", code.encode()), Config())}
    assert any(item.startswith(wanted) for item in codes), codes


def test_nothing_in_the_project_tells_of_one_machine() -> None:
    text = ("/work/", "/tmp/w", "/root/")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "perflint").rglob("*.py")]:
        content = path.read_text("utf-8")
        assert not any(word in content for word in text), path
