"""The engine is pure, survives broken rules and files, and gates never change what it finds."""

import ast
import gc
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import libcst as cst
import pytest
from samples import changed

from perflint.analysis import engine, hopes, planning, registry
from perflint.analysis.gates import Gate
from perflint.analysis.rule import Benchmark, Rule
from perflint.model.config import Config
from perflint.model.diagnostics import Severity, Span
from perflint.model.source import Source
from perflint.rules import index

SLOW = b"def path(names):\n    s = ''\n    for n in names:\n        s = s + '/' + str(n)\n    return s\n"
CONFIG = Config(select=("PRF102",))
FIXTURES = Path(__file__).parent.parent / "fixtures"


def check(data: bytes, config: Config = CONFIG):
    return engine.check(Source("a.py", data), config)


def test_a_finding_is_plain_data() -> None:
    (finding,) = check(SLOW)
    assert pickle.loads(pickle.dumps(finding)) == finding and hash(finding)
    assert finding.span == Span(SLOW.index(b"s = s"), SLOW.index(b"\n    return"))


def test_callers_may_hand_in_the_tree() -> None:
    source = Source("a.py", SLOW)
    assert engine.inspect(source, CONFIG, tree=ast.parse(SLOW)) == engine.inspect(source, CONFIG)


@pytest.mark.parametrize(
    ("data", "words", "line"),
    [
        (b"def f(:\n", "does not parse", 1),
        (b"x = 1\n\n  y = 2\n", "unexpected indent", 3),
        (b"x = (\n", "was never closed", 1),
        (b"(" * 5000, "does not parse", 1),
        (b"x = " + b"-" * 100_000 + b"1\n", "does not parse", 1),
    ],
)
def test_a_file_that_does_not_parse_is_one_finding(data: bytes, words: str, line: int) -> None:
    source = Source("a.py", data)
    (finding,) = engine.check(source, Config())
    assert (finding.code, finding.severity) == ("PRF000", Severity.ERROR)
    assert words in finding.message and "\n" not in finding.message
    assert source.position(finding.span.start).line == line


@pytest.mark.parametrize(
    ("deep", "codes"),
    [
        ("a" + " + 'a'" * 300, {"PRF102"}),
        ("a" + " + 'a'" * 1500, {"PRF000"}),
        ("a" + ".b()" * 600, {"PRF000"}),
    ],
)
def test_deep_nesting_is_read_or_said(deep: str, codes: set[str]) -> None:
    code = f"def f(xs):\n    s = ''\n    for a in xs:\n        s = s + '' + {deep}\n    return s\n"
    findings = check(code.encode())
    assert {item.code for item in findings} == codes
    assert all(item.severity is Severity.INFO for item in findings if item.code == "PRF000")


def test_an_empty_file_is_clean() -> None:
    assert check(b"") == ()


def test_warnings_of_the_parser_are_not_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(b"x = '\\d'\nassert (1, 2)\n") == ()


def test_a_gate_that_fails_admits(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = next(item for item in registry.select(CONFIG))

    def fails(sketch):
        raise RecursionError

    broken = changed(rule, gate=rule.gate._replace(sketch=fails))
    monkeypatch.setattr(registry, "select", lambda config: (broken,))
    assert [item.code for item in check(SLOW)] == ["PRF102"]


def test_a_rule_that_crashes_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Rule(
        "XYZ001",
        "broken",
        "breaks",
        "text",
        Severity.INFO,
        "0",
        "never",
        Gate((b"for",)),
        "",
        Benchmark("", ""),
    )

    @broken.visits(cst.For)
    def crash(node, context):
        raise RuntimeError("two\nlines")
        yield

    whole = (*registry.select(CONFIG), broken)
    monkeypatch.setattr(registry, "select", lambda config: whole)
    monkeypatch.setattr(planning, "hopes", hopes.hopes.__wrapped__)  # the cache knows the rules without it
    found = check(SLOW)
    assert {item.code for item in found} == {"PRF001", "PRF102"}
    crash_report = next(item for item in found if item.code == "PRF001")
    assert "XYZ001" in crash_report.message and "\n" not in crash_report.message


def test_min_severity_and_ignore_hold() -> None:
    assert check(SLOW, Config(select=("PRF102",), min_severity=Severity.ERROR)) == ()
    assert check(SLOW, Config(select=("PRF102",), ignore=("PRF1",))) == ()


def test_module_level_code_brings_its_functions_along() -> None:
    script = SLOW + b"s = ''\nfor n in 'ab':\n    s += n\nclass A:\n    def f(self): pass\n"
    findings = check(script, Config(select=("ALL",)))
    assert findings == engine.check(Source("a.py", script), Config(select=("ALL",)), gates=False)
    assert "PRF102" in {item.code for item in findings}


OWN = sorted(Path(__file__).parent.parent.glob("perflint/**/*.py"))


@pytest.mark.parametrize(
    "path",
    [
        *(pytest.param(path, id=path.stem) for path in OWN[::8]),
        *(pytest.param(path, id=path.stem, marks=pytest.mark.slow) for path in OWN if path not in OWN[::8]),
    ],
)
def test_gates_hide_nothing_in_our_own_code(path: Path) -> None:
    source = Source(str(path), path.read_bytes())
    config = Config(select=("ALL", "micro"))
    assert engine.check(source, config) == engine.check(source, config, gates=False)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("PRF102",), {"PRF102"}),
        (("chained-str-self-concat",), {"PRF102"}),
        (("PRF10",), {"PRF101", "PRF102", "PRF103", "PRF104", "PRF105", "PRF106", "PRF107", "PRF108"}),
    ],
)
def test_selectors(words: tuple[str, ...], codes: set[str]) -> None:
    assert {rule.code for rule in registry.select(Config(select=words))} == codes


def test_opt_in_groups_are_off_until_named() -> None:
    grouped = {rule.code: rule.group for rule in registry.rules() if rule.group}
    assert {"micro", "pedantic"} == set(grouped.values())
    assert grouped.keys().isdisjoint(chosen())
    assert grouped.keys() <= chosen(select=("ALL",))
    for group in set(grouped.values()):
        members = {code for code, other in grouped.items() if other == group}
        assert grouped.keys() & chosen(extend_select=(group,)) == members
    assert grouped.keys().isdisjoint(chosen(select=("PRF2", "pools")))


def chosen(**options: tuple[str, ...]) -> set[str]:
    return {rule.code for rule in registry.select(Config(**options))}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": "PERF01"}, "three capital letters"),
        ({"name": "other"}, "name must be that of its file"),
        ({"doc": "no examples"}, "Bad: and a Good:"),
        ({"gate": Gate()}, "gate is empty"),
        ({"checks": {}}, "no check"),
        ({"summary": ""}, "summary"),
    ],
)
def test_a_broken_rule_is_refused(change: dict[str, object], words: str) -> None:
    rule = registry.find("PRF102")
    assert rule is not None
    with pytest.raises(registry.RegistryError, match=words):
        registry.validate(changed(rule, **change), "acme.chained_str_self_concat")


def test_what_nothing_can_be_found_in_loads_no_rules() -> None:
    script = (
        "import sys\n"
        "from perflint.analysis import engine\n"
        "from perflint.model.config import Config\n"
        "from perflint.model.source import Source\n"
        "def loaded(): return sorted(name for name in sys.modules if name in ('libcst', 'importlib.metadata') or"
        " name.startswith('perflint.rules.') and name.count('.') == 3)\n"
        "config = Config(select=('ALL',))\n"
        "engine.check(Source('a.py', b'def f(x):\\n    return x + 1\\n'), config)\n"
        "print(loaded())\n"
        "engine.check(Source('a.py', b'for x in xs:\\n    found.insert(0, x)\\n'), config)\n"
        "print(loaded())\n"
        "engine.prepare(config)\n"
        "print(len(loaded()))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    nothing, one, whole = run.stdout.splitlines()
    assert nothing == "[]"
    assert "perflint.rules.allocation.list_insert_front" in one and one.count("perflint.rules") < 4
    assert int(whole) > len(registry.rules())


def test_a_rule_that_its_index_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = next(row for row in index.RULES if row["code"] == "PRF203")
    monkeypatch.setattr(index, "RULES", ({**known, "summary": "something else"},))
    (rule,) = registry.rules.__wrapped__()
    with pytest.raises(registry.RegistryError, match=r"run python docs/generate\.py"):
        rule.checks  # noqa: B018


def test_trees_go_without_the_collector() -> None:
    """A run collects garbage rarely: a tree in a cycle would stay, and a file's trees stand beside each other."""
    names = ("manual-list-comprehension", "bytes-accumulation", "dangling-task")
    files = [path for name in names for path in sorted((FIXTURES / name).glob("*.py"))[:2]]
    assert files
    gc.collect()
    before = {id(item) for item in gc.get_objects() if isinstance(item, cst.CSTNode)}
    gc.disable()
    try:
        for path in files:
            assert engine.inspect(Source(str(path), path.read_bytes()), Config()).active
        left = [item for item in gc.get_objects() if isinstance(item, cst.CSTNode)]
    finally:
        gc.enable()
    assert {id(item) for item in left} <= before
