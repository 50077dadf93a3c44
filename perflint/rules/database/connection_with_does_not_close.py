"""`with sqlite3.connect(..) as conn:` ends a transaction, and leaves the connection open.

The `with` of a sqlite3, psycopg2 or pyodbc connection is about the transaction: commit at the end, rollback
after an error. The file, its lock and its page cache, or the server's session, stay taken until
the connection is collected. From Python 3.11 on a sqlite3 connection and its statement cache hold each
other, so that only the garbage collector frees it, whenever that comes by; a traceback or a caller
may hold any of them. Python 3.13 warns of sqlite3 connections that are collected open (ResourceWarning).

Bad:

    import sqlite3


    def save(path, name):
        with sqlite3.connect(path) as conn:
            conn.execute("INSERT INTO users(name) VALUES (?)", (name,))

Good:

    import sqlite3
    from contextlib import closing


    def save(path, name):
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.execute("INSERT INTO users(name) VALUES (?)", (name,))

`closing()` alone would lose the commit, so the connection stands in the `with` twice: commit or
rollback first, then close. A connection that is bound to a local and used only under one
`with conn:` counts, too.

Not flagged: `with conn:` on a parameter, attribute or global, which is the transaction of a connection that
lives on; drivers whose `with` closes (psycopg, PyMySQL, mysql-connector, oracledb, aiosqlite); connections that are
closed by hand, returned, stored, registered, wrapped, or used by a nested function; a `factory` of one's own.

The fix is safe when the connection and its cursors end with the block and the database is no `:memory:` one. It
is unsafe when a cursor is returned, the connection is yielded or lent to a function, the `with` has no name, for
pyodbc, outside of functions, and where `uri` or `**options` leave the database out of sight. There is none when the
connection or a cursor of it is used after the block, or by other code of the file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fates import loads
from perflint.analysis.connections.blocks import closes, sees
from perflint.analysis.connections.derived import reach
from perflint.analysis.connections.lifetimes import escaping, lifetime, managed
from perflint.analysis.database.drivers import CONNECTS, DRIVERS, PYODBC, Driver
from perflint.analysis.database.statements import text_of
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import entering
from perflint.analysis.tree import Function
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_OPENING = {
    name for driver in DRIVERS if not driver.closes and not driver.asynchronous for name in driver.connects
}
_SPELLINGS = library.spellings(_OPENING)

rule = Rule(
    code="PRF505",
    name="connection-with-does-not-close",
    summary="the `with` of a sqlite3, psycopg2 or pyodbc connection does not close it",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, sketch=entering(*_SPELLINGS)),
    doc=__doc__,
    benchmark=None,
    service=True,
)

_FREE = ("conn", "connection", "db")  # for a `with` that names nothing
_KEEPING = re.compile(
    r"^([A-Z_]*[A-Z]\w*|_*(make|create|build|open|new|wrap|init|from|register|append|add|put|push|setattr|partial|submit)(_.*)?)$"
)


class _Opened(NamedTuple):
    """One connection that a `with` statement ends the transaction of."""

    node: cst.With
    item: cst.WithItem
    call: cst.Call  # which connects
    driver: Driver
    name: cst.Name | None


@rule.visits(cst.With)
def check(node: cst.With, context: Context) -> Iterator[Finding]:
    if node.asynchronous is not None:
        return
    for item in node.items:
        opened = _opened(node, item, context)
        grade = _grade(opened, context) if opened is not None else None
        if opened is None or grade is None:
            continue
        name = opened.driver.name
        yield rule.finding(
            context,
            item.item,
            f"'with' on a {name} connection commits or rolls back but does not close it; wrap it in contextlib.closing(), as in 'with closing(...) as c, c:'",
            _fix(opened, grade, context),
        )


def _opened(node: cst.With, item: cst.WithItem, context: Context) -> _Opened | None:
    match item:
        case cst.WithItem(item=cst.Call() as call, asname=None | cst.AsName(name=cst.Name())):
            driver = _connects(call, context)
            name = item.asname.name if item.asname is not None else None
            assert name is None or isinstance(name, cst.Name)
            return _Opened(node, item, call, driver, name) if driver is not None else None
        case cst.WithItem(item=cst.Name() as used, asname=None):
            return _bound_before(node, item, used, context)
    return None


def _connects(call: cst.Call, context: Context) -> Driver | None:
    name = context.objects.function(call.func)
    words = {arg.keyword.value for arg in call.args if arg.keyword is not None}
    if name not in _OPENING or words & {"factory", "connection_factory"}:
        return None
    return CONNECTS[name]


def _bound_before(node: cst.With, item: cst.WithItem, used: cst.Name, context: Context) -> _Opened | None:
    """`c = sqlite3.connect(p)`, and `with c:` around every use."""
    owner = context.scope(used).owner(used.value)
    bindings = owner.bindings[used.value] if owner is not None and owner.kind == "function" else []
    if len(bindings) != 1 or bindings[0].kind != "assign" or not isinstance(bindings[0].value, cst.Call):
        return None
    call = bindings[0].value
    driver = _connects(call, context)
    if driver is None or context.flow.loop(node) is not context.flow.loop(call):
        return None
    life = lifetime(context, used)
    inside = life is not None and all(context.flow.inside(read, node) for read in life.reads)
    return _Opened(node, item, call, driver, used) if inside else None


def _grade(opened: _Opened, context: Context) -> Applicability | None:
    """How safe it is to close at the end of the block: DISPLAY where that breaks the code; None to stay silent."""
    name, node = opened.name, opened.node
    if name is None:
        return Applicability.UNSAFE
    loaded = loads(context.names, name)
    reads = [read for read in loaded if context.flow.inside(read, node)]
    after = [read for read in loaded if sees(context, read, node)]
    if any(closes(context, read) for read in (*reads, *after)):
        return None
    grades = [_use(read, context) for read in reads]
    if None in grades:
        return None
    far = reach(context, name)
    held = [read for item in far.names[1:] for read in loads(context.names, item)]
    if after or any(sees(context, read, node) for read in held) or _shared(opened, context):
        return Applicability.DISPLAY
    doubtful = far.escapes or _doubtful(opened, context)
    return min(Applicability.UNSAFE if doubtful else Applicability.SAFE, *(item for item in grades if item))


def _use(read: cst.Name, context: Context) -> Applicability | None:
    """How safe this use of the connection leaves it to be closed; None where it is somebody else's then."""
    own = context.scope(read).owner(read.value)
    function = next((item for item in context.tree.ancestors(read) if isinstance(item, Function)), None)
    if function is not (own.node if own is not None and own.kind == "function" else None):
        return None  # a nested function
    if not escaping(context, read):
        return Applicability.SAFE
    argument = context.tree.parent(read)
    if isinstance(argument, cst.Yield):  # a context manager or fixture ends with its caller's block
        return Applicability.UNSAFE if managed(context, read) else None
    call = context.tree.parent(argument) if isinstance(argument, cst.Arg) else None
    if not isinstance(call, cst.Call) or _KEEPING.match(last_name(call.func)):
        return None
    return Applicability.UNSAFE


def _shared(opened: _Opened, context: Context) -> bool:
    """Whether the connection is a module's or class's, and other code of the file may use it."""
    scope = context.scope(opened.node)
    if scope.kind == "function":
        return False
    assert opened.name is not None
    lines = range(*(context.source.line_of(at) for at in context.tree.span(opened.node)))
    name = opened.name.value
    return any(
        name in (getattr(part, "id", None), getattr(part, "attr", None))
        and getattr(part, "lineno", 0) not in (*lines, lines.stop)
        for part in ast.walk(context.facts.tree)
    )


def _doubtful(opened: _Opened, context: Context) -> bool:
    """Whether closing could be noticed for a reason that no use of the name tells."""
    scope = context.scope(opened.node)
    if scope.kind != "function" or context.flow.introspected(scope) or opened.driver is PYODBC:
        return True
    words = {
        arg.keyword.value if arg.keyword is not None else arg.star: arg.value for arg in opened.call.args
    }
    if "uri" in words or "**" in words or "*" in words:
        return True
    path = words.get("database", words.get(""))
    text = text_of(context, path) if path is not None else None
    return text is not None and (text in ("", ":memory:") or "mode=memory" in text)


def _fix(opened: _Opened, grade: Applicability, context: Context) -> Fix | None:
    if grade is Applicability.DISPLAY:
        return None
    tree = context.tree
    bare = opened.name is None
    name = opened.name.value if opened.name is not None else _free(context)
    place = import_edit(context.source, context.facts.tree, "contextlib", "closing", taken=(name or "",))
    if name is None or place is None:
        return None
    closing, added = place
    span = tree.span(opened.item.item)
    bracketed = bool(opened.item.item.lpar)
    end = tree.span(opened.item.asname.name).end if opened.item.asname is not None else span.end
    edits = [Edit(Span(span.start, span.start), closing if bracketed else f"{closing}(")]
    tail = "" if bracketed else ")"
    if bare:
        tail += f" as {name}"
    if end == span.end:
        edits.append(Edit(Span(end, end), f"{tail}, {name}"))
    else:
        edits += [Edit(Span(span.end, span.end), tail)] if tail else []
        edits.append(Edit(Span(end, end), f", {name}"))
    return Fix("Close the connection, too", (*edits, *((added,) if added is not None else ())), grade)


def _free(context: Context) -> str | None:
    """A name that the file does not use."""
    text = context.source.text
    return next((name for name in _FREE if not re.search(rf"\b{name}\b", text)), None)
