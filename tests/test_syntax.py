"""Whether a file is Python: a fast parser has the first word, Python's own the last."""

import sys
import types

import pytest

from perflint.analysis import engine, syntax
from perflint.analysis.skeleton import Skeleton, Unclear
from perflint.model.config import Config
from perflint.model.source import Source

TEXTS = [
    ("x = 1\n", True),
    ("", True),
    ("return 1\n", True),  # no business of the parser
    ("def f(:\n", False),
    ("x = 1 = 2\n", False),
    ("f(a for a in b, c)\n", False),
    ("if x:\n    y\n  z\n", False),
    ("'''\n", False),
    ("x = $\n", False),
    ("# type: (broken -> str\nx = 1\n", True),  # a complaint that is not Python's
    ("<<<<<<< HEAD\nx = 1\n", False),
]


@pytest.fixture(params=["with the fast parser", "without", "with another interface"])
def fast_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "ast_serialize", None)
    elif request.param != "with the fast parser":
        monkeypatch.setitem(sys.modules, "ast_serialize", types.SimpleNamespace(parse=lambda: None))


def is_python(source: Source) -> bool:
    try:
        blank = Skeleton(source.data).blank
    except Unclear:  # no draft, so nobody asks
        blank = source.data
    return syntax.parses(source, blank)


@pytest.mark.usefixtures("fast_parser")
@pytest.mark.parametrize(("text", "parses"), TEXTS)
def test_both_parsers_give_one_answer(text: str, parses: bool) -> None:
    source = Source("a.py", text.encode())
    assert is_python(source) is parses
    found = engine.check(source, Config())
    assert [item.code for item in found] == ([] if parses else ["PRF000"])


def refuse(*_: object) -> None:
    raise AssertionError("the fast parser must not see this")


@pytest.mark.parametrize(
    "text",
    ["x = " + "1 + " * 5_000 + "1\n", "x = a" + ".b" * 5_000 + "\n", "x = a" + "()" * 5_000 + "\n"],
)
def test_long_chains_are_for_pythons_parser(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_accepted", refuse)
    assert is_python(Source("a.py", text.encode()))


def test_many_short_statements_are_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_taken", refuse)
    assert is_python(Source("a.py", b"def f():\n    return a.b(c)[0] + 1\n" * 3_000))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python knows the syntax")
def test_newer_syntax_is_reported_only_where_a_rule_has_to_look() -> None:
    newer = "type Names = list[str]\n"
    assert engine.check(Source("a.py", newer.encode()), Config()) == ()
    opened = f"import gc\n{newer}def f(xs):\n    for x in xs:\n        gc.collect()\n"
    (found,) = engine.check(Source("a.py", opened.encode()), Config())
    assert found.code == "PRF000"


def test_a_large_file_is_read_between_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_PART", 100)
    lines = "@a\ndef f():\n    x = (\n1)\n\nif x:\n    y\nelse:\n    z\n\nx = [\n\n1,\n\n2]\n" * 20
    seen = []
    accepted = syntax._accepted
    monkeypatch.setattr(syntax, "_accepted", lambda text: seen.append(text) or accepted(text))
    assert is_python(Source("a.py", lines.encode()))
    assert len(seen) > 5 and "".join(seen) == lines
    assert not is_python(Source("a.py", f"{lines}x = = 1\n{lines}".encode()))


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("x = [" + "1.5, -2, (3 + 4) * 5,\n" * 5_000 + "]\n", True),
        ("def f():\n" + "    x.y += a.b(c)[0] + 1\n" * 5_000, True),
        ("x = [" + "a" + ".b" * 5_000 + "]\n", False),
        ("x = {1: (" + "2 + " * 5_000 + "3)}\n", False),
        ("x = " + "a(\n1).b" * 5_000 + "\n", False),
    ],
)
def test_many_links_are_told_from_long_chains(text: str, short: bool) -> None:
    blank = Skeleton(text.encode()).blank
    assert syntax._links(text.encode()) > syntax._LINKS
    assert syntax._links_spread(text.encode(), blank) is short
