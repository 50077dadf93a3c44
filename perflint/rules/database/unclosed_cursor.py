"""A cursor is opened in a function, read in part or not at all, and never closed.

A plain cursor keeps its result until it is collected, which is soon where only a local holds it: *info*. It is a
*warning* where the database keeps something for it meanwhile. A named cursor of PostgreSQL is open on the
server until the transaction ends; an unbuffered one of MySQL blocks its connection while rows are
unread; a sqlite3 SELECT that is not read to its end holds a read lock, so that another connection, by which
the function writes meanwhile, finds the database locked; Oracle limits the open cursors of a session, which a
loop uses up.

Bad:

    import sqlite3


    def oldest(conn: sqlite3.Connection):
        cur = conn.cursor()
        cur.execute("SELECT name FROM users ORDER BY born")
        return cur.fetchone()

Good:

    import sqlite3
    from contextlib import closing


    def oldest(conn: sqlite3.Connection):
        with closing(conn.cursor()) as cur:
            cur.execute("SELECT name FROM users ORDER BY born")
            return cur.fetchone()

Not flagged: cursors that are read to their end (`fetchall()`, a `for` that nothing leaves, `fetchone()` in a
`while`), closed, entered, returned, yielded, stored or passed on, or whose name is bound again; sqlite3 cursors that
only write or ask for one row; cursors of a connection that the function itself opens or closes, and named ones whose
transaction it ends; fixtures, context managers, tests; chained calls, whose cursor goes at once.

The fix is unsafe: what still uses the cursor in a way that the text does not tell finds it closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.connections.cursors import (
    Cursor,
    connection_name,
    cursor,
    ends_with_connection,
    may_open,
    named,
    unbuffered,
)
from perflint.analysis.connections.derived import Reach, exhausted, reach
from perflint.analysis.connections.lifetimes import bound_to, lifetime, owned_elsewhere
from perflint.analysis.connections.wrapping import wrapped
from perflint.analysis.database import drivers, sql
from perflint.analysis.database.items import per_item
from perflint.analysis.database.statements import Statement, statements
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.rule import Context, Rule
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

rule = Rule(
    code="PRF507",
    name="unclosed-cursor",
    summary="a cursor that is not read to its end and never closed",
    category="database",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"cursor(", b".execute("),
        names=("psycopg.ServerCursor",),
        imports=tuple(sorted(drivers.PACKAGES)),
        sketch=may_open,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)

_MYSQL = {"pymysql", "MySQLdb", "mysql"}
_SCHEMA = {"CREATE", "ALTER", "DROP", "TRUNCATE", "REINDEX", "VACUUM", "ANALYZE", "PRAGMA"}
_AGGREGATE = re.compile(r"\s*SELECT\s+(COUNT|MAX|MIN|SUM|AVG|TOTAL|EXISTS)\b", re.I)
_OWN = {"psycopg", "psycopg2", "pymysql", "oracledb", "aiosqlite"}  # whose `with` closes the cursor


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    found = cursor(context, node)
    name = bound_to(context, node) if found is not None else None
    if found is None or name is None or owned_elsewhere(context, node):
        return
    if len([item for item in _bindings(name, context) if last_name(item) != "None"]) != 1:
        return
    life = lifetime(context, name)
    far = reach(context, name) if life is not None and not life.escapes and not life.ends else None
    if far is None or far.escapes or not (found.proved or _run(far, context)):
        return
    held = _held(found, far, context)
    if held is not None:
        message = f"cursor `{name.value}` keeps {held} open; close it or use '{_remedy(found)}'"
        yield rule.finding(context, node, message, _fix(found, name, far, context), Severity.WARNING)
    elif found.plain and not _finished(found, far, context) and not ends_with_connection(context, found.on):
        message = (
            f"cursor `{name.value}` is never closed and lives until it is collected; use '{_remedy(found)}'"
        )
        yield rule.finding(context, node, message, _fix(found, name, far, context))


def _bindings(name: cst.Name, context: Context) -> list[cst.CSTNode]:
    """What the name is bound to, or the nodes that bind it to something else."""
    return [item.value or item.node for item in context.names.bindings(name)]


def _held(found: Cursor, far: Reach, context: Context) -> str | None:
    """What the database keeps for the cursor."""
    driver, call = found.driver, found.call
    if driver.package in ("psycopg", "psycopg2"):
        return "a server-side cursor" if named(found) and not _settled(found, context) else None
    if driver is drivers.ORACLEDB:
        return "a server-side cursor" if per_item(context, call) is not None else None
    if exhausted(context, far.uses):
        return None
    if driver.package in _MYSQL:
        waits = unbuffered(context, found) and not ends_with_connection(context, found.on)
        return "an unread result" if waits and _asks(far, context) else None
    if driver is drivers.SQLITE3 and found.proved:
        return "a read lock" if _locks_others(found, far, context) else None
    return None


def _finished(found: Cursor, far: Reach, context: Context) -> bool:
    """Whether nothing is left to keep: it is read to its end, or sqlite only wrote or had one row to give."""
    if exhausted(context, far.uses):
        return True
    ran = _run(far, context)
    return (
        found.driver.local
        and bool(ran)
        and all(_one_row(item) if item.verb == "SELECT" else _no_rows(item) for item in ran)
    )


def _no_rows(item: Statement) -> bool:
    return item.verb in _SCHEMA or (item.writes and not item.returns_rows)


def _one_row(item: Statement) -> bool:
    """Whether a SELECT asks for one row, or a few: sqlite is done with it when that is read."""
    text = item.text or ""
    return sql.pages(text) or sql.point_lookup(text) or _AGGREGATE.match(text) is not None


def _settled(found: Cursor, context: Context) -> bool:
    """Whether the transaction, and with it the server's cursor, ends in this function."""
    if ends_with_connection(context, found.on):
        return True
    function = context.tree.function(found.call)
    after = context.tree.span(found.call).end
    return function is not None and any(
        isinstance(part, cst.Call)
        and last_name(part.func) in ("commit", "rollback")
        and context.tree.span(part).start > after
        for part in walk_scope(function.body)
    )


def _asks(far: Reach, context: Context) -> bool:
    return any(item.verb == "SELECT" for item in _run(far, context))


def _run(far: Reach, context: Context) -> list[Statement]:
    """The statements that run on the cursor."""
    function = context.tree.function(far.names[0])
    found = statements(context, function.body) if function is not None else []
    return [item for item in found if any(item.on is use for use in far.uses)]


def _locks_others(found: Cursor, far: Reach, context: Context) -> bool:
    """Whether a SELECT is left half read while the function writes by another connection."""
    function = context.tree.function(found.call)
    if function is None:
        return False
    every = statements(context, function.body)
    mine = [item for item in every if item.call is found.call or any(item.on is use for use in far.uses)]
    partly = [item for item in mine if item.verb == "SELECT" and item.text is not None and not _one_row(item)]
    if not partly:
        return False
    start = context.tree.span(partly[0].call).end
    mine_on = connection_name(context, found.on)
    return any(
        (item.writes or item.verb in _SCHEMA)
        and item.receiver.proved
        and item.receiver.driver is drivers.SQLITE3
        and context.tree.span(item.call).start > start
        and "" != mine_on != connection_name(context, item.on) != ""
        and not _closed_before(mine_on, item.call, context)
        for item in every
    )


def _closed_before(connection: str, write: cst.Call, context: Context) -> bool:
    """Whether the connection is closed when the other one writes."""
    function = context.tree.function(write)
    for part in walk_scope(function.body) if function is not None else ():
        match part:
            case cst.Call(func=cst.Attribute(value=on, attr=cst.Name(value="close"))):
                if (
                    context.tree.code(on) == connection
                    and context.tree.span(part).end < context.tree.span(write).start
                ):
                    return True
            case cst.WithItem(asname=cst.AsName(name=cst.Name(value=bound))) if bound == connection:
                return not context.flow.inside(write, context.tree.statement(part))
    return False


def _remedy(found: Cursor) -> str:
    own = found.driver.package in _OWN
    keyword = "async with" if found.driver.asynchronous else "with"
    made = "conn.cursor(...)" if last_name(found.call.func) == "cursor" else "ServerCursor(...)"
    return f"{keyword} {made} as ..." if own else "with closing(...)"


def _fix(found: Cursor, name: cst.Name, far: Reach, context: Context) -> Fix | None:
    if not found.proved:
        return None
    code = context.tree.code(found.call)
    added = None
    if found.driver.package in _OWN:
        header = f"{'async ' if found.driver.asynchronous else ''}with {code} as {name.value}:"
    else:
        place = import_edit(context.source, context.facts.tree, "contextlib", "closing")
        if place is None:
            return None
        header, added = f"with {place[0]}({code}) as {name.value}:", place[1]
    edits = wrapped(context, name, far.uses, header)
    if edits is None:
        return None
    more: tuple[Edit, ...] = (added,) if added is not None else ()
    return Fix("Close the cursor after its last use", (*edits, *more), Applicability.UNSAFE)
