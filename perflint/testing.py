"""The public rule tester: fixtures with expectations on their lines, goldens, executed examples.

A fixture is a Python file. `# want: CODE severity safe|unsafe|nofix` on a line says what must be
found there, `# ok: reason` marks a near miss that must stay silent, `# config: key = value`
(TOML) sets an option, and `# run: expression` is evaluated in the module before and after each
grade of fix: value, output and exception must be the same. Marks are taken out before linting.
A line `# run unsafe: expression` is evaluated only as it is and after the safe fixes.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perflint.analysis import engine
from perflint.analysis.rule import Rule
from perflint.fixing.edits import apply
from perflint.fixing.fixer import fix
from perflint.model.config import Config, parse_target
from perflint.model.diagnostics import Applicability, Finding
from perflint.model.source import Source

_MARK = re.compile(r"[ \t]*#[ \t]*(want|ok|run|run unsafe):[ \t]*(.*)$")
_CONFIG = re.compile(r"^# config:[ \t]*([\w-]+)[ \t]*=[ \t]*(.+)$", re.M)


@dataclass(frozen=True)
class Fixture:
    """A fixture taken apart: the text to lint and what is expected of it."""

    path: Path
    source: Source
    config: Config
    wants: tuple[tuple[int, str], ...]  # line, "CODE severity fix"
    oks: tuple[int, ...]
    runs: tuple[str, ...]  # must agree before, after safe and after all fixes
    safe_runs: tuple[str, ...]  # may differ after unsafe fixes


def read_fixture(path: Path, rule: Rule) -> Fixture:
    """Take the marks out of a fixture; raise ValueError for a mark that says nothing."""
    lines, wants, oks = [], [], []
    runs: dict[str, list[str]] = {"run": [], "run unsafe": []}
    text = path.read_bytes().decode("utf-8")
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        body = line.rstrip("\r\n")
        mark = _MARK.search(body)
        if mark is None:
            lines.append(line)
            continue
        kind, rest = mark[1], mark[2].strip()
        if not rest:
            raise ValueError(f"{path}:{number}: an empty mark")
        if kind == "want":
            wants += [(number, want.strip()) for want in rest.split(";")]
        elif kind == "ok":
            oks.append(number)
        else:
            runs[kind].append(rest)
        lines.append(body[: mark.start()] + line[len(body) :])
    source = Source(str(path), "".join(lines).encode())
    config = _config(text, rule)
    return Fixture(
        path, source, config, tuple(wants), tuple(oks), tuple(runs["run"]), tuple(runs["run unsafe"])
    )


def _config(text: str, rule: Rule) -> Config:
    options: dict[str, Any] = {"select": (rule.code,)}
    for key, value in _CONFIG.findall(text):
        word = ast.literal_eval({"true": "True", "false": "False"}.get(value, value))
        if key == "target-version":
            options["target"] = parse_target(word)
        else:
            options[key.replace("-", "_")] = tuple(word) if isinstance(word, list) else word
    return Config(**options)


def check_fixture(rule: Rule, path: Path, update_golden: bool = False) -> None:
    """Assert all that a fixture promises; with `update_golden`, rewrite `*.py.fixed` first."""
    fixture = read_fixture(path, rule)
    checker = _checker(fixture.config)
    findings = checker(fixture.source)
    found = sorted((_line(fixture.source, item), describe(item)) for item in findings)
    assert found == sorted(fixture.wants), (
        f"{path}: findings differ\n{_difference(found, sorted(fixture.wants))}"
    )
    overlap = set(fixture.oks) & {line for line, _ in fixture.wants}
    assert not overlap, f"{path}: lines {sorted(overlap)} are marked want and ok"
    every = engine.check(fixture.source, fixture.config, gates=False)
    assert findings == every, (
        f"{path}: a gate or region hides or makes a finding\n{_difference(findings, every)}"
    )
    for item in findings:
        if item.fix is not None:
            apply(fixture.source.data, item.fix.edits)
    safe = _fixed(fixture.source, checker, Applicability.SAFE)
    full = _fixed(fixture.source, checker, Applicability.UNSAFE)
    _check_golden(path, full, update_golden)
    _check_behaviour(fixture, safe, full)


def _fixed(source: Source, checker: Callable[[Source], tuple[Finding, ...]], allow: Applicability) -> Source:
    """The settled text after the fixes, proved to parse, to keep comments and to be stable."""
    result = fix(source, checker, allow)
    assert not result.defects, f"{source.path}: {[item.message for item in result.defects]}"
    assert comments(result.source) == comments(source), f"{source.path}: a fix loses or moves a comment"
    again = fix(result.source, checker, allow)
    assert again.source.data == result.source.data, f"{source.path}: a second run changes the file again"
    return result.source


def _check_golden(path: Path, fixed: Source, update: bool) -> None:
    golden = path.with_name(f"{path.name}.fixed")
    if update:
        golden.write_bytes(fixed.data)
    assert golden.exists(), f"{golden} is missing; write it with pytest --update-golden"
    assert fixed.data == golden.read_bytes(), (
        f"{golden} differs from the fixed text; see pytest --update-golden"
    )


def _check_behaviour(fixture: Fixture, safe: Source, full: Source) -> None:
    for expression in (*fixture.runs, *fixture.safe_runs):
        before = run(fixture.source.text, expression)
        for after in (safe,) if expression in fixture.safe_runs else (safe, full):
            result = run(after.text, expression)
            assert result == before, f"{fixture.path}: {expression} was {before}, after the fix {result}"


def run(code: str, expression: str) -> tuple[str, str]:
    """The value (or exception) of an expression in a module, as text, and what was printed.

    What the module itself raises is raised: a fixture that cannot be imported would prove nothing.
    """
    space: dict[str, object] = {"__name__": "fixture"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "fixture", "exec"), space)
        try:
            value = repr(eval(expression, space))
        except Exception as error:
            value = f"{type(error).__name__}: {error}"
    return value, printed.getvalue()


def check_docs(rule: Rule) -> None:
    """Assert that the docstring's Bad is found, its fix is Good to the byte, and Good is clean.

    Where the rule offers the example no fix, Bad is only found. The benchmark's call gives the
    same result on both (a call that needs a missing package is passed over).
    """
    checker = _checker(Config(select=(rule.code,)))
    bad, good = (Source(rule.name, example(rule.doc, title).encode()) for title in ("Bad", "Good"))
    findings = checker(bad)
    assert findings and {item.code for item in findings} == {rule.code}, f"{rule.code}: Bad is not found"
    assert not checker(good), f"{rule.code}: Good is not clean"
    if any(item.fix is not None for item in findings):
        fixed = fix(bad, checker, Applicability.UNSAFE).source
        assert fixed.text == good.text, f"{rule.code}: the fix of Bad is not Good:\n{fixed.text}"


def example(doc: str, title: str) -> str:
    """The indented block below `title:` in a rule's docstring."""
    match = re.search(rf"^{title}:\n\n((?:    .*\n|\n)+)", doc + "\n", re.M)
    if match is None:
        raise ValueError(f"the docstring has no example headed {title}:")
    return textwrap.dedent(match[1]).strip("\n") + "\n"


def describe(finding: Finding) -> str:
    """What a `# want:` says of a finding: code, severity and kind of fix."""
    kind = finding.fix.applicability.name.lower() if finding.fix is not None else "nofix"
    return f"{finding.code} {finding.severity.label} {kind}"


def comments(source: Source) -> list[str]:
    """All comments of a text, in order."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text, newline="").readline)
    return [token.string.rstrip("\r") for token in tokens if token.type == tokenize.COMMENT]


def fixtures_of(folder: Path) -> Iterator[Path]:
    """The fixture files of one rule."""
    return (path for path in sorted(folder.glob("*.py")) if path.is_file())


def _checker(config: Config) -> Callable[[Source], tuple[Finding, ...]]:
    return lambda source: engine.check(source, config)


def _line(source: Source, finding: Finding) -> int:
    return source.line_of(finding.span.start)


def _difference(found: object, wanted: object) -> str:
    left, right = (list(items) for items in (found, wanted))  # type: ignore[call-overload]
    extra = "\n".join(f"  not wanted: {item}" for item in left if item not in right)
    missing = "\n".join(f"  not found:  {item}" for item in right if item not in left)
    return f"{extra}\n{missing}"
