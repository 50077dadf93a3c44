"""The same few lines for every rule: its fixtures and its documentation hold."""

from pathlib import Path

import pytest

from perflint import testing
from perflint.analysis.registry import find, rules

FOLDER = Path(__file__).parent.parent / "fixtures"
FIXTURES = [path for rule in rules() for path in testing.fixtures_of(FOLDER / rule.name)]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_fixture(path: Path, update_golden: bool) -> None:
    rule = find(path.parent.name)
    assert rule is not None
    testing.check_fixture(rule, path, update_golden)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_documentation(rule) -> None:
    testing.check_docs(rule)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_fixtures_show_wants_and_near_misses(rule) -> None:
    found = [testing.read_fixture(path, rule) for path in testing.fixtures_of(FOLDER / rule.name)]
    assert sum(len(fixture.wants) for fixture in found) > 0
    assert sum(len(fixture.oks) for fixture in found) > 0
    if rule.fix != "never":
        assert any(fixture.runs for fixture in found), "a fixable rule needs `# run:` lines"
