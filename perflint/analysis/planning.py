"""Which regions of a file are worth a LibCST tree, and for which rules.

Asked in three steps, each of what the one before has left: the words of the file, a draft of its facts that is read off
the text, and the facts that `ast` tells.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from perflint.analysis.draft import Draft
from perflint.analysis.facts import Facts
from perflint.analysis.gates import Gate
from perflint.analysis.hopes import hopes
from perflint.analysis.partial import Partial
from perflint.analysis.places import is_test_file
from perflint.analysis.regions import Region
from perflint.analysis.rule import Rule
from perflint.analysis.skeleton import Unclear
from perflint.analysis.sketch import Sketch
from perflint.analysis.syntax import Unreadable
from perflint.model.config import Config
from perflint.model.source import Source

Rules = tuple[Rule, ...]


class Plan(NamedTuple):
    """A region, and the rules that may find something there."""

    region: Region
    rules: Rules


class Plans:
    """The plans of a file: that of the module's own code, if there is one, and those of its outermost functions.

    `clear`: whether every sketch gave an answer.
    """

    def __init__(self, facts: Facts, plans: Iterable[Plan], clear: bool) -> None:
        self.facts, self.clear = facts, clear
        ordered = sorted(plans, key=lambda plan: (plan.region.function, plan.region.span))
        self.module = ordered[0] if ordered and not ordered[0].region.function else None
        self.functions = ordered[1:] if self.module else ordered
        self._starts = [plan.region.span.start for plan in self.functions]

    @property
    def rules(self) -> Rules:
        """Those of all plans."""
        plans = [*self.functions, self.module] if self.module else self.functions
        return rules_of(plans)

    def has(self, region: Region, rule: Rule) -> bool:
        """Whether the rule is planned for the place of this region, which other facts may have found."""
        plan = self.module
        if region.function:
            number = bisect_right(self._starts, region.span.start) - 1
            plan = self.functions[number] if number >= 0 else None
            if plan and plan.region.span.end <= region.span.start:
                plan = None
        return plan is not None and rule in plan.rules


def rules_of(plans: Iterable[Plan]) -> Rules:
    """Each rule of the plans once."""
    return tuple({rule.code: rule for plan in plans for rule in plan.rules}.values())


def every_rule(source: Source, config: Config) -> Rules:
    """The rules that the configuration wants for the file."""
    return hopes(config, is_test_file(source.path)).rules


def drafted(source: Source, config: Config, tree: ast.Module | None = None) -> Plans | None:
    """What the text alone leaves hope for; None where it does not tell. `tree` saves a parse where one is needed."""
    try:
        draft = Draft(source, tree)
        plans = _plans(draft, config, _worded(source, config))
    except Unclear:
        return None
    draft.forget_excerpts()
    return plans


def is_python(draft: Plans) -> bool:
    """Whether the drafted file parses."""
    return isinstance(draft.facts, Draft) and draft.facts.is_python()


def partial(draft: Plans) -> Partial | None:
    """What the checks of a draft's plans ask, if these need not be settled: all is clear, and none is the module's."""
    if not draft.clear or draft.module or not isinstance(draft.facts, Draft):
        return None
    try:
        return Partial(draft.facts)
    except Unclear:
        return None


def whole(draft: Plans | None) -> Facts | None:
    """The facts of the whole file, which a sketch may have asked for already; None where there is no draft."""
    return draft.facts.whole if draft is not None and isinstance(draft.facts, Draft) else None


def settled(facts: Facts, config: Config, draft: Plans | None) -> list[Plan]:
    """The plans for the outermost functions, or one for the whole module where code outside of them has one."""
    rules = draft.rules if draft else _worded(facts.source, config)
    plans = _plans(facts, config, rules, draft)
    return [Plan(facts.module, plans.rules)] if plans.module else plans.functions


def _worded(source: Source, config: Config) -> Rules:
    found = hopes(config, is_test_file(source.path)).met(source)
    source.forget()
    return found


def _plans(facts: Facts, config: Config, rules: Rules, draft: Plans | None = None) -> Plans:
    asked: dict[Region, list[tuple[Rule, Gate]]] = {}
    for rule in rules:
        gate = rule.gate.resolved(config, facts)
        if gate is None or not gate.admits_imports(facts):
            continue
        asks = rule, gate
        for region in gate.admitted(facts):
            if draft is None or draft.has(region, rule):
                asked.setdefault(region, []).append(asks)
    plans: list[Plan] = []
    clear = True
    for region, gates in asked.items():  # one after the other: what is known of one goes before the next
        hopeful, answered = _sketched(facts, region, gates)
        clear &= answered
        if hopeful:
            plans.append(Plan(region, hopeful))
    return Plans(facts, plans, clear)


def _sketched(facts: Facts, region: Region, gates: list[tuple[Rule, Gate]]) -> tuple[Rules, bool]:
    """The rules whose sketches leave hope for the region, and whether each gave an answer."""
    sketches: dict[Region, Sketch] = {}  # of the region in these facts, and in those of the whole file
    answers = [(rule, _answer(gate, sketches, facts, region)) for rule, gate in gates]
    hopeful = tuple(rule for rule, answer in answers if answer is not False)
    clear = all(answer is not None for _, answer in answers)
    if hopeful and region.function:
        try:
            _ = region.deep  # asked while the tree is there
        except Unclear:
            clear = False
    for sketch in sketches.values():
        sketch.forget()
    region.forget()
    return hopeful, clear


def _answer(gate: Gate, sketches: dict[Region, Sketch], facts: Facts, region: Region) -> bool | None:
    """What the gate's sketch says of the region; None where it fails: the checks will bring that to light.

    What a draft of the file does not tell, the whole file does.
    """
    if gate.sketch is None:
        return True
    sketch = sketches.get(region) or sketches.setdefault(region, Sketch(facts, region))
    try:
        return gate.sketch(sketch)
    except Exception as error:
        sketches.pop(region).forget()  # what was half answered there
        if not isinstance(error, Unclear) or not isinstance(facts, Draft):
            return None
    try:
        whole = facts.whole
    except Unreadable:
        return None
    return _answer(
        gate, sketches, whole, whole.region_at(region.span.start) if region.function else whole.module
    )
