"""What a rule's fix gains on the target Python, as measured and never typed.

The figures are those that `perflint bench --record` wrote to `evidence/measured.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from perflint.model.config import Target, Version

# Below this ratio, noise and gain cannot be told apart.
_GAIN = 1.05
# Growth exponents closer than this are the same growth.
_SAME_GROWTH = 0.15

# Figures of one rule: "3.11" -> {"sizes": {"100": 1.31, ..}, "growth": [1.98, 1.02]}
Figures = Mapping[str, Mapping[str, Any]]


@cache
def payoff(code: str, target: Target) -> str:
    """The measured gain of a rule in one clause, or an empty string where nothing was measured.

    Of a range of targets, the lowest version that was measured speaks: it is the one all code
    for that range must run on. Where none in the range was, the nearest outside does. The
    clause names the version in any case.
    """
    return clause(figures(code), target)


def figures(code: str) -> Figures:
    """All that was measured of a rule, by Python version; empty where nothing was."""
    return _measured().get(code, {})


def clause(table: Figures, target: Target) -> str:
    """`payoff` on given figures."""
    version = _version(table, target)
    if version is None:
        return ""
    measured = table[version]
    ratios = sorted((int(size), float(ratio)) for size, ratio in measured["sizes"].items())
    ends = dict((ratios[0], ratios[-1]))
    growth = _growth(*measured["growth"]) if measured.get("growth") else ""
    if all(1 / _GAIN < ratio < _GAIN for ratio in ends.values()):
        return f"no gain measured at {' or '.join(map(_size, ends))} on Python {version}"
    memory = measured.get("measure") == "memory"
    worse = "more" if memory else "slower"
    gains = ", ".join(f"{_gain(ratio, worse)} at {_size(size)}" for size, ratio in ends.items())
    what = " in peak memory" if memory else ""
    return f"measured {gains}{what} on Python {version}{growth}"


def _version(table: Figures, target: Target) -> str | None:
    """The measured version that speaks for `target`."""

    def distance(version: Version) -> tuple[bool, int, Version]:
        outside = not target.low <= version <= target.high
        edge = target.low if version < target.low else target.high
        return outside, abs(version[1] - edge[1]) if outside else 0, version

    versions = {_parse(text): text for text, measured in table.items() if measured["sizes"]}
    return versions[min(versions, key=distance)] if versions else None


def _parse(text: str) -> Version:
    major, minor = text.split(".")
    return int(major), int(minor)


def _gain(ratio: float, worse: str) -> str:
    if ratio >= 10:
        return f"{ratio:,.0f}x"
    if ratio >= 1.2:
        return f"{ratio:.1f}x"
    if ratio >= _GAIN:
        return f"{ratio:.2f}x"
    return "no gain" if ratio > 1 / _GAIN else f"{ratio:.2f}x ({worse})"


def _size(size: int) -> str:
    return f"n={size:,}"


def _growth(before: float, after: float) -> str:
    return f" (n^{before:.1f} -> n^{after:.1f})" if abs(before - after) >= _SAME_GROWTH else ""


@cache
def _measured() -> Mapping[str, Figures]:
    # imported here: a run without findings needs neither
    import json
    from pkgutil import get_data  # `importlib.resources` takes longer to load than the figures

    rules: Mapping[str, Figures] = json.loads(get_data("perflint", "evidence/measured.json") or b"")["rules"]
    return rules
