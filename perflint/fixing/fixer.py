"""Applies the fixes of findings, in rounds, until the text settles.

`check` is handed in, so that the command line, the editor and the tests all fix by the same
law: a fix is done whole or not at all, a fix that would break the file or leave its own
finding standing is put back and reported, and no byte outside the edits changes.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from perflint.fixing.edits import EditError, Patch, apply
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span
from perflint.model.source import Source, SourceError

__all__ = ["ROUNDS", "Check", "Fixed", "apply", "fix"]

Check = Callable[[Source], tuple[Finding, ...]]

ROUNDS = 10

_IMPORT = re.compile(r"[\s;]*(?:import|from) ")


class Fixed(NamedTuple):
    """What came of fixing one file; `source` is the very same object where nothing was applied."""

    source: Source
    applied: tuple[Finding, ...]  # with the spans of the text they were applied to
    remaining: tuple[Finding, ...]  # what `check` says of the fixed text
    defects: tuple[Finding, ...]  # PRF001, one for each fix that was put back
    rounds: int  # those that changed something


class _Refused(Exception):
    """Why these fixes cannot be applied together, as the end of a sentence about one of them."""


class _State(NamedTuple):
    """A text and what `check` says of it."""

    source: Source
    findings: tuple[Finding, ...]


def fix(source: Source, check: Check, allow: Applicability = Applicability.SAFE) -> Fixed:
    """Apply every fix that promises at least `allow`, for at most ROUNDS rounds."""
    state = _State(source, check(source))
    judge = _Judge(source, check)
    applied: list[Finding] = []
    refused: list[tuple[Finding, str]] = []
    rounds = 0
    while rounds < ROUNDS and (batch := _batch(state.findings, allow, [finding for finding, _ in refused])):
        turn = _Round(state, judge)
        turn.settle(batch)
        refused = [(_follow(finding, turn.patch), why) for finding, why in (*refused, *turn.refused)]
        applied += turn.kept
        rounds += bool(turn.kept)
        state = turn.outcome
    defects = tuple(_defect(finding, why) for finding, why in refused)
    return Fixed(state.source, tuple(applied), state.findings, defects, rounds)


def _batch(findings: Iterable[Finding], allow: Applicability, refused: Sequence[Finding]) -> list[Finding]:
    """The findings whose fixes can be applied side by side, first come first served."""
    ground = _Ground()
    return [
        finding
        for finding in sorted(findings, key=lambda finding: (finding.span, finding.code))
        if finding.fix is not None
        and finding.fix.edits
        and finding.fix.applicability >= max(allow, Applicability.UNSAFE)
        and not any(_kind(finding) == _kind(other) and finding.span.overlaps(other.span) for other in refused)
        and ground.take(finding.fix)
    ]


def _kind(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.message


def _follow(finding: Finding, patch: Patch) -> Finding:
    return finding._replace(span=patch.moved(finding.span))


def _defect(finding: Finding, why: str) -> Finding:
    message = f"the fix of {finding.code} {why}; left as it was"
    return Finding("PRF001", "rule-crashed", Severity.ERROR, finding.span, message)


class _Ground:
    """The parts of a text that fixes have claimed in one round."""

    def __init__(self) -> None:
        self.claims: list[Span] = []  # disjoint, sorted
        self.edits: set[Edit] = set()

    def take(self, fix: Fix) -> bool:
        """Claim what `fix` needs, or nothing where another fix was there first.

        A fix claims all from its first edit to its last, because it was made for the text
        between them too. Imports stand apart, and one that several fixes need is shared.
        """
        if self.edits.issuperset(fix.edits):
            return True
        imports = {edit for edit in fix.edits if _adds_import(edit)}
        claims = [edit.span for edit in imports - self.edits]
        if own := [edit.span for edit in fix.edits if edit not in imports]:
            claims.append(Span(min(own).start, max(span.end for span in own)))
        if any(self._taken(claim) for claim in claims):
            return False
        for claim in claims:
            insort(self.claims, claim)
        self.edits.update(fix.edits)
        return True

    def _taken(self, claim: Span) -> bool:
        at = bisect_left(self.claims, claim)
        return any(claim.overlaps(near) for near in self.claims[max(at - 1, 0) : at + 1])


def _adds_import(edit: Edit) -> bool:
    return edit.span.start == edit.span.end and _IMPORT.match(edit.text) is not None


class _Judge:
    """Says whether text may take the place of the original."""

    def __init__(self, original: Source, check: Check) -> None:
        self.original = original
        self.check = check

    def patched(self, base: Source, patch: Patch) -> _State:
        """The patched text, checked. Raise _Refused where it is not as sound as the original."""
        data = patch.apply()
        try:
            source = Source(base.path, base.raw(data))
        except SourceError as error:
            raise _Refused(f"would break this file ({error})") from None
        if source.data != data or source.encoding != base.encoding or not _compiles(source, self._flags):
            raise _Refused("would break this file")
        return _State(source, self.check(source))

    @cached_property
    def _flags(self) -> int:
        """Fixed text must compile where the original does, and parse in any case."""
        return 0 if _compiles(self.original, 0) else ast.PyCF_ONLY_AST


def _compiles(source: Source, flags: int) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source.text, source.path, "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


class _Round:
    """Applies a batch of fixes to one text, and finds those that must be left out by halving it."""

    def __init__(self, base: _State, judge: _Judge) -> None:
        self.base = base
        self.judge = judge
        self.patch = Patch(base.source.data, ())
        self.outcome = base
        self.kept: list[Finding] = []
        self.refused: list[tuple[Finding, str]] = []

    def settle(self, batch: list[Finding]) -> None:
        """Keep what can be kept of `batch`; what fails only in company waits for the next round."""
        together = [*self.kept, *batch]
        try:
            self.patch, self.outcome = self._attempt(together)
            self.kept = together
        except _Refused:
            if len(batch) == 1:
                self._question(batch[0])
            else:
                middle = len(batch) // 2
                self.settle(batch[:middle])
                self.settle(batch[middle:])

    def _question(self, finding: Finding) -> None:
        try:
            self._attempt([finding])
        except _Refused as refusal:
            self.refused.append((finding, str(refusal)))

    def _attempt(self, findings: list[Finding]) -> tuple[Patch, _State]:
        source = self.base.source
        edits = [edit for finding in findings if finding.fix for edit in finding.fix.edits]
        try:
            patch = Patch(source.data, edits, source.newline)
        except EditError as error:
            raise _Refused(f"is not valid ({error})") from None
        state = self.judge.patched(source, patch)
        self._demand_settled(findings, patch, state)
        return patch, state

    def _demand_settled(self, findings: list[Finding], patch: Patch, after: _State) -> None:
        """Each fix must leave fewer findings of its kind at its place than there were."""
        old, new = _starts(self.base.findings), _starts(after.findings)
        for finding in findings:
            before_span, after_span = patch.window(finding.span)
            kind = _kind(finding)
            if _within(new[kind], after_span) >= max(1, _within(old[kind], before_span)):
                raise _Refused("leaves what it should mend")


def _starts(findings: Iterable[Finding]) -> defaultdict[tuple[str, str], list[int]]:
    starts: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: finding.span):
        starts[_kind(finding)].append(finding.span.start)
    return starts


def _within(starts: list[int], span: Span) -> int:
    return bisect_left(starts, span.end) - bisect_left(starts, span.start)
