"""Findings as JSON, for the cache: what was written by others must not run when it is read, as a pickle would."""

from __future__ import annotations

import json
from typing import Any

from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span
from perflint.model.outcome import Outcome


def encode(outcome: Outcome) -> bytes:
    """The findings of an outcome; empty for none."""
    if not outcome.active and not outcome.suppressed:
        return b""
    return json.dumps([outcome.active, outcome.suppressed], separators=(",", ":")).encode()


def decode(text: bytes) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The active and the suppressed findings. Raise ValueError or TypeError where the text is none of ours."""
    active, suppressed = json.loads(text)
    return tuple(map(_finding, active)), tuple(map(_finding, suppressed))


def _finding(fields: Any) -> Finding:
    code, name, severity, span, message, payoff, fix, related = fields
    notes = tuple((Span(*place), note) for place, note in related)
    return Finding(
        code, name, Severity(severity), Span(*span), message, payoff, _fix(fix) if fix else None, notes
    )


def _fix(fields: Any) -> Fix:
    title, edits, applicability = fields
    return Fix(title, tuple(Edit(Span(*span), text) for span, text in edits), Applicability(applicability))
