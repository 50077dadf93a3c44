"""Which rules the words of a file leave hope for: asked of every file, before anything is parsed."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from perflint.analysis import registry
from perflint.analysis.needles import LOOPS, Need
from perflint.analysis.rule import Rule
from perflint.model.config import Config
from perflint.model.source import Source


class Hopes:
    """The rules of a configuration, found by a word that each of their needs asks for."""

    def __init__(self, rules: tuple[Rule, ...], config: Config) -> None:
        self.rules = rules
        self._asked: dict[bytes, set[int]] = defaultdict(set)  # by a word of what the gate asks for besides
        self._unasked: set[int] = set()  # the rules whose gates ask for nothing besides
        self._sure: dict[bytes, set[int]] = defaultdict(set)  # by a word that is all of a need
        self._unsure: dict[bytes, dict[Need, set[int]]] = {}
        self._wordless: dict[Need, set[int]] = {}
        self._within = {
            number: frozenset(rule.gate.within) for number, rule in enumerate(rules) if rule.gate.within
        }
        for number, rule in enumerate(rules):
            self._ask(number, rule)
            for need in rule.gate.needs(config) or (Need(frozenset()),):
                if len(need.words) == 1 and need == Need(need.words):
                    self._sure[min(need.words)].add(number)
                else:
                    unsure = self._unsure.setdefault(min(need.words), {}) if need.words else self._wordless
                    unsure.setdefault(need, set()).add(number)
        tables = (self._asked, self._sure, self._unsure)
        self._telling = frozenset().union(*tables, *self._within.values())

    def _ask(self, number: int, rule: Rule) -> None:
        words = {*map(str.encode, rule.gate.imports)} or (LOOPS if rule.gate.loop else set())
        for word in words:
            self._asked[word].add(number)
        if not words:
            self._unasked.add(number)

    def met(self, source: Source) -> tuple[Rule, ...]:
        """The rules that the file may hold something for."""
        words = source.words & self._telling
        asked = self._unasked.union(*(self._asked[word] for word in self._asked.keys() & words))
        admitted = asked.difference(number for number, inside in self._within.items() if not inside <= words)
        left = admitted.difference(*(self._sure[word] for word in self._sure.keys() & words))
        for needs in (self._wordless, *(self._unsure[word] for word in self._unsure.keys() & words)):
            for need, numbers in needs.items():
                if not left.isdisjoint(numbers) and need.met(source):
                    left -= numbers
        return tuple(self.rules[number] for number in sorted(admitted - left))


@cache
def hopes(config: Config, tests: bool) -> Hopes:
    """Those of a configuration; `tests`: for a file of tests."""
    return Hopes(tuple(rule for rule in registry.select(config) if rule.tests or not tests), config)
