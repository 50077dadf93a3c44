"""The same few lines for every rule: its fixtures and its documentation hold."""

from functools import cache
from pathlib import Path

import pytest

from perflint import testing
from perflint.analysis import engine
from perflint.analysis.registry import find, rules
from perflint.model.config import Config
from perflint.model.diagnostics import Finding
from perflint.model.source import Source

FOLDER = Path(__file__).parent.parent / "fixtures"
FIXTURES = [path for rule in rules() for path in testing.fixtures_of(FOLDER / rule.name)]


class Checker:
    """The engine, asked once about each text: the tester wants the same answers before and after each grade of fix."""

    def __init__(self) -> None:
        self.check = engine.check
        self.once = cache(self._once)
        self.reported: set[Finding] = set()

    def __call__(self, source: Source, config: Config, *, gates: bool = True) -> tuple[Finding, ...]:
        return self.once(source.data, source.path, config, gates)

    def _once(self, data: bytes, path: str, config: Config, gates: bool) -> tuple[Finding, ...]:
        found = self.check(Source(path, data), config, gates=gates)
        self.reported.update(found)
        return found


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_fixture(path: Path, update_golden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, checker = find(path.parent.name), Checker()
    assert rule is not None
    monkeypatch.setattr(engine, "check", checker)
    testing.check_fixture(rule, path, update_golden)
    for finding in checker.reported:
        keeps_the_house_style(finding)


def keeps_the_house_style(finding: Finding) -> None:
    text, fix = finding.message, finding.fix
    first = text.split()[0]
    assert "\n" not in text and not text.endswith("."), text
    assert not first[:1].isupper() or first.isupper() or "(" in first or "." in first, text
    assert len(text) <= 240, text
    assert fix is None or (fix.title and not fix.title.endswith(".")), fix


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_documentation(rule) -> None:
    testing.check_docs(rule)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_fixtures_show_wants_and_near_misses(rule) -> None:
    found = [testing.read_fixture(path, rule) for path in testing.fixtures_of(FOLDER / rule.name)]
    wants = [want for fixture in found for _, want in fixture.wants]
    assert wants
    assert sum(len(fixture.oks) for fixture in found) > 0
    fixed = [not want.endswith("nofix") for want in wants]  # as test_fixture finds them
    promised = {"never": not any(fixed), "sometimes": any(fixed), "always": all(fixed)}
    assert promised[rule.fix], f"fix={rule.fix!r}"
    if rule.fix != "never":
        assert any(fixture.runs for fixture in found), "a fixable rule needs `# run:` lines"
