"""Puts the rest of a resource's life into a `with`, for fixes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.rewrite import indent_unit, indented, statement_lines
from perflint.model.diagnostics import Edit, Span

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context


def wrapped(
    context: Context, name: cst.Name, uses: Iterable[cst.CSTNode], header: str
) -> tuple[Edit, ...] | None:
    """`name = X` becomes `header`, a `with` over what follows in the block, up to the last of `uses`.

    None where the name is bound elsewhere too, a use stands outside of that block, or none follows.
    """
    tree = context.tree
    assign = tree.parent(name)
    assign = tree.parent(assign) if isinstance(assign, cst.AssignTarget) else None
    line = tree.parent(assign) if assign is not None else None
    block = tree.parent(line) if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1 else None
    if not isinstance(block, cst.IndentedBlock) or len(context.names.bindings(name)) != 1:
        return None
    assert isinstance(assign, cst.Assign) and isinstance(line, cst.SimpleStatementLine)
    below = [item for item in block.body if tree.span(item).start > tree.span(line).start]
    used = [_index(context, below, use) for use in uses]
    if not used or None in used:
        return None
    last = max(index for index in used if index is not None)
    rest = _lines(context, below[: last + 1])
    return Edit(tree.span(assign), header), *indented(tree, rest, indent_unit(tree, block))


def enclosed(
    context: Context, first: cst.BaseStatement, last: cst.BaseStatement, header: str
) -> tuple[Edit, ...]:
    """A `with` of its own line around the statements of one block from `first` to `last`."""
    tree = context.tree
    block = tree.parent(first)
    by = indent_unit(tree, block) if isinstance(block, cst.IndentedBlock) else tree.module.default_indent
    lines = _lines(context, [first, last])
    start = tree.span(first).start
    begin = tree.source.line_starts[tree.source.line_of(start) - 1]
    indentation = tree.source.slice(begin, start)
    opened = Edit(Span(begin, begin), f"{indentation}{header}\n{by}")
    inside = [edit for edit in indented(tree, lines, by) if edit.span.start != begin]
    return opened, *inside


def _lines(context: Context, statements: list[cst.BaseStatement]) -> Span:
    first = statement_lines(context.tree, statements[0])
    return Span(first.start, statement_lines(context.tree, statements[-1]).end)


def _index(context: Context, statements: list[cst.BaseStatement], use: cst.CSTNode) -> int | None:
    for above in (use, *context.tree.ancestors(use)):
        for index, item in enumerate(statements):
            if item is above:
                return index
    return None
