"""What ruff already reports in the user's project: perflint does not say it twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perflint.model.config import Config

# perflint's code -> ruff's rule that finds the same. ruff has no fix for it.
SAME = {"PRF308": "RUF006"}


def without_twins(config: Config, table: Mapping[str, Any]) -> Config:
    """`config` without the rules whose twin ruff's `table` turns on; one that is selected by its code, or ALL, stays."""
    named = {*config.select, *config.extend_select}
    twins = (code for code, twin in SAME.items() if named.isdisjoint((code, "ALL")) and _selects(table, twin))
    return config._replace(ignore=(*config.ignore, *twins))


def _selects(table: Mapping[str, Any], code: str) -> bool:
    """Whether ruff reports the code: its longest matching prefix is selected, not ignored."""
    chosen, refused = -1, -1
    for section in (table, table.get("lint")):
        if isinstance(section, Mapping):
            chosen = max(chosen, _longest(section, ("select", "extend-select"), code))
            refused = max(refused, _longest(section, ("ignore", "extend-ignore"), code))
    return chosen > refused


def _longest(section: Mapping[str, Any], keys: Iterable[str], code: str) -> int:
    """The length of the longest prefix of `code` under these keys; 0 for ALL, -1 for none."""
    words = [word for key in keys for word in _strings(section.get(key))]
    lengths = [0 if word == "ALL" else len(word) for word in words if word == "ALL" or code.startswith(word)]
    return max(lengths, default=-1)


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, list) else []
