"""Texts that several tests have checked, and rules that differ from ours."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perflint.analysis.rule import Rule

# One finding, of PRF102.
SLOW_PATH = """\
def path_of(names):
    path = ""
    for name in names:
        path = path + "/" + str(name)
    return path
"""


def changed(rule: Rule, **fields: Any) -> Rule:
    """Another rule, like this one but for these fields."""
    assert rule.checks is not None  # which loads a rule of the index
    other = copy(rule)
    vars(other).update(fields)
    return other
