"""What hangs on a connection: its cursors and results, and how far they go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.concurrency.fates import loads
from perflint.analysis.connections.lifetimes import bound_to, escaping
from perflint.analysis.database.drivers import SESSIONS
from perflint.analysis.database.statements import FETCHES
from perflint.analysis.match import last_name
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# Methods whose value keeps nothing of the connection.
_ENDING = {"commit", "rollback", "close", "aclose", "flush", "expunge_all", "release", "ping", "closed"}
_VALUES = (
    FETCHES
    | _ENDING
    | {
        "copy_records_to_table",
        "execute_fetchall",
        "execute_insert",
        "is_connected",
        "in_transaction",
        "executescript",
    }
)
_MADE_OF_ORM = FETCHES - {"mappings"}  # a session's objects load through it later
# Attributes that are bound methods: whoever holds one holds the connection.
_METHODS = {"execute", "executemany", "cursor", "fetchone", "fetchall", "fetchmany", "commit", "rollback"}
_TAKING = {"list", "tuple", "set", "frozenset", "dict", "sum", "any", "all", "min", "max", "sorted", "len", "next"}  # fmt: skip


class Reach(NamedTuple):
    """How far a resource goes by what its methods return."""

    escapes: bool
    uses: tuple[cst.Name, ...]  # every read of it, its cursors and their results
    names: tuple[cst.Name, ...]  # the locals that hold these, where they are bound


def top(context: Context, read: cst.BaseExpression) -> tuple[cst.BaseExpression, str]:
    """The whole expression `(await conn.execute(..)).fetchall()` around a `conn`, and its last method; "" without one."""
    node, method = read, ""
    while True:
        parent = context.tree.parent(node)
        match parent:
            case cst.Attribute(value=value, attr=cst.Name(value=name)) if value is node:
                call = context.tree.parent(parent)
                if not isinstance(call, cst.Call) or call.func is not parent:
                    return parent, name
                node, method = call, name
            case cst.Await():
                node = parent
            case cst.Call(func=func) if func is node:
                node, method = parent, "__call__"
            case _:
                return node, method


def reach(context: Context, name: cst.Name) -> Reach:
    """What the local that `name` binds, and what is made from it, is used for."""
    kind = context.objects.type(name) or ""
    uses: list[cst.Name] = []
    names = [name]
    escapes = False
    for holder in names:
        reads = loads(context.names, holder)
        owner = context.scope(holder).owner(holder.value)
        escapes |= (
            owner is None or owner.kind != "function" or bool(context.flow.captured(holder.value, owner))
        )
        for read in reads:
            if any(read is item for item in uses):
                continue
            uses.append(read)
            escapes |= _goes_on(context, read, names, session=kind in SESSIONS)
    return Reach(escapes, tuple(uses), tuple(names))


def hands_on(context: Context, node: cst.BaseExpression) -> bool:
    """Whether somebody else gets what the call of an unnamed connection, such as `connect(p).cursor()`, returns."""
    expression, method = top(context, node)
    if method in _VALUES:
        return False
    name = bound_to(context, expression)
    return reach(context, name).escapes if name is not None else escaping(context, expression)


def _goes_on(context: Context, read: cst.Name, names: list[cst.Name], *, session: bool) -> bool:
    """Whether this use lets others hold the resource; what it binds joins `names`."""
    expression, method = top(context, read)
    parent = context.tree.parent(expression)
    if isinstance(expression, cst.Attribute):  # not called
        return method in _METHODS and not isinstance(parent, (cst.AssignTarget, cst.Comparison))
    if method in _VALUES and not (session and method in _MADE_OF_ORM):
        return False
    if isinstance(parent, cst.WithItem):
        if parent.asname is not None and isinstance(parent.asname.name, cst.Name):
            _join(names, parent.asname.name)
        return parent.asname is not None and not isinstance(parent.asname.name, cst.Name)
    if isinstance(parent, cst.CompFor) and isinstance(context.tree.parent(parent), cst.GeneratorExp):
        return _taker(context, context.tree.parent(parent)) not in _TAKING
    if expression is not read and _taker(context, expression) in _TAKING:
        return False
    bound = bound_to(context, expression) if expression is not read else None
    if bound is not None:
        _join(names, bound)
        return False
    return escaping(context, expression)


def _join(names: list[cst.Name], name: cst.Name) -> None:
    if all(name.value != item.value for item in names):
        names.append(name)


def exhausted(context: Context, uses: Iterable[cst.Name]) -> bool:
    """Whether some use reads a result to its end: `fetchall()`, a `for` that nothing leaves, `fetchone()` in a `while`."""
    for read in uses:
        expression, method = top(context, read)
        if method in ("fetchall", "all", "executescript"):
            return True
        if method in ("fetchone", "fetchmany") and isinstance(context.flow.loop(read), cst.While):
            return True
        match context.tree.parent(expression):
            case cst.For(iter=iterable) as loop if iterable is expression and not _left(context, loop):
                return True
            case cst.CompFor() | cst.From() | cst.StarredElement():
                return True
            case cst.Arg() if method not in FETCHES and _taker(context, expression) in _TAKING - {"next"}:
                return True
    return False


def _taker(context: Context, argument: cst.CSTNode | None) -> str:
    """The last name of the function that takes an expression as its argument; empty where none does."""
    above = context.tree.parent(argument) if argument is not None else None
    call = context.tree.parent(above) if isinstance(above, cst.Arg) else None
    return last_name(call.func) if isinstance(call, cst.Call) else ""


def _left(context: Context, loop: cst.For) -> bool:
    """Whether a `break` or `return` may end the loop early."""
    return any(
        isinstance(node, cst.Return) or (isinstance(node, cst.Break) and context.flow.loop(node) is loop)
        for node in walk_scope(loop.body)
    )
