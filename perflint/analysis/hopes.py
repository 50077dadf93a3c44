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
        self._unsure: dict[bytes, list[tuple[int, Need]]] = defaultdict(list)
        self._wordless: list[tuple[int, Need]] = []
        self._within = {
            number: frozenset(rule.gate.within) for number, rule in enumerate(rules) if rule.gate.within
        }
        for number, rule in enumerate(rules):
            self._ask(number, rule)
            for need in rule.gate.needs(config) or (Need(frozenset()),):
                if len(need.words) == 1 and need == Need(need.words):
                    self._sure[min(need.words)].add(number)
                elif need.words:
                    self._unsure[min(need.words)].append((number, need))
                else:
                    self._wordless.append((number, need))

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
        sure: set[int] = set().union(*(self._sure[word] for word in self._sure.keys() & words))
        found = admitted & sure
        unsure = (item for word in self._unsure.keys() & words for item in self._unsure[word])
        for number, need in (*self._wordless, *unsure):
            if number in admitted and number not in found and need.met(source):
                found.add(number)
        return tuple(self.rules[number] for number in sorted(found))


@cache
def hopes(config: Config, tests: bool) -> Hopes:
    """Those of a configuration; `tests`: for a file of tests."""
    return Hopes(tuple(rule for rule in registry.select(config) if rule.tests or not tests), config)
