"""Checks one file. Pure: no disk, no clock, no output, nothing global written.

The command line, flake8, worker processes and tests all call `inspect` or `check`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import libcst as cst

from perflint.analysis import planning, registry, suppress, syntax
from perflint.analysis.depth import allow_recursion, too_deep
from perflint.analysis.facts import Facts
from perflint.analysis.planning import Plan
from perflint.analysis.rule import Check, Context, Rule
from perflint.analysis.tree import TreeError, parse, walk
from perflint.model.config import Config
from perflint.model.diagnostics import Finding, Severity, Span
from perflint.model.source import Source

NOWHERE = Span(0, 0)


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
    draft = planning.drafted(source, config) if gates else None
    if (
        draft is not None
        and not draft.rules
        and not suppress.named(source)
        and (tree or syntax.parses(source))
    ):
        return Checked(())
    try:
        tree = tree if tree is not None else syntax.parse(source)
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        return Checked((unreadable(source, error),))
    facts = Facts(source, tree)
    if gates:
        plans = planning.settled(facts, config, draft)
    else:
        plans = [planning.Plan(facts.module, planning.every_rule(source, config))]
    found = set(_findings(facts, config, plans))
    facts.forget()
    wanted = sorted((item for item in found if item.severity >= config.min_severity), key=_place)
    known = registry.runs_all(config)
    result = suppress.apply(source, tree, wanted, known, noqa=noqa)
    unused = (
        result.unused if registry.reports(config, "PRF002") and config.min_severity <= Severity.INFO else ()
    )
    return Checked(tuple(sorted((*result.active, *unused), key=_place)), result.suppressed)


def own(code: str, message: str, at: Span = NOWHERE, level: Severity = Severity.ERROR) -> Finding:
    """One of perflint's own findings about a file that it could not check."""
    return Finding(code, registry.OWN[code], level, at, message)


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


def _findings(facts: Facts, config: Config, plans: Sequence[Plan]) -> Iterator[Finding]:
    depths = [(too_deep(plan.region.node), plan) for plan in plans]
    try:
        found = [item for deep, plan in depths if not deep for item in _region(facts, config, plan)]
    except TreeError:  # a function that cannot be read alone
        try:
            found = list(_region(facts, config, Plan(facts.module, planning.rules_of(plans))))
        except TreeError as error:
            yield own("PRF000", f"not analysed: LibCST cannot read the file ({error})", level=Severity.INFO)
            return
    for deep, plan in depths:
        if deep:
            start = plan.region.span.start
            yield own("PRF000", "not analysed: nested too deeply", Span(start, start), Severity.INFO)
    yield from found


def _region(facts: Facts, config: Config, plan: Plan) -> Iterator[Finding]:
    """What the rules find in one region, whose tree goes when they are done: a file's trees never stand
    beside each other. Raise TreeError where LibCST cannot read it."""
    context = Context(facts.source, facts, parse(facts.source, plan.region), config)
    yield from _visit(context, plan.rules)
    context.forget()


def _visit(context: Context, rules: Iterable[Rule]) -> Iterator[Finding]:
    """Walk the tree once and call the checks of each node's type."""
    table: dict[type[cst.CSTNode], list[tuple[Rule, Check]]] = {}
    for rule in rules:
        for kind, checks in rule.checks.items():
            table.setdefault(kind, []).extend((rule, item) for item in checks)
    for node in walk(context.tree.root):
        for rule, run in table.get(type(node), ()):
            try:
                yield from list(run(node, context))
            except (RecursionError, TreeError):
                yield own(
                    "PRF000", "not analysed in full: an expression is nested too deeply", level=Severity.INFO
                )
                return
            except Exception as error:  # one broken rule must not end the run
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                yield own("PRF001", f"{rule.code} crashed: {reason}", _start(context, node))


def _start(context: Context, node: cst.CSTNode) -> Span:
    start = context.tree.span(node).start
    return Span(start, start)
