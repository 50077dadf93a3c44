"""What a `with` statement binds, and who sees it after the block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.connections.lifetimes import CLOSING
from perflint.analysis.match import last_name

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context


def sees(context: Context, read: cst.Name, node: cst.With) -> bool:
    """Whether a read outside of the block may see what the block bound."""
    tree, flow = context.tree, context.flow
    if flow.inside(read, node):
        return False
    loop = flow.loop(node)
    if tree.span(read).start < tree.span(node).end and (loop is None or not flow.inside(read, loop)):
        return False
    return not any(_rebinds(context, item.node, read, node) for item in context.names.bindings(read))


def _rebinds(context: Context, binding: cst.CSTNode, read: cst.Name, node: cst.With) -> bool:
    """Whether the name is surely bound again between the block and the read."""
    tree = context.tree
    if context.flow.inside(binding, node) or tree.span(binding).start > tree.span(read).start:
        return False
    if isinstance(binding, cst.WithItem):
        return context.flow.inside(read, tree.statement(binding))
    statement = tree.statement(binding)
    block = tree.parent(statement)
    loop = context.flow.loop(read)
    each_turn = loop is not None and loop.body is block
    later = each_turn or tree.span(statement).start > tree.span(node).start
    return later and block is not None and context.flow.inside(read, block)


def closes(context: Context, read: cst.Name) -> bool:
    """Whether this use closes the connection, or has a `with` do it."""
    match context.tree.parent(read):
        case cst.Attribute(attr=cst.Name(value=method)):
            return method in CLOSING
        case cst.Arg() as argument:
            call = context.tree.parent(argument)
            return isinstance(call, cst.Call) and last_name(call.func) in ("closing", "close", "putconn")
    return False
