"""Finds the rules, refuses broken ones, and selects those a configuration asks for."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import perflint.rules
from perflint.analysis.distributions import rule_packages
from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.rule import Rule
from perflint.analysis.shown import Shown
from perflint.analysis.sketch import Sketch
from perflint.model.config import Config
from perflint.model.diagnostics import Finding, Severity, Span

# perflint's own codes: no rule carries them, but they can be ignored like any other.
OWN = {
    "PRF000": "unreadable-file",
    "PRF001": "rule-crashed",
    "PRF002": "unused-suppression",
}

_INDEX = "perflint.rules.index"
_NOWHERE = Span(0, 0)
_UNLISTED = ("doc", "benchmark", "checks")  # fields of a rule that are not in the index


class RegistryError(Exception):
    """A rule that cannot be used; the message names its module and the mend."""


def own(code: str, message: str, at: Span = _NOWHERE, level: Severity = Severity.ERROR) -> Finding:
    """One of perflint's own findings about a file that it could not check."""
    return Finding(code, OWN[code], level, at, message)


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, ours and those of installed rule packages, sorted by code. Ours are those of the index."""
    from perflint.rules.index import RULES

    found = [*map(_listed, RULES), *(rule for point in rule_packages() for rule in written(point.value))]
    codes: dict[str, Rule] = {}
    for rule in found:
        if rule.code in codes or rule.code in OWN:
            raise RegistryError(f"rule {rule.name}: the code {rule.code} is taken; choose another")
        codes[rule.code] = rule
    return tuple(sorted(found, key=lambda rule: rule.code))


def written(package: str = "perflint.rules") -> Iterator[Rule]:
    """The rules of a package, whose modules are all loaded."""
    module = import_module(package)
    for info in pkgutil.walk_packages(module.__path__, f"{package}."):
        if info.name == _INDEX:  # may be older than the rules
            continue
        rule = getattr(import_module(info.name), "rule", None)
        if isinstance(rule, Rule):
            validate(rule, info.name)
            yield rule


def validate(rule: Rule, module: str) -> None:
    """Raise RegistryError where the rule breaks a law that every rule keeps."""
    stem = module.rpartition(".")[2].replace("_", "-")
    laws = {
        "its code must be three capital letters and three digits": re.fullmatch(r"[A-Z]{3}\d{3}", rule.code),
        f"its name must be that of its file, {stem!r}": rule.name == stem,
        "it needs a summary": rule.summary,
        "its docstring needs a Bad: and a Good: example": "\nBad:\n" in rule.doc and "\nGood:\n" in rule.doc,
        "its gate is empty": any(rule.gate),
        "it has no check; decorate one with @rule.visits(...)": rule.checks,
    }
    for law, kept in laws.items():
        if not kept:
            raise RegistryError(f"rule {rule.code} in {module}: {law}")


# The index: what is known of our rules before their modules are loaded.


def row(rule: Rule) -> dict[str, Any]:
    """What the index says of a rule: its own fields, and those of its gate that ask for something."""
    gate: dict[str, Any] = {}
    for field, value in rule.gate._asdict().items():
        if isinstance(value, (tuple, frozenset)) and value:
            gate[field] = tuple(sorted(map(_plain, value)))
        elif value:
            gate[field] = True if callable(value) else value  # it takes the module to ask a sketch
    own = {field: value for field, value in vars(rule).items() if field not in _UNLISTED}
    return {**own, "severity": int(rule.severity), "gate": gate}


def _plain(item: object) -> Any:
    """What `repr` writes as Python that imports nothing."""
    return item.name if isinstance(item, Mark) else tuple(item) if isinstance(item, Shown) else item


def _listed(row: dict[str, Any]) -> Rule:
    rule = _Listed(**{**row, "severity": Severity(row["severity"])})
    gate = dict(row["gate"])
    if "marks" in gate:
        gate["marks"] = frozenset(Mark[name] for name in gate["marks"])
    if "shown" in gate:
        gate["shown"] = tuple(Shown(*item) for item in gate["shown"])
    if "sketch" in gate:
        gate["sketch"] = rule.sketch
    vars(rule)["gate"] = Gate(**gate)
    return rule


class _Listed(Rule):
    """A rule of the index, which turns into that of its module when somebody asks for more than the index says."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __getattr__(self, field: str) -> Any:
        if field not in _UNLISTED:
            raise AttributeError(field)
        return vars(self.loaded())[field]

    def sketch(self, sketch: Sketch) -> bool:
        ask = self.loaded().gate.sketch
        return ask is None or ask(sketch)

    def loaded(self) -> _Listed:
        if "checks" not in vars(self):
            module = ".".join(("perflint.rules", *_place(self)))
            rule: Rule = import_module(module).rule
            validate(rule, module)
            if row(rule) != row(self):
                raise RegistryError(
                    f"rule {rule.code}: the index is older than {module}; run python docs/generate.py"
                )
            vars(self).update(vars(rule))
        return self


def _place(rule: Rule) -> tuple[str, str]:
    """The folder and the module that the rule is written in."""
    return rule.category, rule.name.replace("-", "_")


def home(rule: Rule) -> Path:
    """The file that the rule is written in."""
    return Path(perflint.rules.__path__[0], *_place(rule)).with_suffix(".py")


# Selection.


def find(code_or_name: str) -> Rule | None:
    """The rule with this code (in any case) or name."""
    wanted = code_or_name.upper(), code_or_name.lower()
    return next((rule for rule in rules() if rule.code == wanted[0] or rule.name == wanted[1]), None)


@cache
def selectors() -> frozenset[str]:
    """Every word that `select` and `ignore` take."""
    words = {"ALL", "default", *OWN, *OWN.values()}
    for rule in rules():
        words.update((rule.code, rule.name, rule.category, rule.group))
    prefixes = {
        word[:length] for word in words if re.fullmatch(r"[A-Z]{3}\d{3}", word) for length in (3, 4, 5)
    }
    return frozenset(words | prefixes) - {""}


def matches(code: str, name: str, selector: str) -> bool:
    """Whether `selector` is this code, a prefix of it, or this name."""
    return name == selector or (len(selector) >= 3 and selector.isupper() and code.startswith(selector))


@cache
def select(config: Config) -> tuple[Rule, ...]:
    """The rules that the configuration turns on. Naming a rule or its group beats its being off by default."""

    def wanted(rule: Rule) -> bool:
        chosen = any(_selects(word, rule) for word in (*config.select, *config.extend_select))
        return chosen and not any(_selects(word, rule) for word in config.ignore)

    return tuple(rule for rule in rules() if wanted(rule))


def _selects(selector: str, rule: Rule) -> bool:
    if selector == "ALL":
        return True
    if selector in ("default", rule.category) or (len(selector) < 6 and rule.code.startswith(selector)):
        return not rule.group
    return selector == rule.group or matches(rule.code, rule.name, selector)


@cache
def runs_all(config: Config) -> Callable[[str], bool]:
    """A function that tells whether all the rules that a selector stands for are turned on."""
    chosen = {rule.code for rule in select(config)}

    @cache
    def known(selector: str) -> bool:
        meant = {rule.code for rule in rules() if _selects(selector, rule)}
        return bool(meant) and meant <= chosen

    return known


@cache
def reports(config: Config, code: str) -> bool:
    """Whether the configuration wants perflint's own code: always, unless ignored."""
    return not any(word == "ALL" or matches(code, OWN[code], word) for word in config.ignore)
