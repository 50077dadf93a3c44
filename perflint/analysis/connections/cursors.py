"""Calls that open a cursor: on which connection, and what its database keeps for it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.connections.lifetimes import kept, lifetime
from perflint.analysis.database import drivers
from perflint.analysis.database.drivers import Driver
from perflint.analysis.database.receivers import Receiver, receiver
from perflint.analysis.likely import assigned
from perflint.analysis.match import last_name
from perflint.analysis.outline import leaf
from perflint.analysis.sketch import Sketch, awaited_for

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# Their cursors end with the transaction.
_OTHERWISE = {drivers.ASYNCPG, drivers.SQLALCHEMY, drivers.SQLALCHEMY_ASYNC}


class Cursor(NamedTuple):
    """A call that opens a cursor on a connection."""

    call: cst.Call
    on: cst.BaseExpression
    driver: Driver
    proved: bool
    plain: bool  # by `cursor()`, not by `execute()`


def may_open(sketch: Sketch) -> bool:
    """A gate's question: whether a cursor may be bound to a name, and stay there."""
    words = ("cursor", "execute") if "sqlite3" in sketch.facts.packages else ("cursor",)
    opened = {*sketch.calls(*words), *sketch.calls_to("psycopg.ServerCursor")}
    return any(
        isinstance(target, ast.Name) and awaited_for(value) in opened and kept(sketch, target.id)
        for target, value, _ in assigned(sketch)
    )


def cursor(context: Context, node: cst.Call) -> Cursor | None:
    """The cursor that a call opens; None for any other call."""
    match node:
        case cst.Call(func=cst.Attribute(value=on, attr=cst.Name(value="cursor" | "execute" as method))):
            known = receiver(context, on)
            if known is None or known.kind != "connection" or known.driver is None:
                return None
            plain = method == "cursor"
            chained = known.driver is drivers.SQLITE3 and known.proved
            if known.driver in _OTHERWISE or not (plain or chained) or _foreign(context, on, known):
                return None
            return Cursor(node, on, known.driver, known.proved, plain)
        case cst.Call(args=[cst.Arg(value=on), *_]) if last_name(node.func) == "ServerCursor":
            proved = context.objects.function(node.func) == "psycopg.ServerCursor"
            return Cursor(node, on, drivers.PSYCOPG, True, True) if proved else None
    return None


def _foreign(context: Context, on: cst.BaseExpression, known: Receiver) -> bool:
    """Whether an annotation says that a guess is of another class."""
    return not known.proved and any(item.annotation is not None for item in context.names.bindings(on))


def named(found: Cursor) -> bool:
    """`conn.cursor("name")`: a cursor on PostgreSQL's server."""
    args = found.call.args
    if last_name(found.call.func) == "ServerCursor":
        return True
    words = [arg for arg in args if arg.keyword is not None and arg.keyword.value == "name"]
    first = args[0] if args and args[0].keyword is None and not args[0].star else None
    return any(last_name(arg.value) != "None" for arg in (*words, *((first,) if first is not None else ())))


def unbuffered(context: Context, found: Cursor) -> bool:
    """Whether MySQL's rows stay on the server until they are read."""
    words = {arg.keyword.value: arg.value for arg in found.call.args if arg.keyword is not None}
    if any(last_name(arg.value).startswith("SS") for arg in found.call.args):
        return True
    made = context.objects.of(found.on)
    if made is not None and any(leaf(item).startswith("SS") for item in made.argument("cursorclass")):
        return not found.call.args
    if found.driver is drivers.MYSQL_CONNECTOR and "buffered" in words:
        return last_name(words["buffered"]) == "False"
    return False


def ends_with_connection(context: Context, on: cst.BaseExpression) -> bool:
    """Whether the function around opens the connection, enters it or closes it: its cursors go with it."""
    if isinstance(on, cst.Call):
        return True
    for above in context.tree.ancestors(on):
        if isinstance(above, cst.With) and any(item.item.deep_equals(on) for item in above.items):
            return True
    owner = context.scope(on).owner(on.value) if isinstance(on, cst.Name) else None
    if not isinstance(on, cst.Name) or owner is None or owner.kind != "function":
        return False
    life = lifetime(context, on)
    kinds = {binding.kind for binding in owner.bindings[on.value]}
    return "parameter" not in kinds or (life is not None and life.closed)


def connection_name(context: Context, on: cst.BaseExpression) -> str:
    """The text of the connection that a statement's cursor belongs to, or that it is; empty where that is not sure."""
    bindings = context.names.bindings(on)
    if len(bindings) > 1:
        return ""
    match bindings[0].value if bindings else None:
        case cst.Call(func=cst.Attribute(value=connection, attr=cst.Name(value="cursor" | "execute"))):
            return connection_name(context, connection)
    return context.tree.code(on) if isinstance(on, (cst.Name, cst.Attribute)) else ""
