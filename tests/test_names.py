"""Scopes follow Python's own rules."""

import ast
import textwrap

import libcst as cst
import pytest

from perflint.analysis.facts import Facts
from perflint.analysis.names import Names
from perflint.analysis.tree import Tree, parse, walk
from perflint.model.source import Source


def names_of(code: str, whole: bool = False) -> tuple[Tree, Names]:
    source = Source("a.py", textwrap.dedent(code).encode())
    facts = Facts(source, ast.parse(source.text))
    tree = parse(source, facts.module if whole or not facts.regions else facts.regions[0])
    return tree, Names(tree, facts)


def call_of(tree: Tree, argument: str) -> cst.Call:
    """The call whose only argument is this number, to point at a place in the code."""
    return next(
        node
        for node in walk(tree.root)
        if isinstance(node, cst.Call) and [tree.code(arg.value) for arg in node.args] == [argument]
    )


@pytest.mark.parametrize(
    ("code", "qualified"),
    [
        ("def f(): sum(1)", "builtins.sum"),
        ("from functools import reduce as fold\ndef f(): fold(1)", "functools.reduce"),
        ("import os.path\ndef f(): os.path.join(1)", "os.path.join"),
        ("import numpy as np\ndef f(): np.append(1)", "numpy.append"),
        ("def f():\n    from math import sqrt\n    sqrt(1)", "math.sqrt"),
        ("def f(sum): sum(1)", None),
        ("def sum(x): ...\ndef f(): sum(1)", None),
        ("from numpy import *\ndef f(): sum(1)", None),
        ("def g():\n    global sum\n    sum = 1\ndef f(): sum(1)", None),
        ("import a as m\nimport b as m\ndef f(): m.g(1)", None),
        ("from .here import g\ndef f(): g(1)", ".here.g"),
        ("def f(x): x.sum(1)", None),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_qualified_names(code: str, qualified: str | None, whole: bool) -> None:
    source = Source("a.py", code.encode())
    facts = Facts(source, ast.parse(code))
    region = facts.module if whole else facts.regions[-1]
    tree = parse(source, region)
    assert Names(tree, facts).qualified(call_of(tree, "1").func) == qualified


def test_a_class_body_is_invisible_to_its_methods() -> None:
    tree, names = names_of("class A:\n    s = ''\n    def f(self): print(1, s)\n", whole=True)
    method = next(node for node in walk(tree.root) if isinstance(node, cst.FunctionDef))
    assert names.inside(method).owner("s") is None


def test_nonlocal_bindings_belong_to_the_outer_function() -> None:
    tree, names = names_of(
        """
        def f():
            def g():
                nonlocal s
                s = 1
            s = ''
            return g
        """
    )
    outer = names.inside(tree.root)
    assert [type(binding.node).__name__ for binding in outer.bindings["s"]] == ["Assign", "Assign"]
    assert [scope.kind for scope in outer.captures("s")] == ["function"]


def test_comprehensions_own_their_variables_but_not_their_first_iterable() -> None:
    tree, names = names_of("def f(x):\n    return [x for x in x if (y := x)]\n")
    outer = names.inside(tree.root)
    assert len(outer.reads["x"]) == 1 and "y" in outer.bindings
    assert outer.captures("x") == []


def test_tuple_assignments_pair_up() -> None:
    tree, names = names_of("def f():\n    a, b = '', 0\n    (c, *d) = g()\n")
    bindings = names.inside(tree.root).bindings
    assert tree.code(bindings["a"][0].value) == "''" and bindings["c"][0].value is None


@pytest.mark.parametrize(
    "statement",
    [
        "with g() as s: pass",
        "for s in g(): pass",
        "import s",
        "def s(): ...",
        "class s: ...",
        "s: int = 1",
        "(s := 1)",
        "del s",
        "[s, t] = g()",
        "try: pass\n    except E as s: pass",
        "match g():\n        case [s]: pass",
        "match g():\n        case {'a': 1, **s}: pass",
        "match g():\n        case A(b=s): pass",
        "match g():\n        case [*s]: pass",
        "match g():\n        case 1 as s: pass",
    ],
)
def test_every_way_to_bind(statement: str) -> None:
    tree, names = names_of(f"def f():\n    {statement}\n")
    assert "s" in names.inside(tree.root).bindings
