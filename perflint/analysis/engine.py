"""Checks one file. Pure: no disk, no clock, no output, nothing global written.

The command line, flake8, worker processes and tests all call `inspect` or `check`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from perflint.analysis import planning, registry, suppress, syntax
from perflint.analysis.depth import allow_recursion
from perflint.analysis.facts import Facts
from perflint.analysis.planning import Plan
from perflint.analysis.registry import own
from perflint.model.config import Config
from perflint.model.diagnostics import Finding, Severity, Span
from perflint.model.source import Source


class Checked(NamedTuple):
    """What was found in one file, sorted by place and code."""

    active: tuple[Finding, ...]
    suppressed: tuple[Finding, ...] = ()


def check(source: Source, config: Config, *, gates: bool = True) -> tuple[Finding, ...]:
    """The findings of one file that no comment suppresses."""
    return inspect(source, config, gates=gates).active


def inspect(
    source: Source, config: Config, *, tree: ast.Module | None = None, noqa: bool = True, gates: bool = True
) -> Checked:
    """Check one file.

    `tree` saves a parse where the caller has one; `noqa=False` leaves `# noqa` to the caller, as
    flake8 wants; `gates=False` shows every rule the whole module (slow; the result is the same).
    """
    allow_recursion()
    try:
        draft = planning.drafted(source, config, tree) if gates else None
        if draft is not None and (tree or planning.is_python(draft)):
            if not draft.rules and not suppress.named(source):
                return Checked(())
            partial = planning.partial(draft)
            if partial is not None:
                return _checked(partial, config, draft.functions, noqa)
        facts = planning.whole(draft) or Facts(source, tree if tree is not None else syntax.parse(source))
    except syntax.Unreadable as error:
        return Checked((unreadable(source, error.__cause__ or error),))
    if gates:
        plans = planning.settled(facts, config, draft)
    else:
        plans = [Plan(facts.module, planning.every_rule(source, config))]
    return _checked(facts, config, plans, noqa)


def _checked(facts: Facts, config: Config, plans: Sequence[Plan], noqa: bool) -> Checked:
    found = _found(facts, config, plans)
    facts.forget()
    wanted = sorted((item for item in found if item.severity >= config.min_severity), key=_place)
    known = registry.runs_all(config)
    result = suppress.apply(facts, wanted, known, noqa=noqa)
    unused = (
        result.unused if registry.reports(config, "PRF002") and config.min_severity <= Severity.INFO else ()
    )
    return Checked(tuple(sorted((*result.active, *unused), key=_place)), result.suppressed)


def _found(facts: Facts, config: Config, plans: Sequence[Plan]) -> set[Finding]:
    if not plans:
        return set()
    from perflint.analysis.visits import findings  # with LibCST, which takes longer to load than a small file

    return set(findings(facts, config, plans))


def prepare(config: Config) -> None:
    """Load LibCST and all rules of the configuration; else each is loaded when a file needs it."""
    from perflint.analysis.visits import checks

    checks(registry.select(config))


def unreadable(source: Source, error: BaseException) -> Finding:
    """PRF000 for a file that does not parse, at the line that the parser names."""
    at = Span(0, 0)
    if isinstance(error, SyntaxError) and error.lineno and error.lineno <= len(source.line_starts):
        start = source.line_starts[error.lineno - 1]
        line = source.line_text(error.lineno)
        column = len(line[: max((error.offset or 1) - 1, 0)].encode())
        at = Span(start + column, start + column)
    reason = error.msg if isinstance(error, SyntaxError) else str(error) or "it is nested too deeply"
    return own("PRF000", f"the file does not parse: {reason}", at)


def _place(finding: Finding) -> tuple[int, int, str, str]:
    return *finding.span, finding.code, finding.message
