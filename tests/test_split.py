"""What is read part by part is what is read at once."""

import sysconfig
from pathlib import Path

import libcst as cst
import pytest

from bench.shapes import AWKWARD
from perflint.analysis import split, syntax, tree
from perflint.analysis.skeleton import Unclear, blanked
from perflint.analysis.split import Split
from perflint.model.source import Source

STDLIB = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))[::40]
FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").rglob("*.py"))

TEXTS = {
    "blank lines and comments": """
def f(x):
  # of the block
  a = 1

  # of the next one
  if x:
      b = 2
      # of the inner block
    # of neither

  c = 3

  if x:
      d = 4

  e = (1,
2)
  g = '''
far left
'''
  h = 5  # last
  # of the block
# of the module
y = 1
""",
    "clauses": """
import os
@one
@two(1,
     2)
def f(): pass

@three

class A:
    x: int = 1
    y = 2
    z = 3
    w = 4
try:
    a
    b
    c
    d
except A:
    b
else:
    c
finally: d
match x:
    case 1: pass
    case [2, 3, 4]:
        a
        b
        c
        d
for x in y: pass
else: z
i; j
k = 1 \\
  + 2

l
m
""",
    "literals": """
def f():
    a = [
        1, 2,  # two

        3,
    # far left
  4, *a, (5, 6), [7, [8, 9], {10: 11}], f(1, 2, k=[3, 4, 5, 6]),
        ]
    b = {"k": [1, 2, 3, 4], **a, 'l': {1, 2, 3, 4}, "m": (1, 2, 3, 4), "n": (yield 1, 2, 3)}
    (c, d, e, f), g = [h, i, j, k], l = x
    for m, n in [1, 2, 3, 4], (5, 6, 7, 8): pass
    return [x for x, y, z, w in a], b[1, 2, 3, 4], [lambda o, p, q: r, s, t]
    x = [(a := 1), b, c, d]
""",
}


@pytest.fixture(params=[8, 24, 300])
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are short."""
    monkeypatch.setattr(split, "SIZE", request.param)


def assert_same(text: str) -> int:
    """The tree made of parts is the whole one; how many parts there were."""
    try:
        found = Split(text.encode())
        parted = tree._spliced(found)
    except (Unclear, cst.ParserSyntaxError):
        return 0
    assert parted.deep_equals(cst.parse_module(text)) and parted.code == text
    assert all(syntax._taken(found.alone(part).decode()) for part in found.parts)
    return len(found.parts)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", TEXTS)
def test_parts_make_the_whole_tree(name: str, end: str) -> None:
    text = TEXTS[name].replace("\n", end)
    parts = assert_same(text) + assert_same(f"if x:\n\n{text}".replace("\n", end).replace("\r\r", "\r"))
    assert parts or split.SIZE != 24


@pytest.mark.parametrize("name", ["additions", "additions in a loop", "literal", "loops", "module loops"])
def test_large_shapes_are_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "SIZE", 500)
    text = AWKWARD[name][0](400)
    assert assert_same(text) > len(text) / 1000
    assert len(Split(text.encode()).rest()) < len(text) / 5


def test_blocks_may_nest_deeper_than_python_recurses() -> None:
    with pytest.raises(Unclear):
        Split(AWKWARD["nested blocks"][0](3_000).encode())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("path", FIXTURES[::10], ids=lambda path: path.parent.name)
def test_parts_of_fixtures_make_the_whole_tree(path: Path) -> None:
    assert_same(path.read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("path", STDLIB, ids=lambda path: path.stem)
def test_parts_of_the_library_make_the_whole_tree(path: Path) -> None:
    try:
        text = path.read_bytes().decode()
        cst.parse_module(text)
    except (UnicodeDecodeError, cst.ParserSyntaxError):
        return
    assert_same(text)


@pytest.mark.parametrize(
    "text",
    ["x = 1\ny = 2\n", "x = (1\n", "x = [1, 2, 3]\r\ny = 2\n", "if x:\n\ta\n\tb\n\tc\n", "x = 1)(\ny\nz\n"],
)
def test_what_the_text_does_not_tell_is_not_cut(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "SIZE", 1)
    with pytest.raises(Unclear):
        Split(text.encode())


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("x = [f(1), f(2), f(3), f(4)]", True),
        ("x = [a, b, c, d] = y", True),
        ("x = [a, f(1), c, d] = y", False),
        ("(a, b), [c, 1, d, e] = y", False),
        ("for x in [a, b, c, d, e]: pass", True),
        ("x = [a, b, =, d, e]", False),
        ("x = {a: 1, b: 2, c: 3, d: 4}", True),
        ("x = {a: 1, b, c: 3, d: 4}", False),
        ("x = {a, b, c: 3, d}", False),
        ("x = (a, b, c d, e)", False),
        ("def f():\n  a\n  b c\n  d\n  e\n  f", False),
        ("def f():\n    a\n    b\n  c\n    d\n    e\n", False),
        ("match x:\n  case 1: pass\n  y\n  z\n  case 2: pass", False),
        ("try:\n  a\n  b\n  c\n  d\nx\n", False),
        ("match x:\n  case {1: [a, b + c, d, e, f, g]}: pass", False),
    ],
)
@pytest.mark.parametrize("size", [1, 7])
def test_what_python_refuses_is_refused(
    text: str, valid: bool, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split, "SIZE", size)
    monkeypatch.setattr(syntax, "_PART", 1)
    source = Source("a.py", text.encode())
    assert syntax.parses(source, blanked(source.data)) is valid
