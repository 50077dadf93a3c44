"""`perflint explain` and `perflint rules`."""

from __future__ import annotations

import json

from perflint.analysis import registry
from perflint.analysis.payoff import payoff
from perflint.analysis.rule import Rule
from perflint.model.config import Config, ConfigError
from perflint.project.nearest import nearest_name

_OWN = {
    "PRF000": "The file cannot be read as Python, so nothing in it was checked.",
    "PRF001": "perflint itself failed on this file, or put back a fix that went wrong; please report it.",
    "PRF002": "A comment that switches off findings where there are none. `perflint fix` removes it.",
}


def explain(name: str) -> str:
    """The documentation of the rule with this code or name."""
    rule = registry.find(name)
    if rule is not None:
        return _documentation(rule)
    for code, own in registry.OWN.items():
        if name.upper() == code or name.lower() == own:
            return f"{code} {own}\n\n{_OWN[code]}"
    names = [word for rule in registry.rules() for word in (rule.code, rule.name)]
    names += [*registry.OWN, *registry.OWN.values()]
    raise ConfigError(f"no rule is called {name!r}{nearest_name(name, names)}")


def _documentation(rule: Rule) -> str:
    group = f", off unless {rule.group!r} or the rule is selected" if rule.group else ""
    about = f"{rule.category}, {rule.severity.label}, fix {rule.fix}, since {rule.since}{group}"
    gain = payoff(rule.code, Config().target)
    parts = [f"{rule.code} {rule.name}", about, "", rule.doc.strip()]
    return "\n".join([*parts, "", gain] if gain else parts)


def as_table() -> str:
    """All rules, one line each."""
    rules = registry.rules()
    width = max((len(rule.name) for rule in rules), default=0)
    return "\n".join(
        f"{rule.code}  {rule.name:<{width}}  {rule.severity.label:<7}  fix {rule.fix:<9}  {rule.summary}"
        + (f" (off: {rule.group})" if rule.group else "")
        for rule in rules
    )


def as_json() -> str:
    """All rules with what is known of them, for machines."""
    return json.dumps([_record(rule) for rule in registry.rules()], indent=2)


def _record(rule: Rule) -> dict[str, object]:
    return {
        "code": rule.code,
        "name": rule.name,
        "summary": rule.summary,
        "category": rule.category,
        "severity": rule.severity.label,
        "fix": rule.fix,
        "since": rule.since,
        "default": not rule.group,
        "group": rule.group or None,
        "doc": rule.doc.strip(),
    }
