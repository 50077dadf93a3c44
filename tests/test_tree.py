"""Regions parse alone, and their spans are the file's."""

import ast
import sysconfig
from pathlib import Path

import libcst as cst
import pytest
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from perflint.analysis.depth import allow_recursion
from perflint.analysis.facts import Facts
from perflint.analysis.spans import Extents
from perflint.analysis.tree import Tree, TreeError, parse, walk
from perflint.model.diagnostics import Span
from perflint.model.source import Source

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").iterdir())
STDLIB = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


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


AWKWARD = """\
#!/usr/bin/env python
@ first
@second ( 1 , )  # é
async def f ( a, / , b : int=1, * , c = ( 2 ) , ** d ) -> "ü" :
\tglobal x , y
\tdel ( a ) , b [ 1 : 2 : 3 , ... ] ; x = y = lambda * a : ( yield ) ;
\twith ( open ( a ) as b , c ) : pass
\tasync with a as b, c as ( d, e ) :
\t\tasync for ( i ) in ( [ * a , { ** b , 'ä' : -1 } ] ) : await i
\t\telse : assert ( i ) , f"{ a !r: >{ b } }" 'ö' r'x'
\ttry :
\t\traise E from None
\texcept ( A , B ) as c : d [ 0 ] : int = 1 ; return
\telse :
\t\tnonlocal_ = ( a if b else c ) . d ( * e , k = ( yield from f ) )
\tfinally :
\t\t# alone
\t\tfrom . import ( a as b , # why
\t\t\tc , )
class A ( B , metaclass = C ) : x : int ; y += 1 \\
  if ( z := 3 ) else 4

match a , b :
  case { 'k' : [ 1 , * _ ] , ** r } | P ( x = ( Q ( ) as q ) ) if r : pass
  case ( None ) | -1 | a . b :
     while not ( a and b or c not in d ) : break
     else : continue
  # end
x = [ ( i ) async for i in j if k for l in m ]
type X [ T : int , * Ts ] = dict [ T , * Ts ]"""


WHITE = (cst.BaseParenthesizableWhitespace, cst.TrailingWhitespace, cst.EmptyLine, cst.Newline, cst.Comment)


def assert_spans(text: str) -> None:
    """Ours are those of LibCST, for each node of the text that is no white space."""
    allow_recursion()
    module = cst.parse_module(text)
    wanted = MetadataWrapper(module, unsafe_skip_copy=True).resolve(ByteSpanPositionProvider)
    found = Extents(module, text.isascii())
    differing = [
        node
        for node, span in wanted.items()
        if not isinstance(node, WHITE) and found[node] != (span.start, span.start + span.length)
    ]
    assert not differing
    assert found.comments == sorted(
        span.start for node, span in wanted.items() if isinstance(node, cst.Comment)
    )


@pytest.mark.parametrize("text", ["", "\n", "x", "x\r\n", "\ufeffx = 'é'", "# only", AWKWARD, AWKWARD + "\n"])
def test_spans_are_those_of_libcst(text: str) -> None:
    assert_spans(text)


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_spans_of_fixtures_are_those_of_libcst(folder: Path) -> None:
    assert_spans(max(folder.glob("*.py"), key=lambda path: path.stat().st_size).read_text())


@pytest.mark.slow
@pytest.mark.parametrize("path", STDLIB, ids=lambda path: path.stem)
def test_spans_of_the_library_are_those_of_libcst(path: Path) -> None:
    assert_spans(path.read_text())
