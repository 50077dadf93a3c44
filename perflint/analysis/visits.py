"""What the rules find in the regions that are planned: the half of the engine that needs LibCST."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import libcst as cst

from perflint.analysis.facts import Facts
from perflint.analysis.planning import Plan, rules_of
from perflint.analysis.registry import own
from perflint.analysis.rule import Check, Context, Rule
from perflint.analysis.syntax import Unreadable
from perflint.analysis.tree import TreeError, parse, walk
from perflint.model.config import Config
from perflint.model.diagnostics import Finding, Severity, Span


def findings(facts: Facts, config: Config, plans: Sequence[Plan]) -> Iterator[Finding]:
    """What each plan's rules find in its region, in no order."""
    deep: list[Plan] = []
    found: list[Finding] = []
    try:
        for plan in plans:
            if plan.region.deep:
                deep.append(plan)
            else:
                found += _region(facts, config, plan)
            plan.region.forget()
    except TreeError:  # a function that cannot be read alone
        deep = [plan for plan in plans if plan.region.deep]
        try:
            found = list(_region(facts, config, Plan(facts.module, rules_of(plans))))
        except TreeError as error:
            yield own("PRF000", f"not analysed: LibCST cannot read the file ({error})", level=Severity.INFO)
            return
    for plan in deep:
        start = plan.region.span.start
        yield own("PRF000", "not analysed: nested too deeply", Span(start, start), Severity.INFO)
    yield from found


def _region(facts: Facts, config: Config, plan: Plan) -> Iterator[Finding]:
    """What the rules find in one region, whose tree goes when they are done: a file's trees never stand
    beside each other. Raise TreeError where LibCST cannot read it."""
    context = Context(facts.source, facts, parse(facts.source, plan.region), config)
    yield from _visit(context, plan.rules)
    context.forget()


def checks(rules: Iterable[Rule]) -> dict[type[cst.CSTNode], list[tuple[Rule, Check]]]:
    """Those of the rules, whose modules are loaded, by the type of node that they look at."""
    table: dict[type[cst.CSTNode], list[tuple[Rule, Check]]] = {}
    for rule in rules:
        for kind, found in rule.checks.items():
            table.setdefault(kind, []).extend((rule, check) for check in found)
    return table


def _visit(context: Context, rules: Iterable[Rule]) -> Iterator[Finding]:
    """Walk the tree once and call the checks of each node's type."""
    table = checks(rules)
    for node in walk(context.tree.root):
        for rule, run in table.get(type(node), ()):
            try:
                yield from list(run(node, context))
            except (RecursionError, TreeError):
                yield own(
                    "PRF000", "not analysed in full: an expression is nested too deeply", level=Severity.INFO
                )
                return
            except Unreadable:
                raise
            except Exception as error:  # one broken rule must not end the run
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                yield own("PRF001", f"{rule.code} crashed: {reason}", _start(context, node))


def _start(context: Context, node: cst.CSTNode) -> Span:
    start = context.tree.span(node).start
    return Span(start, start)
