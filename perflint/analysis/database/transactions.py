"""Where transactions begin and end around a statement, and which connection a cursor belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.database.receivers import receiver
from perflint.analysis.database.statements import bound_in
from perflint.analysis.match import last_name, root, unawaited
from perflint.analysis.tree import Function, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# Calls that open a transaction or a savepoint when a `with` enters them.
TRANSACTIONS = frozenset(
    {"transaction", "begin", "atomic", "begin_nested", "savepoint", "nested", "Transaction"}
)
_CURSORS = frozenset({"cursor", "closing", "aclosing"})


def withs(context: Context, node: cst.CSTNode, within: cst.CSTNode | None = None) -> Iterator[cst.WithItem]:
    """The `with` items around a node, innermost first, up to its function or `within`."""
    for above in context.tree.ancestors(node, within):
        if isinstance(above, (*Function, cst.ClassDef)):
            return
        if isinstance(above, cst.With):
            yield from above.items


def entered(item: cst.WithItem) -> str:
    """The last word of what a `with` calls or names: `transaction` of `conn.transaction()`."""
    value = unawaited(item.item)
    return last_name(value.func if isinstance(value, cst.Call) else value)


def is_cursor(context: Context, item: cst.WithItem) -> bool:
    """Whether a `with` only opens a cursor: `with conn.cursor() as cur`, `with closing(conn.cursor())`."""
    value = item.item
    if isinstance(value, cst.Call) and entered(item) in _CURSORS - {"cursor"} and value.args:
        value = value.args[0].value
    if isinstance(value, cst.Call) and last_name(value.func) == "cursor":
        return True
    known = receiver(context, value)
    return known is not None and known.kind == "cursor"


def is_transaction(context: Context, item: cst.WithItem) -> bool:
    """Whether the end of a `with` commits, rolls back, or releases a savepoint."""
    if entered(item) in TRANSACTIONS:
        return True
    known = receiver(context, item.item)
    return known is not None and known.kind in ("connection", "session")


def connection_of(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """The connection that a cursor was made from, where that is in sight; else the expression itself."""
    source: cst.BaseExpression | None = node
    if isinstance(node, cst.Name):
        bindings = context.names.bindings(node)
        source = None
        if len(bindings) == 1:
            source = bindings[0].value
            if isinstance(bindings[0].node, cst.WithItem):
                source = bindings[0].node.item
    source = unawaited(source) if source is not None else None
    if isinstance(source, cst.Call) and last_name(source.func) in _CURSORS - {"cursor"} and source.args:
        source = source.args[0].value
    match source:
        case cst.Call(func=cst.Attribute(value=connection, attr=cst.Name(value="cursor"))):
            return connection
    return node


def made_in(context: Context, node: cst.BaseExpression, loop: cst.CSTNode) -> bool:
    """Whether each turn of the loop has a connection of its own: the loop binds it, or the name it is found by."""
    return root(connection_of(context, node)) in bound_in(loop)


def rolls_back(block: cst.CSTNode) -> bool:
    """Whether something in the block is called like a rollback."""
    calls = (part for part in walk_scope(block) if isinstance(part, cst.Call))
    return any("rollback" in last_name(call.func).lower() for call in calls)
