"""How a gate finds qualified names in the bytes, and which paths are tests."""

import ast

import pytest

from perflint.analysis.facts import Facts
from perflint.analysis.gates import Gate
from perflint.analysis.needles import needles
from perflint.analysis.places import is_test_file
from perflint.model.config import Config
from perflint.model.source import Source

CONFIG = Config()


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ({"datetime": {"datetime.datetime"}}, (b"datetime.strptime",)),
        ({"dt": {"datetime"}}, (b"dt.datetime.strptime",)),
        ({"dt": {"datetime", "pendulum"}}, (b"dt.datetime.strptime",)),
        ({"datetimes": {"datetimes"}}, ()),
        ({}, ()),
    ],
)
def test_needles_follow_the_imports(imports: dict[str, set[str]], expected: tuple[bytes, ...]) -> None:
    assert needles(["datetime.datetime.strptime"], imports) == expected


def admitted(gate: Gate, text: str, config: Config = CONFIG) -> list[bool]:
    """Whether the gate admits the module's own code, then each function."""
    source = Source("test.py", text.encode())
    facts = Facts(source, ast.parse(text))
    resolved = gate.resolved(config, facts)
    regions = (facts.module, *facts.regions)
    return [resolved is not None and region in resolved.admitted(facts) for region in regions]


def test_a_name_that_is_not_imported_is_in_no_region() -> None:
    gate = Gate(names=("re.compile",))
    assert admitted(gate, "import re\ndef f(): re.compile('')\ndef g(): x.compile('')\n") == [
        False,
        True,
        False,
    ]
    assert admitted(gate, "def f(): re.compile('')\n") == [False, False]
    assert admitted(gate, "def f():\n    from re import compile as c\n    c('')\n") == [False, True]


def test_options_add_names() -> None:
    gate = Gate(names=("re.compile",), option="costly_objects")
    config = Config(costly_objects=("acme.Parser",))
    assert admitted(gate, "import acme\ndef f(): acme.Parser()\n", config) == [False, True]


def test_a_sketch_is_not_asked_about_names_that_users_add() -> None:
    gate = Gate(names=("re.compile",), option="costly_objects", sketch=lambda sketch: False)
    text = "import re, acme\nre.compile(acme.Parser())\n"
    facts = Facts(Source("test.py", text.encode()), ast.parse(text))
    added = gate.resolved(Config(costly_objects=("acme.Parser",)), facts)
    plain = gate.resolved(CONFIG, facts)
    assert added is not None and added.sketch is None
    assert plain is not None and plain.sketch is gate.sketch


def test_what_a_file_holds_is_looked_for_once() -> None:
    text = "import re as expressions\nexpressions.compile('')\n"
    facts = Facts(Source("test.py", text.encode()), ast.parse(text))
    names = ("re.compile", "json.loads")
    assert facts.written(names) == {"expressions.compile"} and facts.written(names) is facts.written(names)
    assert facts.holds(b"compile") and not facts.holds(b"loads")
    facts.source = Source("test.py", b"")
    assert facts.holds(b"compile")


def test_inner_gates_pass_over_module_code_outside_of_loops() -> None:
    gate = Gate(text=(b"set([",), inner=True)
    assert admitted(gate, "x = set([1])\ndef f(): return set([1])\n") == [False, True]
    assert admitted(gate, "for x in y:\n    z = set([1])\n") == [True]


def test_loop_needles_count_only_in_loops() -> None:
    gate = Gate(loop_text=(b"class",))
    assert admitted(gate, "class A: pass\ndef f():\n    while 1:\n        class B: pass\n") == [False, True]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("test_a.py", True),
        ("src/a_test.py", True),
        ("conftest.py", True),
        ("tests/helpers.py", True),
        ("src/latest.py", False),
        ("src/testing.py", False),
        ("contest.py", False),
    ],
)
def test_test_files(path: str, expected: bool) -> None:
    assert is_test_file(path) is expected


@pytest.mark.parametrize(
    ("gate", "text", "hopeful"),
    [
        (Gate(text=(b".pop(",)), "xs.pop(0)", True),
        (Gate(text=(b".pop(",)), "xs.popleft(0)", False),
        (Gate(text=(b"except Exception",)), "except Exceptions: ..", True),  # the edge may be part of a word
        (Gate(text=(b"except Exception",)), "except BaseException: ..", False),
        (Gate(text=(b"{*",)), "a = {1, *b}", False),
        (Gate(names=("re.compile",)), "from re import compile as c", True),
        (Gate(names=("re.compile",)), "compile('', '', 'exec')", False),
        (Gate(beside=(("aiohttp", b"debug"),)), "import aiohttp; Debug = nodebugging", True),
        (Gate(beside=(("aiohttp", b"debug"),)), "import asyncio; debug", False),
        (Gate(names=("re.compile",), option="costly_objects"), "from acme import Parser", True),
    ],
)
def test_what_a_file_must_hold(gate: Gate, text: str, hopeful: bool) -> None:
    source = Source("a.py", text.encode())
    config = Config(costly_objects=("acme.Parser",))
    assert any(need.met(source) for need in gate.needs(config)) is hopeful
