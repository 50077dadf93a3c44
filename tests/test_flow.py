"""The guards that keep rules quiet: what loops, what grows, who looks."""

import ast
import textwrap
from collections.abc import Callable

import libcst as cst
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import patient

from perflint.analysis.exits import leaving
from perflint.analysis.facts import Facts
from perflint.analysis.flow import Flow, bound_names
from perflint.analysis.match import dotted, growths
from perflint.analysis.names import Names
from perflint.analysis.tree import Tree, parse, walk
from perflint.model.source import Source


class Region:
    """A function taken apart for a question about the statement `s += ...` or the like in it."""

    def __init__(self, code: str) -> None:
        source = Source("a.py", textwrap.dedent(code).encode())
        facts = Facts(source, ast.parse(source.text))
        self.tree: Tree = parse(source, facts.regions[-1])
        self.names = Names(self.tree, facts)
        self.flow = Flow(self.tree, self.names)
        self.scope = self.names.inside(self.tree.root)

    def growth(self):
        return next(item for node in walk(self.tree.root) for item in growths(node))

    def find(self, kind: type[cst.CSTNode]) -> cst.CSTNode:
        return next(node for node in walk(self.tree.root) if isinstance(node, kind))


def in_loop(body: str, header: str = "for x in xs:") -> Region:
    return Region(
        f"def f(xs):\n    s = ''\n    {header}\n"
        + textwrap.indent(textwrap.dedent(body), " " * 8)
        + "\n    return s\n"
    )


@pytest.mark.parametrize(
    ("header", "small"),
    [
        ("for x in xs:", False),
        ("for x in (1, 2, 3):", True),
        ("for x in (1, *xs):", False),
        ("for x in range(16):", True),
        ("for x in range(17):", False),
        ("for x in range(0, 100, 10):", True),
        ("for i, x in enumerate(['a']):", True),
        ("for x, y in zip(xs, 'ab', (1, 2)):", True),
        ("while xs:", False),
    ],
)
def test_bounded_loops(header: str, small: bool) -> None:
    region = in_loop("s += 'a'", header)
    loop = region.flow.loop(region.growth().node)
    assert region.flow.bounded(loop) is small


@pytest.mark.parametrize(
    ("body", "once"),
    [
        ("s += x", False),
        ("s += x\nbreak", True),
        ("if x:\n    s += x\n    break", True),
        ("if x:\n    s += x\nbreak", True),
        ("s += x\nif x:\n    break", False),
        ("s += x\nif x:\n    break\nelse:\n    return s", True),
        ("s += x\nif x:\n    continue\nbreak", False),
        ("with x:\n    s += x\n    break", True),
        ("s += x\nwith x:\n    return s", True),
        ("s += x\nwith suppress(E):\n    return s", False),
        ("for y in x:\n    s += y\n    raise ValueError", True),
        ("for y in x:\n    s += y\nbreak", False),
    ],
)
def test_loops_that_end_after_one_pass(body: str, once: bool) -> None:
    region = in_loop(body)
    node = region.growth().node
    assert region.flow.runs_once(node, region.flow.loop(node)) is once


@pytest.mark.parametrize(
    ("body", "grows"),
    [
        ("s += x", True),
        ("s = s + x", True),
        ("s = ''\ns += x", False),
        ("if x:\n    s = ''\ns += x", False),
        ("s += x\ns = s.strip()", False),
        ("s += x\ns += ','", True),
        ("self.s += x", True),
        ("self.s += x\nself.s = ''", False),
        ("self.s += x\nself = self.next", False),
        ("x.s += 'a'", False),
        ("d[x] += 'a'", False),
        ("d['k'] += 'a'", True),
        ("for s in xs:\n    pass\ns += x", False),
        ("with x as s:\n    s += x", False),
        ("d[key(x)] += 'a'", False),
    ],
)
def test_true_accumulators(body: str, grows: bool) -> None:
    region = in_loop(body)
    statement = region.find(cst.AugAssign) if "+=" in body else region.find(cst.BinaryOperation)
    target = statement.target if isinstance(statement, cst.AugAssign) else region.growth().target
    assert region.flow.accumulates(target, region.flow.loop(statement)) is grows


def test_the_header_of_a_loop_runs_once_and_its_test_often() -> None:
    region = Region(
        "def f(xs):\n    for x in g(xs):\n        pass\n    else:\n        h(xs)\n    while k(xs):\n        pass\n"
    )
    calls = {node.func.value: node for node in walk(region.tree.root) if isinstance(node, cst.Call)}
    loops = {name: region.flow.loop(node) is not None for name, node in calls.items()}
    assert loops == {"g": False, "h": False, "k": True}


def test_comprehensions_repeat_all_but_their_first_iterable() -> None:
    region = Region("def f(xs):\n    return [g(x) for x in h(xs) if k(x) for y in m(x)]\n")
    calls = {node.func.value: node for node in walk(region.tree.root) if isinstance(node, cst.Call)}
    again = {name: region.flow.repeated(node) is not None for name, node in calls.items()}
    assert again == {"g": True, "h": False, "k": True, "m": True}


@pytest.mark.parametrize(
    ("rest", "private"),
    [
        ("return s", True),
        ("return lambda: s", False),
        ("return (s for _ in xs)", False),
        ("return [s for _ in xs]", True),
        ("return locals()", False),
        ("def g():\n        nonlocal s", False),
    ],
)
def test_private_names(rest: str, private: bool) -> None:
    region = Region(f"def f(xs):\n    s = ''\n    {rest}\n")
    assert region.flow.private("s", region.scope) is private


@pytest.mark.parametrize(
    ("body", "fresh"),
    [
        ("s += x", True),
        ("s += x\nprint(s)", False),
        ("if s:\n    s += x", False),
        ("s = s + x + s", False),
        ("s += g(s)", False),
    ],
)
def test_fresh_accumulators(body: str, fresh: bool) -> None:
    region = in_loop(body)
    init = region.find(cst.Assign)
    assert region.flow.fresh("s", region.scope, init, region.find(cst.For)) is fresh


def test_reads_after_a_loop_include_those_of_an_outer_turn() -> None:
    region = Region("def f(xs):\n    for y in xs:\n        print(x)\n        for x in y:\n            pass\n")
    inner = [node for node in walk(region.tree.root) if isinstance(node, cst.For)][1]
    assert len(region.flow.reads_after("x", region.scope, inner)) == 1


@pytest.mark.parametrize(
    ("code", "free"),
    [
        ("for x in xs: g(x)", True),
        ("for x in xs: g(x)\n    return x", False),
        ("for x in xs: g(lambda: x)", False),
        ("x = 1\n    for x in xs: g(x)\n    return 1", True),
        ("x = 1\n    g(x)\n    for x in xs: g(x)", True),
        ("x = 1\n    for x in xs: g(x)\n    g(x)", False),
        ("for x in xs: g(x)\n    for x in xs: g(x)", True),
        ("global x\n    for x in xs: g(x)", False),
        ("for x in xs: g(locals())", False),
        ("for a.b in xs: g(x)", False),
        ("for x, (y, z) in xs: g(x)", True),
    ],
)
def test_loop_variables_that_nobody_else_sees(code: str, free: bool) -> None:
    region = Region(f"def f(xs, a):\n    {code}\n")
    assert region.flow.loop_variable_free(region.find(cst.For), region.scope) is free


def nesting(
    plain: st.SearchStrategy[str],
    nested: Callable[[st.SearchStrategy[str]], st.SearchStrategy[str]],
    leaves: int,
) -> st.SearchStrategy[str]:
    """Runs of plain statements and of compound ones, which `nested` makes of such runs."""

    def several(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(inner | nested(inner), min_size=1, max_size=4).map("\n".join)

    return st.recursive(plain, several, max_leaves=leaves)


def blocks() -> st.SearchStrategy[str]:
    """Bodies of nested loops that bind and read the names `x` and `y`."""
    plain = st.sampled_from(["use(x)", "use(y)", "x = 1", "pass"])
    heads = st.sampled_from(
        ["for x in xs:", "for y in xs:", "for x, y in xs:", "while x:", "for z in y:", "if x:"]
    )

    def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.builds(lambda head, body: f"{head}\n{textwrap.indent(body, ' ')}", heads, inner)

    return nesting(plain, nested, leaves=12)


@patient
@given(blocks())
def test_who_reads_a_loop_variable_is_what_a_plain_search_says(body: str) -> None:
    region = Region(f"def f(xs):\n for x in xs:\n{textwrap.indent(body, '  ')}\n")
    flow, scope = region.flow, region.scope
    for loop in walk(region.tree.root):
        for name in bound_names(loop.target) if isinstance(loop, cst.For) else ():
            expected = any(
                not any(
                    isinstance(home, cst.For)
                    and name in bound_names(home.target)
                    and not flow.inside(loop, home)
                    for home in flow.loops(read)
                )
                for read in flow.reads_after(name, scope, loop)
            )
            assert flow._read_outside(name, scope, loop) is expected


def leaves(statements: list[cst.CSTNode]) -> bool:
    """The plain definition: run them in turn; a way to the next turn of the loop ends the search."""
    for item in statements:
        match item:
            case cst.Break() | cst.Return() | cst.Raise():
                return True
            case (
                cst.SimpleStatementLine(body=parts)
                | cst.With(items=[cst.WithItem(item=cst.Name())], body=cst.IndentedBlock(body=parts))
            ) if leaves([*parts]):
                return True
            case cst.If(body=one, orelse=cst.Else(body=other)):
                if leaves([*one.body]) and leaves([*other.body]):
                    return True
        if any(isinstance(part, cst.Continue) for part in walk(item)):
            return False
    return False


def exits() -> st.SearchStrategy[str]:
    """Blocks of a loop's body that leave it, go on, or do either."""
    plain = st.sampled_from(["use(x)", "break", "return x", "raise x", "continue", "use(x); break"])
    heads = [
        "if x:\n{0}\nelse:\n{1}",
        "if x:\n{0}",
        "with x:\n{0}",
        "with suppress(E):\n{0}",
        "while x:\n{0}",
    ]

    def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        parts = inner.map(lambda body: textwrap.indent(body, " "))
        return st.builds(str.format, st.sampled_from(heads), parts, parts)

    return nesting(plain, nested, leaves=10)


@patient
@given(exits())
def test_what_leaves_a_block_is_what_a_plain_search_says(body: str) -> None:
    region = Region(f"def f(xs):\n for x in xs:\n{textwrap.indent(body, '  ')}\n")
    for block in walk(region.tree.root):
        if isinstance(block, cst.IndentedBlock):
            expected = {item: leaves([*block.body[index:]]) for index, item in enumerate(block.body)}
            assert leaving(block.body) == expected


def test_the_same_place_has_one_text() -> None:
    texts = {
        source: dotted(cst.parse_expression(source))
        for source in ("(a . b)", 'd["k"]', "d[ 'k' ]", "xs[-1]", "f().a")
    }
    assert texts == {
        "(a . b)": "a.b",
        'd["k"]': "d['k']",
        "d[ 'k' ]": "d['k']",
        "xs[-1]": "xs[-1]",
        "f().a": None,
    }
