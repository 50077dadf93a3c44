"""The closing lines of a run, and the table of `--statistics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from perflint.model.diagnostics import Applicability, Finding, Severity
from perflint.model.outcome import Outcome
from perflint.reports.style import Style


class Tally:
    """Counts the findings of a run as they pass through."""

    def __init__(self) -> None:
        self.files = 0
        self.flagged = 0  # files with findings
        self.may_change = False  # a file could not be read, or made perflint crash: tried again it may not
        self.suppressed = 0
        self.rules = Counter[tuple[str, str]]()  # by code and name
        self.severities = Counter[Severity]()
        self.fixes = Counter[Applicability]()
        self.fixable = Counter[str]()  # codes, with a fix that can be applied

    def through(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        for outcome in outcomes:
            self.add(outcome)
            yield outcome

    def add(self, outcome: Outcome) -> None:
        self.files += 1
        self.suppressed += len(outcome.suppressed)
        if outcome.active:
            self.flagged += 1
            self.may_change |= outcome.raw is None
            for finding in outcome.active:
                self._count(finding)

    def _count(self, finding: Finding) -> None:
        self.rules[finding.code, finding.name] += 1
        self.severities[finding.severity] += 1
        if finding.fix and finding.fix.applicability > Applicability.DISPLAY:
            self.fixes[finding.fix.applicability] += 1
            self.fixable[finding.code] += 1

    @property
    def total(self) -> int:
        return self.rules.total()

    def fails(self, level: Severity) -> bool:
        """Whether anything at or above `level` was found."""
        return any(severity >= level for severity in self.severities)


def summary(tally: Tally, took: str, style: Style) -> str:
    """What was found, by rule, what can be fixed, and how long it took."""
    lines = [f"{code} {count}" for (code, _), count in _often_first(tally)]
    lines = [", ".join(lines)] if lines else []
    levels = ", ".join(
        counted(tally.severities[level], level.label) for level in sorted(tally.severities, reverse=True)
    )
    found = (
        f"{counted(tally.total, 'finding')} ({levels})"
        if tally.total
        else style.paint("No findings", "green")
    )
    where = (
        f"{tally.flagged} of {counted(tally.files, 'file')}" if tally.total else counted(tally.files, "file")
    )
    silenced = f"; {tally.suppressed} suppressed" if tally.suppressed else ""
    lines.append(f"{found} in {where}, {took}{silenced}")
    safe, unsafe = tally.fixes[Applicability.SAFE], tally.fixes[Applicability.UNSAFE]
    if safe:
        lines.append(
            f"`perflint fix` fixes {safe} safely"
            + (f", {unsafe} more with `--unsafe-fixes`" if unsafe else "")
        )
    elif unsafe:
        lines.append(f"`perflint fix --unsafe-fixes` fixes {unsafe}; look at the result")
    return "\n".join(lines) + "\n"


def table(tally: Tally, style: Style) -> str:
    """The rules by how often they fired, a line each."""
    lines = []
    width = max((len(str(count)) for count in tally.rules.values()), default=0)
    for (code, name), count in _often_first(tally):
        fixable = f", {tally.fixable[code]} fixable" if tally.fixable[code] else ""
        lines.append(f"{count:>{width}}  {style.paint(code, 'bold')}  {name}{style.paint(fixable, 'dim')}\n")
    return "".join(lines)


def _often_first(tally: Tally) -> list[tuple[tuple[str, str], int]]:
    return sorted(tally.rules.items(), key=lambda item: (-item[1], item[0]))


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
