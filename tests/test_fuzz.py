"""Broken, shuffled and strange files: no crash, no hang, no byte changed outside of edits."""

import random
from pathlib import Path

import pytest

from perflint import testing
from perflint.analysis import engine
from perflint.analysis.registry import find
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability, Finding
from perflint.model.source import Source, SourceError

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").rglob("*.py"))
FIRST = {path.parent: path for path in reversed(FIXTURES)}
OWN = [path for name, path in FIRST.items() if name.name != "demo"]
CASES = [  # one fixture of each rule under that rule; all under all rules where there is time
    pytest.param(path, select, rounds, id=f"{path.parent.name}/{path.stem}-{select}", marks=marks)
    for path in FIXTURES
    for select, rounds, marks in ((path.parent.name, 2, ()), ("ALL", 12, pytest.mark.slow))
    if select != "demo" and (select == "ALL" or path == FIRST[path.parent])
]


def config(select: str) -> Config:
    return Config(select=(select,))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few line-wise and byte-wise accidents."""
    lines = data.splitlines(keepends=True)
    for _ in range(chance.randint(1, 4)):
        where = chance.randrange(len(lines))
        accident = chance.choice(
            ("drop", "double", "swap", "indent", "dedent", "join", "bytes", "comment", "crlf")
        )
        if accident == "drop" and len(lines) > 1:
            del lines[where]
        elif accident == "double":
            lines.insert(where, lines[where])
        elif accident == "swap":
            other = chance.randrange(len(lines))
            lines[where], lines[other] = lines[other], lines[where]
        elif accident == "indent":
            lines[where] = b"    " + lines[where]
        elif accident == "dedent":
            lines[where] = lines[where][4:] or b"\n"
        elif accident == "join":
            lines[where] = lines[where].rstrip(b"\r\n") + b"; "
        elif accident == "comment":
            lines[where] = lines[where].rstrip(b"\r\n") + "  # é\n".encode()
        elif accident == "crlf":
            lines[where] = lines[where].rstrip(b"\r\n") + b"\r\n"
        else:
            line = bytearray(lines[where])
            line[chance.randrange(len(line))] = chance.randrange(256)
            lines[where] = bytes(line)
    return b"".join(lines)


@pytest.mark.parametrize(("path", "select", "rounds"), CASES)
def test_mutated_fixtures(path: Path, select: str, rounds: int) -> None:
    options = config(select)
    chance = random.Random(path.parent.name + path.stem)

    def check(source: Source) -> tuple[Finding, ...]:
        findings = engine.check(source, options)
        assert "PRF001" not in {item.code for item in findings}, findings
        assert all(0 <= item.span.start <= item.span.end <= len(source.data) for item in findings)
        return findings

    for _ in range(rounds):
        try:
            source = Source("fuzz.py", mutated(path.read_bytes(), chance))
        except SourceError:
            continue
        result = fix(source, check, Applicability.UNSAFE)  # which asks about the broken text first
        assert result.defects == (), result.defects
        if not result.applied:
            assert result.source is source


@pytest.mark.parametrize("newline", [b"\r\n", pytest.param(b"\r", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", OWN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_line_ends_change_nothing(path: Path, newline: bytes) -> None:
    rule = find(path.parent.name)
    assert rule is not None
    fixture = testing.read_fixture(path, rule)
    golden = path.with_name(f"{path.name}.fixed").read_bytes()
    assert fixed(fixture.source.data.replace(b"\n", newline), fixture.config) == golden.replace(
        b"\n", newline
    )


@pytest.mark.slow
@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_line_ends_change_nothing_under_all_rules(path: Path, newline: bytes) -> None:
    data, options = path.read_bytes(), config("ALL")
    assert fixed(data.replace(b"\n", newline), options) == fixed(data, options).replace(b"\n", newline)


def fixed(data: bytes, options: Config) -> bytes:
    result = fix(Source("a.py", data), lambda text: engine.check(text, options), Applicability.UNSAFE)
    return result.source.data
