"""Loops that do by hand what one `"".join(..)` does."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import libcst as cst

from perflint.analysis.flow import Flow
from perflint.analysis.match import dotted, names_in, only_statement
from perflint.analysis.patterns.accumulate import Accumulator


@dataclass(frozen=True, eq=False)
class Copy:
    """`s = ""`, then `for w in ws: s += w`; perhaps with a separator that `s[:-k]` takes off again."""

    init: cst.Assign | cst.AnnAssign
    value: cst.SimpleString  # that it starts with
    adjacent: bool  # the init is the statement right before the loop
    loop: cst.For
    separator: str = ""  # its literal, as text to put in front of `.join`
    cut: cst.BaseExpression | None = None  # the `s[:-k]` after the loop


def copied(item: Accumulator, flow: Flow) -> Copy | None:
    """The exact copy that a local's growth is, if it is one."""
    loop, name, growth = item.loop, item.place, item.growth
    if not isinstance(loop, cst.For) or item.form != "augmented" or item.storage != "local":
        return None
    if only_statement(loop) is not growth.node or flow.introspected(item.scope):
        return None
    if not isinstance(loop.target, cst.Name) or name in names_in(loop.iter):
        return None
    found = _init(loop, name, flow)
    if found is None:
        return None
    if dotted(growth.value) == loop.target.value:
        return Copy(*found, loop)
    separator = _separator(growth.value, loop.target.value)
    cut = _cut(loop, name, flow)
    if not separator or cut is None or found[1].evaluated_value:
        return None
    return Copy(*found, loop, separator[0], cut[0]) if cut[1] == separator[1] else None


def _init(
    loop: cst.For, name: str, flow: Flow
) -> tuple[cst.Assign | cst.AnnAssign, cst.SimpleString, bool] | None:
    """The nearest binding of `name` before the loop in the same block, if it is a literal."""
    statement = flow.tree.before(loop)
    adjacent = True
    while statement is not None:
        if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
            match statement.body[0]:
                case (
                    cst.Assign(
                        targets=[cst.AssignTarget(cst.Name(value=bound))], value=cst.SimpleString() as value
                    )
                    | cst.AnnAssign(target=cst.Name(value=bound), value=cst.SimpleString() as value)
                ) as init if bound == name:
                    return init, value, adjacent
        if name in names_in(statement):
            return None
        statement, adjacent = flow.tree.before(statement), False
    return None


def _separator(value: cst.BaseExpression, word: str) -> tuple[str, int] | None:
    """The separator in `w + SEP` or `f"{w}SEP"`: its literal and its length."""
    match value:
        case cst.BinaryOperation(
            left=cst.Name(value=left), operator=cst.Add(), right=cst.SimpleString() as text
        ):
            known = left == word and isinstance(text.evaluated_value, str)
            return (text.value, len(text.evaluated_value)) if known else None
        case cst.FormattedString(
            parts=[
                cst.FormattedStringExpression(
                    expression=cst.Name(value=left), conversion=None, format_spec=None, equal=None
                ),
                cst.FormattedStringText(value=text),
            ],
            prefix="f" | "F",
        ) if left == word and not set("{}") & set(text):
            quote = value.start[len(value.prefix) :]
            literal = f"{quote}{text}{quote}"
            return literal, len(ast.literal_eval(literal))
    return None


def _cut(loop: cst.For, name: str, flow: Flow) -> tuple[cst.BaseExpression, int] | None:
    """`s = s[:-k]` or `return s[:-k]` directly after the loop, and its k."""
    block = list(getattr(flow.tree.parent(loop), "body", ()))
    index = next((at for at, item in enumerate(block) if item is loop), -1)
    match block[index + 1 : index + 2]:
        case [cst.SimpleStatementLine(body=[cst.Return(value=cst.Subscript() as cut)])]:
            pass
        case [
            cst.SimpleStatementLine(
                body=[
                    cst.Assign(
                        targets=[cst.AssignTarget(cst.Name(value=bound))], value=cst.Subscript() as cut
                    )
                ]
            )
        ] if bound == name:
            pass
        case _:
            return None
    match cut:
        case cst.Subscript(
            value=cst.Name(value=read),
            slice=[
                cst.SubscriptElement(
                    cst.Slice(
                        lower=None,
                        upper=cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer(value=length)),
                        step=None,
                    )
                )
            ],
        ) if read == name:
            return cut, int(length.replace("_", ""), 0)
    return None
