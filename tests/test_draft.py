"""A draft admits whatever the facts would admit, and knows what it does not know."""

import ast
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from perflint.analysis import planning, registry
from perflint.analysis.draft import Draft
from perflint.analysis.facts import Facts
from perflint.analysis.marks import Mark
from perflint.analysis.planning import Plans
from perflint.analysis.regions import Region
from perflint.analysis.skeleton import Unclear
from perflint.model.config import Config
from perflint.model.source import Source

ALL = Config(select=("ALL",), extend_select=("micro", "pedantic"))
ROOT = Path(__file__).parent.parent
STDLIB = Path(sysconfig.get_path("stdlib"))


def draft(text: str) -> Draft:
    return Draft(Source("a.py", text.encode()))


def plans(facts: Facts) -> Plans:
    return planning._plans(facts, ALL, registry.select(ALL))


def hidden(source: Source) -> list[str]:
    """The rules that the facts plan somewhere and a draft does not; nothing where the text is unclear."""
    try:
        drafted = plans(Draft(source))
    except Unclear:
        return []
    settled = plans(Facts(source, ast.parse(source.text)))
    every = [settled.module, *settled.functions] if settled.module else settled.functions
    return [
        f"{rule.code} at line {source.line_of(plan.region.span.start)}"
        for plan in every
        for rule in plan.rules
        if not drafted.has(plan.region, rule)
    ]


def files(root: Path, pattern: str) -> list[object]:
    found = sorted(root.glob(pattern))
    return [pytest.param(path, id=str(path.relative_to(root))) for path in found]


@pytest.mark.parametrize("folder", files(ROOT, "fixtures/*"))
def test_no_fixture_is_hidden(folder: Path) -> None:
    for path in sorted(folder.glob("*.py")):
        assert hidden(Source(path.name, path.read_bytes())) == [], path.name


@pytest.mark.parametrize(
    "path",
    [
        *files(STDLIB, "asyncio/*.py"),
        *files(STDLIB, "email/*.py"),
        *(pytest.param(*item.values, id=item.id, marks=pytest.mark.slow) for item in files(STDLIB, "*.py")),
    ],
)
def test_nothing_is_hidden_in_the_standard_library(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert hidden(Source(str(path), path.read_bytes())) == []


@pytest.mark.parametrize(
    ("statement", "mark"),
    [
        ("t += e", Mark.ADD),
        ("t += 1 if e else 2", Mark.ADD),
        ("t = e + t", Mark.REBIND_ADD),
        ("a, t = 1, t + e", Mark.REBIND_ADD),
        ("t = t | e", Mark.REBIND_OR),
        ("t = f'{t}{e}'", Mark.REBIND_TEXT),
        ("t = '%s' % t", Mark.REBIND_TEXT),
        ("t = ''.join([t, e])", Mark.REBIND_TEXT),
        ("t = [*t, e]", Mark.REBIND_DISPLAY),
        ("t = *t, e", Mark.REBIND_DISPLAY),
        ("t = {1: 2, **t}", Mark.REBIND_DISPLAY),
        ("t = dict(t, k=e)", Mark.REBIND_COPY),
        ("t = t.union(\n            e)", Mark.REBIND_COPY),
        ("t += e,", Mark.ADD_ONE),
        ("t |= \\\n        {e}", Mark.ADD_ONE),
        ("t.extend([e])", Mark.ADD_ONE),
        ("t.append(e)", Mark.COLLECT),
        ("if e > 1:\n            # why\n            a[1:2].add(e)", Mark.COLLECT),
        ("(t\n        .append)(e)", Mark.COLLECT),
        ("a(\n        1).append(e)", Mark.COLLECT),
    ],
)
def test_marks_are_seen_in_the_text(statement: str, mark: Mark) -> None:
    text = f"def f(es):\n    for e in es:\n        {statement}\n"
    (region,) = Facts(Source("a.py", text.encode()), ast.parse(text)).regions
    assert mark in region.marks, "the table of this test is wrong"
    assert mark in draft(text).regions[0].marks


def test_numbers_and_comments_have_no_marks() -> None:
    text = "def f(es):\n    for e in es:\n        n += 1  # n += e\n        m += -0.5; print('x += y')\n"
    assert draft(text).regions[0].marks == set()


def test_a_region_is_parsed_alone_when_it_is_asked_for() -> None:
    facts = draft("import a\nclass A:\n    @b\n    def f(self): c()\n    d()\n")
    with pytest.raises(AttributeError):
        Region.node.__get__(facts.regions[0])  # type: ignore[attr-defined]
    assert isinstance(facts.regions[0].node, ast.FunctionDef) and facts.regions[0].node.name == "f"
    assert ast.unparse(facts.module.node) == "import a\n\nclass A:\n    pass\n    d()"


def test_what_stands_outside_of_functions_is_known() -> None:
    facts = draft("A = 1\nB = 2\nB = 3\ndef f():\n    global C\n    D = 4\nC = 5\n")
    values = {name: facts.constant(name) for name in "ABCD"}
    assert [name for name, value in values.items() if value is not None] == ["A"]
    assert facts.global_names == {"C"}


def test_attributes_that_are_only_numbers_grow_into_no_text() -> None:
    facts = draft(
        "class A:\n    def f(self):\n        self.n = 0\n        self.s = ''\n        self.n += 1\n"
    )
    assert facts.stores.anywhere("n") == []
    assert facts.stores.anywhere("s") == [{"str"}]
    grown = draft("class A:\n    s = ''\n    def f(self, e):\n        self.s += e\n")
    assert grown.stores.anywhere("s") == [{"str"}]
    with pytest.raises(Unclear):
        facts.stores.attribute(2, "n")


EXCERPTED = """
import queue

class A:
    first = None

    def start(self):
        self.first = queue.Queue()
        self.second: queue.Queue = None

    def work(self):
        return self.first.get()

    def other(self) -> int:
        self.third = 3

def run():
    global jobs
    jobs = A()
"""


@pytest.mark.parametrize(
    ("about", "functions"),
    [
        (lambda facts: facts.about(), set()),
        (lambda facts: facts.about("first"), {"start", "work"}),
        (lambda facts: facts.setting("first"), {"start"}),
        (lambda facts: facts.setting("second"), {"start"}),
        (lambda facts: facts.about("jobs"), {"run"}),
        (lambda facts: facts.about("third", "A"), {"other", "run"}),
    ],
)
def test_an_excerpt_holds_the_functions_that_it_is_about(
    about: Callable[[Facts], Facts], functions: set[str]
) -> None:
    excerpt, whole = about(draft(EXCERPTED)), Facts(Source("a.py", EXCERPTED.encode()), ast.parse(EXCERPTED))
    assert set(excerpt.outline.functions) == functions
    assert excerpt.bindings.keys() == whole.bindings.keys()
    assert excerpt.imports_anywhere == whole.imports_anywhere
    assert about(whole) is whole


def test_an_excerpt_says_of_an_attribute_what_the_file_says() -> None:
    texts = ["self.x = 1", "self.y, self.x = 1, 2", "with f() as self.x:\n            pass", "(self.x) = 1"]
    texts += ["self.x: int", "self.x: int = 1", "(self.y,\n         self.x) = f()", "self.x \\\n    = 1"]
    for text in texts:
        code = f"class A:\n    def f(self):\n        {text}\n    def g(self):\n        print(self.x)\n"
        outline = draft(code).setting("x").outline
        (owner,) = outline.classes["A"]
        assert len(outline.attribute(owner, "x")) == 1, text
        assert set(outline.functions) == {"f"}, text


def test_a_draft_refuses_to_guess() -> None:
    facts = draft("def f() -> str: ...\ndef g(): ...\n")
    assert facts.returns("h") is None
    assert ast.unparse(facts.returns("f") or ast.Pass()) == "str"
    for question in (lambda: facts.functions, lambda: facts.tree, lambda: facts.outline):
        with pytest.raises(Unclear):
            question()


def test_a_region_that_ast_refuses_is_unclear() -> None:
    facts = draft("def f():\n    x = = 1\n")
    with pytest.raises(Unclear):
        _ = facts.regions[0].node
