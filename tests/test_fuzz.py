"""Broken, shuffled and strange files: no crash, no hang, no byte changed outside of edits."""

import random
from pathlib import Path

import pytest

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source, SourceError

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").rglob("*.py"))
CONFIG = Config(select=("ALL",))


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


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_mutated_fixtures(path: Path) -> None:
    chance = random.Random(path.parent.name + path.stem)
    for _ in range(12):
        try:
            source = Source("fuzz.py", mutated(path.read_bytes(), chance))
        except SourceError:
            continue
        findings = engine.check(source, CONFIG)
        assert "PRF001" not in {item.code for item in findings}, findings
        assert all(0 <= item.span.start <= item.span.end <= len(source.data) for item in findings)
        result = fix(source, lambda text: engine.check(text, CONFIG), Applicability.UNSAFE)
        assert result.defects == (), result.defects
        if not result.applied:
            assert result.source is source


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_line_ends_change_nothing(path: Path, newline: str) -> None:
    text = path.read_text("utf-8")
    plain = fix(
        Source("a.py", text.encode()), lambda source: engine.check(source, CONFIG), Applicability.UNSAFE
    )
    other = Source("a.py", text.replace("\n", newline).encode())
    result = fix(other, lambda source: engine.check(source, CONFIG), Applicability.UNSAFE)
    assert result.source.data == plain.source.data.replace(b"\n", newline.encode())
