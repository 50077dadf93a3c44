"""What a loop says about the objects that it writes: whether they belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.handlers import covering
from perflint.analysis.database.receivers import receiver
from perflint.analysis.match import contains, names_in, only_statement
from perflint.analysis.rewrite import indent_unit, indentation, iterable
from perflint.analysis.tree import walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_KEYS = ("id", "pk", "_id")


def one_by_one(context: Context, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether each turn handles errors of its own, opens a transaction or lock of its own, or picks one of two actions."""
    if next(covering(context.tree, node, loop), None) is not None:
        return True
    return any(
        isinstance(above, (cst.With, cst.Else)) or (isinstance(above, cst.If) and above.orelse is not None)
        for above in context.tree.ancestors(node, loop)
    )


def in_transaction(context: Context, loop: cst.CSTNode) -> bool:
    """Whether Django's `atomic` is around the loop."""
    for above in context.tree.ancestors(loop):
        match above:
            case cst.With(items=items) if any("atomic" in context.tree.code(item) for item in items):
                return True
            case cst.FunctionDef(decorators=decorators):
                return any("atomic" in context.tree.code(item) for item in decorators)
    return False


def keyed(name: str, body: cst.CSTNode) -> bool:
    """Whether the body reads the key of an object."""
    return any(
        isinstance(part, cst.Attribute)
        and part.attr.value in _KEYS
        and isinstance(part.value, cst.Name)
        and part.value.value == name
        for part in walk_scope(body)
    )


def flushed_each_turn(context: Context, node: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether each turn adds an object to SQLAlchemy's session, flushes, and uses nothing that the flush has set."""
    if not isinstance(node.func, cst.Attribute) or not isinstance(loop, (cst.For, cst.While)):
        return False
    known = receiver(context, node.func.value)
    if known is None or known.kind != "session":
        return False
    if context.tree.parent(context.tree.statement(node)) is not loop.body:
        return False  # in a branch: every so many turns
    session, start = context.tree.code(node.func.value), context.tree.span(node).start
    added: set[str] = set()
    later: set[str] = set()
    for part in walk_scope(loop.body):
        match part:
            case cst.Call(
                func=cst.Attribute(value=owner, attr=cst.Name(value="add")), args=[cst.Arg(value=value)]
            ):
                if context.tree.code(owner) == session and context.tree.span(part).start < start:
                    added |= names_in(value) | {""}
            case cst.Attribute(attr=cst.Name(value="id" | "pk" | "refresh")):
                return False
            case cst.Name(value=name) if context.tree.span(part).start > start:
                later.add(name)
    return bool(added) and added.isdisjoint(later)


def listed(context: Context, node: cst.Call, loop: cst.CSTNode, item: str) -> str | None:
    """The comprehension of `item` over the loop that the call is the whole body of; None where more is at stake.

    An item of several lines begins and ends on lines of its own, indented for where the loop stands.
    """
    if not isinstance(loop, cst.For) or loop.asynchronous is not None:
        return None
    tree, only = context.tree, only_statement(loop)
    if not isinstance(only, cst.Expr) or node not in (only.value, getattr(only.value, "expression", None)):
        return None
    moved = (loop.iter, *node.args)
    if tree.comments(tree.span(loop)) or any(
        contains(part, cst.Await, cst.Yield, cst.NamedExpr) for part in moved
    ):
        return None
    if not context.flow.loop_variable_unread(loop, context.scope(loop)):
        return None
    clause = f"for {tree.code(loop.target)} in {iterable(tree, loop.iter)}"
    if "\n" not in item:
        return f"[{item} {clause}]"
    strings = (part for part in walk(node) if isinstance(part, (cst.SimpleString, cst.FormattedString)))
    if not isinstance(loop.body, cst.IndentedBlock) or any("\n" in tree.code(part) for part in strings):
        return None
    unit = indent_unit(tree, loop.body)
    outer = indentation(tree, loop)
    inner = outer + unit * 2
    item = item.replace("\n", f"\n{unit}")
    return f"\n{outer}{unit}[\n{inner}{item}\n{inner}{clause}\n{outer}{unit}]\n{outer}"
