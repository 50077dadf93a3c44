"""Regions parse alone, and their spans are the file's."""

import ast

import libcst as cst
import pytest

from perflint.analysis.facts import Facts
from perflint.analysis.tree import Tree, TreeError, parse, walk
from perflint.model.diagnostics import Span
from perflint.model.source import Source


def trees_of(text: str) -> list[Tree]:
    source = Source("a.py", text.encode())
    return [parse(source, region) for region in Facts(source, ast.parse(source.text)).regions]


@pytest.mark.parametrize(
    "text",
    [
        "def f(é):\n    return (é, 'ü')\n",
        "class A:\r\n    def f(self):\r\n        return (1, 'ü')\r\n",
        "class A:\n\t@property\n\tdef f(self):\n\t\treturn (1,\n# far left\n2)",
        "x = 1\n\x0c\ndef f():\n    return (1, 'ü')\n",
        "if x:\n        def f(): return (1, 'ü')",
        "def f():\n    try:\n        pass\n    except E :\n        return (1, 'ü')\n",
        "class A:\n    '''\n doc '''\n    def f(self):\n        '''\nfar left\n'''\n        return (1, 'ü')\n",
    ],
)
def test_spans_point_into_the_file(text: str) -> None:
    (tree,) = trees_of(text)
    value = next(node for node in walk(tree.root) if isinstance(node, cst.Return)).value
    assert value is not None
    wanted = text.encode()[text.encode().index(b"(", text.encode().index(b"return")) :].split(b")")[0] + b")"
    assert tree.code(value).encode() == wanted


def test_spans_hold_the_brackets_of_their_own() -> None:
    (tree,) = trees_of("def f(a):\n    return ((a) + (1))\n")
    codes = {
        type(node).__name__: tree.code(node)
        for node in walk(tree.root)
        if isinstance(node, cst.BaseExpression)
    }
    assert codes["BinaryOperation"] == "((a) + (1))" and codes["Integer"] == "(1)"


def test_parents_end_at_the_root() -> None:
    (tree,) = trees_of("class A:\n    def f(self):\n        pass\n")
    node = next(node for node in walk(tree.root) if isinstance(node, cst.Pass))
    assert list(tree.ancestors(node))[-1] is tree.root and tree.parent(tree.root) is None


def test_a_hash_in_a_string_is_no_comment() -> None:
    (tree,) = trees_of("def f():\n    a = '#'\n    b = 1  # yes\n")
    first, second = (tree.span(node) for node in walk(tree.root) if isinstance(node, cst.SimpleStatementLine))
    assert not tree.comments(first)
    assert tree.comments(Span(second.start, len(tree.source.data)))


def test_what_libcst_cannot_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("a.py", b"def f(): pass\n")
    facts = Facts(source, ast.parse(source.text))
    monkeypatch.setattr(source, "data", b"def f(: pass\n")
    with pytest.raises(TreeError):
        parse(source, facts.regions[0])


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("a.put", "a.put"),
        ("(a\n     .put)", "(a .put)"),
        ("a[very_long_name_of_a_key][another_long_name].put", "(...).put"),
        ("first_name + second_name + third_name + fourth", "first_name + second_name + third_name + ..."),
    ],
)
def test_long_code_is_cut_short_for_messages(code: str, shown: str) -> None:
    (tree,) = trees_of(f"def f():\n    return {code}\n")
    value = next(node for node in walk(tree.root) if isinstance(node, cst.Return)).value
    assert value is not None and tree.shown(value) == shown
