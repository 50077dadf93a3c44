"""Statements that always leave the loop or function they stand in."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from perflint.analysis.match import names_in
from perflint.analysis.tree import walk


def leaving(statements: Sequence[cst.CSTNode]) -> dict[cst.CSTNode, bool]:
    """For each statement of a block, whether running from it on always leaves; found from the end, in one pass."""
    leaves = False
    found: dict[cst.CSTNode, bool] = {}
    for item in reversed(statements):
        told = _leaves(item)
        leaves = leaves if told is None else told
        found[item] = leaves
    return found


def _leaves(item: cst.CSTNode) -> bool | None:
    """Whether the statement always leaves, or may go on to the next turn; None where what follows decides."""
    match item:
        case cst.Break() | cst.Return() | cst.Raise():
            return True
        case cst.SimpleStatementLine(body=smalls):
            if _leave(smalls):
                return True
        case cst.If(body=body, orelse=cst.Else(body=other)):
            if _leave(body.body) and _leave(other.body):
                return True
        case cst.With(items=items, body=body) if not any(names_in(part) & {"suppress"} for part in items):
            if _leave(body.body):
                return True
    return False if any(isinstance(part, cst.Continue) for part in walk(item)) else None


def _leave(statements: Sequence[cst.CSTNode]) -> bool:
    """Whether running these statements always leaves."""
    told = (_leaves(item) for item in statements)
    return next((leaves for leaves in told if leaves is not None), False)
