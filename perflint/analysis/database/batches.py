"""One call instead of many: how each driver writes a list of rows, and where that changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis import rewrite
from perflint.analysis.connections.lifetimes import lifetime
from perflint.analysis.database.drivers import PSYCOPG2, PYODBC, SQLITE3
from perflint.analysis.database.purity import pure
from perflint.analysis.database.rows import Rows
from perflint.analysis.database.statements import Statement, statement
from perflint.analysis.database.transactions import connection_of, entered, is_cursor
from perflint.analysis.match import dotted, names_in
from perflint.analysis.tree import Function

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# Drivers whose connection has an executemany of its own.
_DIRECT = frozenset({"sqlite3", "aiosqlite", "asyncpg"})
_MODES = frozenset(
    {"isolation_level", "autocommit", "factory", None}
)  # what makes a connection begin otherwise
_CALM = frozenset(
    {"closing", "connect", "cursor", "open", "lock", "_lock", "Lock", "RLock"}
)  # swallow no error
_ON_A_CURSOR = frozenset({"execute", "executemany", "close"})
_WIDTH = 100
_NAMES = ("rows", "records", "batch", "parameters", "values_to_write")
_PLAIN = ("INSERT", "UPDATE", "DELETE", "REPLACE")  # how executemany knows a statement that writes


def advice(found: Statement) -> str | None:
    """What writes all rows at once, in words; None where the driver has nothing better than the loop."""
    driver, once = found.receiver.driver, "once with all rows"
    if driver is None:
        return f"use the driver's `executemany()` {once}"
    if driver.package == "sqlalchemy":
        bound = "" if found.verb in ("INSERT", "REPLACE") or found.text is not None else " with `bindparam()`"
        return f"pass a list of all rows to one `execute()`{bound}"
    if driver is PSYCOPG2:
        name = "execute_values" if found.verb == "INSERT" else "execute_batch"
        return f"use `{name}()` of psycopg2.extras {once}"
    if driver is PYODBC:
        return f"use `executemany()` with `fast_executemany` {once}"
    if driver.batch == "rewritten" and found.verb not in ("INSERT", "REPLACE"):
        return "use one DELETE with IN (...)" if found.verb == "DELETE" else None
    if found.receiver.kind == "connection" and driver.name not in _DIRECT:
        return f"use `cursor().executemany()` {once}"
    return f"use `executemany()` {once}"


def many(context: Context, found: Statement, loop: cst.CSTNode, rows: Rows) -> str | None:
    """The call that writes these rows, in place of the loop; None where no simple one does."""
    driver, tree = found.receiver.driver, context.tree
    if driver is None or not found.receiver.proved or driver.batch in ("loop", "flagged"):
        return None
    awaited = "await " if isinstance(tree.parent(found.call), cst.Await) else ""
    if driver.package == "sqlalchemy":
        return _guarded(context, found, loop, rows, awaited) if found.params else None
    if driver.batch == "rewritten" and found.verb not in ("INSERT", "REPLACE"):
        return None
    on = tree.code(found.on)
    if found.receiver.kind == "connection" and driver.name not in _DIRECT:
        on += ".cursor()"
    given = rows.generator() if driver is SQLITE3 and rows.lazy else rows.listed(context, loop)
    return laid_out(context, loop, f"{awaited}{on}.executemany", [tree.code(found.sql), given])


def laid_out(context: Context, at: cst.CSTNode, function: str, arguments: list[str]) -> str:
    """A call that stands where `at` does: on one line, or with each argument on its own where that is too long."""
    text = f"{function}({', '.join(arguments)})"
    indent = rewrite.indentation(context.tree, context.tree.statement(at))
    if "\n" not in text and len(indent) + len(text) <= _WIDTH:
        return text
    inner = indent + context.tree.module.default_indent
    lines = "".join(f"{inner}{item},\n" for item in arguments)
    return f"{function}(\n{lines}{indent})"


def _guarded(context: Context, found: Statement, loop: cst.CSTNode, rows: Rows, awaited: str) -> str | None:
    """For SQLAlchemy, which inserts a row of defaults for an empty list."""
    name = next((word for word in _NAMES if word.encode() not in context.source.data), None)
    if name is None or context.flow.one_line(loop):
        return None
    tree = context.tree
    inner = rewrite.indentation(tree, tree.statement(loop)) + tree.module.default_indent
    call = f"{awaited}{tree.code(found.call.func)}({tree.code(found.sql)}, {name})"
    return f"if {name} := {rows.listed(context, loop)}:\n{inner}{call}"


def is_safe(context: Context, found: Statement, loop: cst.CSTNode, rows: Rows) -> bool:
    """Whether sqlite3's executemany leaves the same rows, the same errors and the same state as the loop.

    It begins its transaction before the first row, and without rows, too: so the transaction must end
    right after, and nobody may see the connection in between.
    """
    if found.receiver.driver is not SQLITE3 or not found.receiver.proved or not isinstance(loop, cst.For):
        return False
    if rows.inlined or not rows.lazy or context.scope(loop).kind != "function":
        return False
    if not _fixed_text(context, found) or not _default_mode(context, found):
        return False
    connection = connection_of(context, found.on)
    if connection is not found.on and not _quiet_cursor(context, found, loop):
        return False
    place = dotted(connection)
    return place is not None and (_in_with(context, loop, place) or _committed(context, loop, connection))


def _fixed_text(context: Context, found: Statement) -> bool:
    """Whether the SQL is a constant, so that it may be evaluated without a row, and plainly a write."""
    if found.text is None or not found.text.lstrip().upper().startswith(_PLAIN) or "{}" in found.text:
        return False
    match found.sql:
        case cst.SimpleString() | cst.ConcatenatedString():
            return True
        case cst.Name(value=name):
            owner = context.scope(found.sql).owner(name)
            return owner in (None, context.names.top) and context.facts.constant(name) is not None
    return False


def _default_mode(context: Context, found: Statement) -> bool:
    """Whether the connection is made in sight, and begins transactions as it does by default."""
    if b"isolation_level" in context.source.data or b"autocommit" in context.source.data:
        return False
    connection = connection_of(context, found.on)
    made = context.objects.of(connection)
    return (
        made is not None
        and made.type == SQLITE3.connection
        and bool(made.calls)
        and all(
            len(call.args) == 1 and all(word.arg not in _MODES for word in call.keywords)
            for call in made.calls
        )
    )


def _quiet_cursor(context: Context, found: Statement, loop: cst.For) -> bool:
    """Whether the cursor is the function's own, gives nothing to the loop, and is not read afterwards."""
    if not isinstance(found.on, cst.Name) or found.on.value in names_in(loop.iter):
        return False
    life = lifetime(context, found.on)
    if life is None or life.escapes or any(_before(context, end.node, loop) for end in life.ends):
        return False
    for read in life.reads:
        parent = context.tree.parent(read)
        call = context.tree.parent(parent) if isinstance(parent, cst.Attribute) else None
        if not isinstance(parent, cst.Attribute) or parent.attr.value not in _ON_A_CURSOR:
            return False
        if not isinstance(call, cst.Call) or not isinstance(context.tree.parent(call), cst.Expr):
            return False
    return True


def _before(context: Context, node: cst.CSTNode, other: cst.CSTNode) -> bool:
    return context.tree.span(node).start < context.tree.span(other).start


def _in_with(context: Context, loop: cst.CSTNode, connection: str) -> bool:
    """Whether `with conn:` ends the transaction after the loop, and only writes stand in between."""
    node = loop
    while True:
        block = context.tree.parent(node)
        if not isinstance(block, cst.IndentedBlock):
            return False
        index = next(at for at, item in enumerate(block.body) if item is node)
        if not all(_writes_alone(context, item) for item in block.body[index + 1 :]):
            return False
        owner = context.tree.parent(block)
        if isinstance(owner, cst.With):
            names = {dotted(item.item) for item in owner.items}
            names |= {_entered_connection(context, item) for item in owner.items}
            if connection in names:
                return True
            if not all(is_cursor(context, item) for item in owner.items):
                return False
        elif not isinstance(owner, cst.If) or owner.body is not block:
            return False
        node = owner


def _entered_connection(context: Context, item: cst.WithItem) -> str | None:
    """`conn` of `with sqlite3.connect(path) as conn`; `closing(..)` does not commit."""
    if item.asname is None or not isinstance(item.item, cst.Call):
        return None
    known = context.objects.function(item.item.func) in SQLITE3.connects
    return dotted(item.asname.name) if known else None


def _writes_alone(context: Context, node: cst.CSTNode) -> bool:
    """Whether a statement only writes rows, alone or in a loop: nothing that a transaction could hinder."""
    match node:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Call() as call)]):
            found = statement(context, call)
            return found is not None and found.writes and all(pure(context, item) for item in found.params)
        case cst.For(body=body, orelse=None):
            return all(_writes_alone(context, item) for item in body.body)
    return False


def _committed(context: Context, loop: cst.For, connection: cst.BaseExpression) -> bool:
    """Whether the next statement commits a connection that nobody but this function has."""
    block = context.tree.parent(loop)
    if not isinstance(block, cst.IndentedBlock) or not isinstance(connection, cst.Name):
        return False
    body = list(block.body)
    after = body[body.index(loop) + 1 :][:1]
    match after:
        case [
            cst.SimpleStatementLine(
                body=[
                    cst.Expr(
                        value=cst.Call(
                            func=cst.Attribute(value=cst.Name(value=name), attr=cst.Name(value="commit")),
                            args=[],
                        )
                    ),
                    *_,
                ]
            )
        ] if name == connection.value:
            life = lifetime(context, connection)
            return life is not None and not life.escapes and not _watched(context, loop)
    return False


def _watched(context: Context, loop: cst.CSTNode) -> bool:
    """Whether an error of the loop is handled in this function; `finally: conn.close()` is not handling."""
    for above in context.tree.ancestors(loop):
        if isinstance(above, Function):
            return False
        if isinstance(above, (cst.Try, cst.TryStar)) and not _closes_only(above):
            return True
        if isinstance(above, cst.With) and any(entered(item) not in _CALM for item in above.items):
            return True
    return False


def _closes_only(node: cst.Try | cst.TryStar) -> bool:
    if node.handlers or node.orelse is not None or node.finalbody is None:
        return False
    for item in node.finalbody.body.body:
        match item:
            case cst.SimpleStatementLine(
                body=[cst.Expr(value=cst.Call(func=cst.Attribute(attr=cst.Name(value="close")), args=[]))]
            ):
                continue
        return False
    return True
