"""What gates guess from `ast` holds all that the checks would know from LibCST."""

import ast
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import pytest

from perflint.analysis.facts import Facts
from perflint.analysis.flow import Flow
from perflint.analysis.growth import growths
from perflint.analysis.kinds import Kinds
from perflint.analysis.likely import Likely
from perflint.analysis.match import GROWING, dotted
from perflint.analysis.match import growths as cst_growths
from perflint.analysis.names import Names
from perflint.analysis.registry import rules
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import parse, walk
from perflint.model.source import Source

FIXTURES = Path(__file__).parent.parent / "fixtures"
KNOWN = """\
SEP = ","
def work(a: str, b: "list[int]", c=b"", *d: str, e=(), **f):
    g = h = 1
    s, (t, u) = "", ([], {})
    s = s + str(a); t += [1]; i = i + "x"; j = other(j)
    for k in range(3): s += SEP * k
    for m in a.split(SEP): n = m if g else m.lower()
    if (o := f"{a}") and [p for p in (b"1", b"2")]: q: bytes = unknown()
    with open(a) as r: v = r.read().encode("utf-8"); w = v[1:] + v[:1]
    x = sorted(b) or b; y = {**f}; z = y.copy() | {}
    pair: tuple[Name, ...] = ("k", "l")
    for one in pair: two = one
def outer():
    s = ""
    def inner():
        s = 0
        for s in range(3): s = s + 1
        return s
    for c in "text": s += c
    return s, lambda s=(): s
"""
MODULE = """\
SEP, WIDE = ",", b"x" * 2
class Held:
    kind: str = "a"
    for kind in SEP: kind += SEP
for name in (SEP, str(WIDE)):
    text = text + name + (lambda SEP=(): SEP)
    def text(): return SEP
"""


def broken(source: Source) -> Iterator[str]:
    """Each place of a file where `kinds` or `match.growths` knows what the guess leaves out."""
    facts = Facts(source, ast.parse(source.text))
    for region in facts.regions or [facts.module]:
        tree, sketch = parse(source, region), Sketch(facts, region)
        names, likely = Names(tree, facts), Likely(sketch)
        kinds, flow = Kinds(names), Flow(tree, names)
        guessed = {(item.form, item.place) for item in growths(sketch)}
        for node in walk(tree.root):
            if isinstance(node, GROWING) and flow.loop(node) is not None:
                for item in cst_growths(node):
                    place = dotted(item.target)
                    if place is not None and (item.form, place) not in guessed:
                        yield f"{item.form} {tree.code(node)}"
            if not isinstance(node, cst.BaseExpression) or (kind := kinds.of(node)) is None:
                continue
            text = cst.Module([]).code_for_node(node)
            try:
                same = ast.parse(f"({text})", mode="eval").body
            except SyntaxError:  # a part of something: a slice, a piece of a joined string
                continue
            if kind not in likely.of(same):
                yield f"{kind} {text}"


@pytest.mark.parametrize("name", [rule.name for rule in rules() if rule.category in ("text", "allocation")])
def test_no_fixture_knows_more(name: str) -> None:
    files = sorted((FIXTURES / name).rglob("*.py"))
    assert files
    for path in files:
        assert list(broken(Source(str(path), path.read_bytes()))) == [], path


@pytest.mark.parametrize("text", [KNOWN, MODULE])
def test_awkward_bindings(text: str) -> None:
    assert list(broken(Source("a.py", text.encode()))) == []


@pytest.mark.parametrize(
    ("body", "name", "types"),
    [
        ("n = 0\n    for x in xs: n += x", "n", {"int"}),
        ("n = None\n    n = ''", "n", set()),
        ("n = n + 1\n    n = ''", "n", {"str"}),
        ("n = 'a'\n    with n as n: pass", "n", set()),
        ("n = 'a'\n    lambda n=1: n", "n", {"str", "int"}),
        ("n = ''.join(xs) % xs[0]", "n", {"str"}),
    ],
)
def test_bindings_of_one_scope_must_agree(body: str, name: str, types: set[str]) -> None:
    text = f"def f(xs):\n    {body}\n"
    facts = Facts(Source("a.py", text.encode()), ast.parse(text))
    assert Likely(Sketch(facts, facts.regions[0])).name(name) == types


def test_long_sums_and_deep_names() -> None:
    text = "def f():\n    a0 = ''\n" + "".join(f"    a{n} = a{n - 1} + 'x'\n" for n in range(1, 3_000))
    facts = Facts(Source("a.py", text.encode()), ast.parse(text))
    likely = Likely(Sketch(facts, facts.regions[0]))
    assert "str" in likely.name("a2999") and "str" in likely.name("a10")
