"""A kind is known only when every binding agrees; the strict grade trusts nothing that could differ."""

import ast
import textwrap

import libcst as cst
import pytest

from perflint.analysis.facts import Facts
from perflint.analysis.kinds import Kinds
from perflint.analysis.names import Names
from perflint.analysis.tree import parse, walk
from perflint.model.source import Source


def kinds_at_return(code: str) -> tuple[str | None, str | None, str | None]:
    """Kind, strict kind and kind of the elements of what the last function returns."""
    source = Source("a.py", textwrap.dedent(code).encode())
    facts = Facts(source, ast.parse(source.text))
    tree = parse(source, facts.regions[-1])
    kinds = Kinds(Names(tree, facts))
    value = [node for node in walk(tree.root) if isinstance(node, cst.Return)][-1].value
    return kinds.of(value), kinds.of(value, strict=True), kinds.elements(value)


@pytest.mark.parametrize(
    ("expression", "kind", "strict"),
    [
        ("'a'", "str", "str"),
        ("b'a'", "bytes", "bytes"),
        ("f'{x}'", "str", "str"),
        ("'a' 'b'", "str", "str"),
        ("str(x)", "str", "str"),
        ("', '.join(x)", "str", "str"),
        ("'%s' % x", "str", "str"),
        ("'a' + x", "str", None),
        ("'a' + str(x)", "str", "str"),
        ("'a' * 3", "str", "str"),
        ("'-' * x", "str", None),
        ("x.encode()", "bytes", None),
        ("'a'.encode()", "bytes", "bytes"),
        ("[x] * len(x)", "list", "list"),
        ("list(x)", "list", "list"),
        ("x.split()", None, None),
        ("'a b'.split()", "list", "list"),
        ("'a' if x else 'b'", "str", "str"),
        ("'a' if x else 1", None, None),
        ("x[0]", None, None),
        ("'abc'[x]", "str", "str"),
        ("{}", "dict", "dict"),
        ("{1, 2} | {3}", "set", "set"),
        ("x < 1", "bool", "bool"),
        ("b'ab'[0]", "int", "int"),
        ("b'ab'[1:]", "bytes", "bytes"),
        ("json.dumps(x)", "str", "str"),
        ("(y := 'a')", "str", "str"),
    ],
)
def test_expressions(expression: str, kind: str | None, strict: str | None) -> None:
    assert kinds_at_return(f"import json\ndef f(x):\n    return {expression}\n")[:2] == (kind, strict)


@pytest.mark.parametrize(
    ("body", "kind", "strict"),
    [
        ("s = ''", "str", "str"),
        ("s = ''\n    s += x", "str", None),
        ("s = ''\n    s += str(x)", "str", "str"),
        ("s = ''\n    s = s + ',' + x", "str", None),
        ("s = ''\n    s = x", None, None),
        ("s = ''\n    for s in x: pass", None, None),
        ("for s in 'abc': pass", "str", "str"),
        ("for s in x.split(): pass", "str", None),
        ("s = []\n    s += x", "list", None),
        ("s = 0\n    s += x", None, None),
        ("s, t = '', 1", "str", "str"),
        ("s = ''\n    def g():\n        nonlocal s\n        s = 1", None, None),
        ("s = ''\n    del s", "str", "str"),
        ("with x as s: pass", None, None),
        ("s: str = x", "str", None),
        ("s = t\n    t = s", None, None),
        ("t = ''\n    s = t", "str", "str"),
        ("s = ''\n    s = s.strip()", "str", "str"),
        ("s = ()\n    s += (x,)", "tuple", "tuple"),
        ("import s", None, None),
    ],
)
def test_names(body: str, kind: str | None, strict: str | None) -> None:
    assert kinds_at_return(f"def f(x):\n    {body}\n    return s\n")[:2] == (kind, strict)


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ("s: str", "str"),
        ("s: 'str'", "str"),
        ("s: str = 'a'", "str"),
        ("s: str = None", None),
        ("s: str | None", None),
        ("s: list[int]", "list"),
        ("s: typing.List[int]", "list"),
        ("s=()", "tuple"),
        ("s", None),
        ("*s: str", None),
    ],
)
def test_parameters(parameter: str, kind: str | None) -> None:
    assert kinds_at_return(f"def f({parameter}):\n    return s\n")[0] == kind


def test_module_constants_and_annotated_functions() -> None:
    module = "SEP = ', '\ndef name() -> str: ...\n@cached\ndef other() -> str: ...\n"
    assert kinds_at_return(f"{module}def f():\n    return SEP\n")[0] == "str"
    assert kinds_at_return(f"{module}def f():\n    return name()\n")[0] == "str"
    assert kinds_at_return(f"{module}def f():\n    return other()\n")[0] is None
    assert (
        kinds_at_return(f"{module}def g():\n    global SEP\n    SEP = 1\ndef f():\n    return SEP\n")[0]
        is None
    )


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("'abc'", "str"),
        ("['a', 'b']", "str"),
        ("['a', 1]", None),
        ("[str(i) for i in x]", "str"),
        ("'a b'.split()", "str"),
        ("range(3)", "int"),
        ("sorted('abc')", "str"),
        ("words", "str"),
        ("x", None),
    ],
)
def test_elements(expression: str, kind: str | None) -> None:
    assert kinds_at_return(f"def f(x, words: list[str]):\n    return {expression}\n")[2] == kind


def test_a_long_chain_of_names_ends() -> None:
    chain = "\n    ".join(f"n{i} = n{i + 1}" for i in range(2000))
    assert kinds_at_return(f"def f():\n    {chain}\n    n2000 = ''\n    return n0\n")[0] is None
