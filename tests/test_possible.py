"""A gate that asks what a receiver may be never says no where the rules know its type."""

import ast
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import pytest

from perflint.analysis import library
from perflint.analysis.concurrency.elements import receiver, receives
from perflint.analysis.facts import Facts
from perflint.analysis.possible import calls_on, may_be, own
from perflint.analysis.rule import Context
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import parse, walk
from perflint.model.config import Config
from perflint.model.source import Source

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").iterdir())
ASKED = (cst.Name, cst.Attribute, cst.Call, cst.Await, cst.Subscript)
POOLS = frozenset({"concurrent.futures.ThreadPoolExecutor"})

Place = tuple[int, int, str]


def places(source: Source, sketch: Sketch) -> dict[Place, ast.expr]:
    """The expressions of the sketch by the span and type that LibCST has for them."""
    kinds = (ast.Name, ast.Attribute, ast.Call, ast.Await, ast.Subscript)
    return {
        (
            source.offset(node.lineno, node.col_offset),
            source.offset(node.end_lineno or 0, node.end_col_offset or 0),
            type(node).__name__,
        ): node
        for kind in kinds
        for node in sketch.of(kind)
    }


def known(path: Path) -> Iterator[tuple[Sketch, ast.expr, str, str]]:
    """The expressions whose type `elements.receiver` tells, with their text and type."""
    source = Source(path.name, path.read_bytes())
    facts = Facts(source, ast.parse(source.text))
    for region in facts.every:
        sketch = Sketch(facts, region)
        context = Context(source, facts, parse(source, region), Config())
        there = places(source, sketch)
        for node in walk(context.tree.root):
            made = receiver(context.objects, node) if isinstance(node, ASKED) else None
            if made is not None and not node.lpar:  # type: ignore[union-attr]
                found = there.get((*context.tree.span(node), type(node).__name__))
                if found is not None:  # else of another region
                    yield sketch, found, context.tree.code(node), made.type
        context.forget()


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_what_is_known_is_possible(folder: Path) -> None:
    path = max(folder.glob("*.py"), key=lambda path: path.stat().st_size)
    for sketch, node, text, kind in known(path):
        assert receives(sketch, node, frozenset({kind})), f"{path.name}: {text} is {kind}"


def test_what_is_not_possible() -> None:
    text = """\
from concurrent.futures import ThreadPoolExecutor as Threads
shared = Threads()
other = open("x")
class Held:
    def __init__(self, handed): self.pool, self.client = Threads(), handed
    def use(self, given, typed: "Threads | None"):
        mine = Threads() if given else None
        both = (first := Threads()) if given else Threads(2)
        given.map(f); typed.map(f); mine.map(f); both.map(f); first.map(f); shared.map(f); other.map(f)
        self.pool.map(f); self.client.map(f); Threads().map(f); make().map(f); [].map(f)
        with Threads() as entered: entered.map(f)
"""
    source = Source("a.py", text.encode())
    facts = Facts(source, ast.parse(text))
    sketch = Sketch(facts, facts.regions[1])
    found = {ast.unparse(call.func) for call in calls_on(sketch, POOLS, "map")}
    assert found == {
        *(
            "typed.map",
            "both.map",
            "first.map",
            "shared.map",
            "self.pool.map",
            "Threads().map",
            "entered.map",
        ),
    }
    assert own(sketch, "given") and not own(sketch, "shared")
    assert not may_be(sketch, ast.parse("shared", mode="eval").body, library.POOLS)
