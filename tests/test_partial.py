"""What is known of a file that is not parsed as a whole, and when it is."""

import ast
from contextlib import suppress
from pathlib import Path

import pytest

from perflint.analysis import engine, syntax
from perflint.analysis.draft import Draft
from perflint.analysis.facts import Facts
from perflint.analysis.partial import Partial
from perflint.analysis.skeleton import Unclear
from perflint.model.config import Config
from perflint.model.source import Source

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").glob("*/*.py"))
LOOP = b"def squares(xs):\n    out = []\n    for x in xs:\n        out.append(x * x)\n    return out\n"


def names(facts: Facts) -> tuple[object, ...]:
    bound = {name: len(nodes) for name, nodes in facts.bindings.items()}
    return bound, facts.imports, facts.star_import, facts.global_names, facts.imports_anywhere


def test_names_outside_of_functions_are_those_of_the_whole_file() -> None:
    clear = 0
    for path in FIXTURES:
        source = Source(path.name, path.read_bytes())
        with suppress(Unclear):
            partial = Partial(Draft(source))
            assert names(partial) == names(Facts(source, ast.parse(source.text))), path
            clear += 1
    assert clear > len(FIXTURES) / 2


def parsed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> tuple[list[str], int]:
    """The codes that are found, and how often the whole file was parsed."""
    calls = []
    parse = syntax.parse
    monkeypatch.setattr(syntax, "parse", lambda source: calls.append(source) or parse(source))
    found = engine.check(Source("a.py", data), Config())
    return [item.code for item in found], len(calls)


def test_a_file_is_not_parsed_for_what_its_regions_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(monkeypatch, LOOP) == (["PRF209"], 0)
    assert parsed(monkeypatch, b"x = 1\n") == ([], 0)


def test_a_file_is_parsed_once_for_what_only_all_of_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = LOOP.replace(b"xs:", b"xs:  # noqa: PRF209")  # which statement the comment belongs to
    assert parsed(monkeypatch, noisy) == ([], 1)
