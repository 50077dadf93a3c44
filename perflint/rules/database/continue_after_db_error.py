"""A row's error is caught and the loop goes on, but PostgreSQL has given the transaction up.

After an error PostgreSQL refuses every statement of the transaction until it is rolled back, and
its `COMMIT` is then a rollback. The rows before the error are lost with those behind it, and the
program ends as if all was well. A savepoint per row (`with conn.transaction():` of psycopg and
asyncpg) undoes the one row.

Bad:

    import psycopg


    def load(dsn, rows):
        skipped = 0
        with psycopg.connect(dsn) as conn:
            for row in rows:
                try:
                    conn.execute("INSERT INTO users VALUES (%s, %s)", row)
                except psycopg.Error:
                    skipped += 1
        return skipped

Good:

    import psycopg


    def load(dsn, rows):
        skipped = 0
        with psycopg.connect(dsn) as conn:
            for row in rows:
                try:
                    with conn.transaction():
                        conn.execute("INSERT INTO users VALUES (%s, %s)", row)
                except psycopg.Error:
                    skipped += 1
        return skipped

Looked at: psycopg, psycopg2, asyncpg inside `async with conn.transaction():`, and SQLAlchemy where the file
itself makes its engine for PostgreSQL.

Not flagged: handlers that roll back, raise, leave the loop, end the program or make a new connection, be it
in `else` or `finally`; another `try` around the statement alone; a savepoint, transaction or connection per row;
files that speak of autocommit; a commit in the loop; `ON CONFLICT`; clauses that catch no database error; retries and
workers; connections that other code sets up, where nothing in the function shows a transaction; other
databases, which undo the one statement.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.handlers import caught, leaves, raises
from perflint.analysis.database.drivers import Driver
from perflint.analysis.database.items import per_item
from perflint.analysis.database.sql import WRITES
from perflint.analysis.database.statements import Statement, statements
from perflint.analysis.database.transactions import (
    connection_of,
    is_cursor,
    is_transaction,
    made_in,
    rolls_back,
    withs,
)
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.outline import leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.tree import walk, walk_scope
from perflint.model.diagnostics import Finding, Severity

rule = Rule(
    code="PRF508",
    name="continue-after-db-error",
    summary="a loop goes on after an error that ended its transaction",
    category="database",
    severity=Severity.ERROR,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".execute",),
        loop=True,
        imports=("psycopg", "psycopg2", "psycopg_pool", "asyncpg", "sqlalchemy", "sqlmodel"),
    ),
    doc=__doc__,
    benchmark=None,
)

_MESSAGE = (
    "after this error the transaction is aborted: every later statement fails and the final commit saves "
    'nothing; use a savepoint per row or batch_execute(on_error="quarantine")'
)
_WIDE = {"", "builtins.Exception", "builtins.BaseException"}
_RECOVERS = re.compile(r"rollback|reset|recover|reconnect|connect|abort|exit|close|fail", re.I)
_UNDONE = re.compile(r"\bON\s+CONFLICT\b", re.I)


@rule.visits(cst.Try)
def tries(node: cst.Try, context: Context) -> Iterator[Finding]:
    found = _endangered(node, node.body, context)
    if found is None:
        return
    for handler in node.handlers:
        if _catches(caught(context.names, handler), found):
            if not (raises(handler) or leaves(handler) or _recovers(handler)) and not _rest_recovers(node):
                yield rule.finding(context, found.call, _MESSAGE)
            return


@rule.visits(cst.With)
def suppressed(node: cst.With, context: Context) -> Iterator[Finding]:
    for item in node.items:
        if not isinstance(item.item, cst.Call):
            continue
        if context.names.qualified(item.item.func) != "contextlib.suppress":
            continue
        found = _endangered(node, node.body, context)
        names = {context.names.qualified(arg.value) or "?" for arg in item.item.args}
        if found is not None and _catches(names, found):
            yield rule.finding(context, found.call, _MESSAGE)


def _endangered(node: cst.Try | cst.With, body: cst.BaseSuite, context: Context) -> Statement | None:
    """The first write of the block whose error would end the transaction of the whole loop."""
    loop = per_item(context, node)
    if not isinstance(loop, (cst.For, cst.While)):
        return None
    found = next((item for item in statements(context, body) if item.verb in WRITES), None)
    if found is None or not _aborts(found, context) or per_item(context, found.call) is not loop:
        return None
    if found.text is not None and _UNDONE.search(found.text):
        return None
    if made_in(context, found.on, loop) or b"autocommit" in context.source.data.lower():
        return None
    if rolls_back(loop.body) or _ends_in(loop, context):
        return None
    apart = (item for item in withs(context, found.call, loop) if not is_cursor(context, item))
    if any(is_transaction(context, item) for item in apart) or context.flow.tried(found.call, node):
        return None
    return found if _in_transaction(found, loop, context) else None


def _aborts(found: Statement, context: Context) -> bool:
    driver = found.receiver.driver
    if driver is None:
        return False
    return driver.aborts or (driver.package == "sqlalchemy" and _on_postgres(context))


def _on_postgres(context: Context) -> bool:
    """Whether every engine that the file makes is PostgreSQL's."""
    urls = [
        call.args[0]
        for call, _ in context.facts.outline.calls
        if leaf(call.func) in ("create_engine", "create_async_engine") and call.args
    ]
    return bool(urls) and all(
        isinstance(url, ast.Constant) and str(url.value).startswith(("postgresql", "postgres"))
        for url in urls
    )


def _ends_in(loop: cst.For | cst.While, context: Context) -> bool:
    """Whether a turn commits, or sets a savepoint by SQL."""
    calls = (part for part in walk_scope(loop.body) if isinstance(part, cst.Call))
    if any(last_name(call.func) in ("commit", "begin_nested", "savepoint") for call in calls):
        return True
    return any(
        found.verb in ("SAVEPOINT", "COMMIT", "ROLLBACK", "BEGIN") for found in statements(context, loop.body)
    )


def _in_transaction(found: Statement, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the function shows that the loop runs in one transaction.

    psycopg begins one by itself: a connection made here, a `with conn:`, or a `commit()` afterwards tells
    that autocommit is off. asyncpg has none without `transaction()`.
    """
    outer = list(withs(context, loop))
    if any(is_transaction(context, item) for item in outer):
        driver = found.receiver.driver
        return driver is None or driver.name != "asyncpg" or any(_opens(item) for item in outer)
    if found.receiver.driver is None or found.receiver.driver.name == "asyncpg":
        return False
    function = context.tree.function(loop)
    block = function.body if function is not None else context.tree.root
    if any(isinstance(part, cst.Call) and last_name(part.func) == "commit" for part in walk_scope(block)):
        return True
    made = context.objects.of(connection_of(context, found.on))
    return made is not None and bool(made.calls) and found.receiver.driver.package != "sqlalchemy"


def _opens(item: cst.WithItem) -> bool:
    return isinstance(item.item, cst.Call) and last_name(item.item.func) == "transaction"


def _catches(names: set[str], found: Statement) -> bool:
    """Whether one of these names stands for an error of the driver."""
    driver = found.receiver.driver
    packages = (driver.package + ".",) if isinstance(driver, Driver) else ()
    return any(name in _WIDE or name.startswith(packages) for name in names)


def _recovers(handler: cst.ExceptHandler) -> bool:
    """Whether the clause may bring the connection back, or end the program."""
    return any(
        isinstance(part, cst.Call) and _RECOVERS.search(last_name(part.func)) for part in walk(handler.body)
    )


def _rest_recovers(node: cst.Try) -> bool:
    parts = (part for block in (node.orelse, node.finalbody) if block is not None for part in walk(block))
    return any(isinstance(part, cst.Call) and _RECOVERS.search(last_name(part.func)) for part in parts)
