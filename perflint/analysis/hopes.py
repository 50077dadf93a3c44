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
        self._by_word: dict[bytes, list[tuple[int, Need]]] = defaultdict(list)
        self._wordless: list[tuple[int, Need]] = []
        self._packages = [frozenset(map(str.encode, rule.gate.imports)) for rule in rules]
        for number, rule in enumerate(rules):
            for need in rule.gate.needs(config) or (Need(frozenset()),):
                where = self._by_word[min(need.words)] if need.words else self._wordless
                where.append((number, need))

    def met(self, source: Source) -> tuple[Rule, ...]:
        """The rules that the file may hold something for."""
        words = source.words
        admitted = [
            not (packages and packages.isdisjoint(words)) and not (rule.gate.loop and words.isdisjoint(LOOPS))
            for rule, packages in zip(self.rules, self._packages, strict=True)
        ]
        found = {number for number, need in self._wordless if admitted[number] and need.met(source)}
        for word in self._by_word.keys() & words:
            for number, need in self._by_word[word]:
                if admitted[number] and number not in found and need.met(source):
                    found.add(number)
        return tuple(self.rules[number] for number in sorted(found))


@cache
def hopes(config: Config, tests: bool) -> Hopes:
    """Those of a configuration; `tests`: for a file of tests."""
    return Hopes(tuple(rule for rule in registry.select(config) if rule.tests or not tests), config)
