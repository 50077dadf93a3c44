"""One statement after the other writes rows that one call could write together.

Each `execute()` is a call, a look into the statement cache and, with a server, a round trip that
the loop waits for. `executemany()` prepares once, and most drivers send its rows without
waiting for each answer.

Bad:

    import sqlite3


    def save(path, users):
        conn = sqlite3.connect(path)
        for user in users:
            conn.execute("INSERT INTO users(name, age) VALUES (?, ?)", (user.name, user.age))
        conn.commit()
        conn.close()

Good:

    import sqlite3


    def save(path, users):
        conn = sqlite3.connect(path)
        conn.executemany(
            "INSERT INTO users(name, age) VALUES (?, ?)",
            ((user.name, user.age) for user in users),
        )
        conn.commit()
        conn.close()

In a migration, which runs once, the finding is an info, and only where the rows come from a query.

Not flagged: statements whose result is used (`lastrowid`, `RETURNING`, `rowcount` in the loop); texts and
tables that depend on the item, and an UPDATE of the columns that it names (`values(**item)`); anything but
INSERT, UPDATE, DELETE, REPLACE and MERGE; loops over items that the source spells out; loops that also
read from the database, hand it on or write several rows at once, and rows that are put together already
(`rows`, `batch`); a `try`, a `with`, a savepoint, a transaction or a connection per row; the same text for
the second time in a loop; retries, workers, paced loops, psycopg's `pipeline()`; UPDATE and DELETE on
MySQL, whose drivers loop over them.

The fix is safe for sqlite3 with its default transactions, where the loop holds nothing else, what it
evaluates runs no other code, nobody looks at the loop's variable, `rowcount` or `lastrowid`
afterwards, and either `with conn:` ends the transaction or the next statement commits a
connection that is the function's own. An error then leaves the same rows and the same
state. It takes for granted that the database accepts the statement: a missing table is an error
of `executemany()` even without rows. Everything else is unsafe: asyncpg writes all rows or none, as
psycopg does with autocommit; MySQL's drivers build one statement; other drivers get a list of all rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.database import drivers
from perflint.analysis.database.batches import advice, is_safe, many
from perflint.analysis.database.items import per_item, written_out
from perflint.analysis.database.migrations import migrates, reads_rows
from perflint.analysis.database.rows import rows_of
from perflint.analysis.database.statements import (
    Statement,
    bound_in,
    made_from,
    of_many_rows,
    statement,
    statements,
    table_of,
)
from perflint.analysis.database.transactions import connection_of, entered, is_cursor, made_in, withs
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, names_in
from perflint.analysis.patterns.invariance import few
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import repeats
from perflint.analysis.tree import Comprehension, walk, walk_scope
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF501",
    name="execute-in-loop",
    summary="rows are written one statement at a time",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b".execute",), imports=drivers.IMPORTS, sketch=repeats("execute")),
    doc=__doc__,
    benchmark=Benchmark(
        setup="""
        import atexit, os, shutil, sqlite3, tempfile
        from types import SimpleNamespace
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)
        path = os.path.join(folder, "users.db")
        made = sqlite3.connect(path)
        made.execute("CREATE TABLE users(name, age)")
        made.close()
        users = [SimpleNamespace(name=f"user {i}", age=i % 90) for i in range(n)]
        """,
        call="save(path, users)",
        sizes=(100, 1_000, 10_000),
    ),
)

_RESULTS = {
    *("lastrowid", "rowcount", "description", "total_changes", "inserted_primary_key", "returned_defaults"),
    *("fetchone", "fetchall", "fetchmany", "fetchval", "statusmessage", "insert_id", "nextset"),
}
_BATCH = re.compile(r"(^|_)(chunk|batch|rows|records)(s|es|ed)?$", re.I)  # many rows at once
_READS = {"query", "get", "get_one", "scalar", "scalars", "refresh", "flush", "copy", "fetch", "fetchrow"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, cst.Attribute) or node.func.attr.value != "execute":
        return
    loop = per_item(context, node) if _discarded(node, context) else None
    if loop is None or few(context.flow, loop) or written_out(context, loop):
        return
    found = statement(context, node, loop)
    if found is None or not found.writes or found.returns_rows or not _varies(found, loop, context):
        return
    instead = advice(found)
    if migrates(context) and not reads_rows(context, loop):
        return  # a few rows to begin with
    if instead is None or not _first(found, loop, context) or _deliberate(found, loop, context):
        return
    name = context.tree.shown(found.on)
    yield rule.finding(
        context,
        node,
        f"`{name}.execute()` runs one {found.verb} per iteration; {instead}",
        _fix(found, loop, context),
        Severity.INFO if migrates(context) else None,
    )


def _discarded(node: cst.Call, context: Context) -> bool:
    """Whether the call is a statement of its own, or all that a comprehension makes."""
    return isinstance(context.tree.taker(node), (cst.Expr, cst.ListComp, cst.SetComp, cst.GeneratorExp))


def _varies(found: Statement, loop: cst.CSTNode, context: Context) -> bool:
    """Whether what is written depends on the item, and where it is written does not."""
    bound = bound_in(loop)
    if found.verb == "UPDATE" and any(getattr(item, "star", "") == "**" for item in walk(found.sql)):
        return False  # the item says which columns
    if found.text is not None:
        return any(names_in(item.value) & bound for item in found.params)
    table = table_of(context, found.sql)
    parts = [found.sql, *(item.value for item in found.params)]
    if isinstance(found.sql, cst.Name) and found.sql.value in bound and table is not None:
        return not names_in(table) & bound
    return any(names_in(part) & bound for part in parts) and not names_in(table) & bound


def _first(found: Statement, loop: cst.CSTNode, context: Context) -> bool:
    """Whether no call before it in the loop runs the same text: one finding is enough."""
    for other in statements(context, loop, loop):
        if other.call is found.call:
            return True
        if other.text is not None and other.text == found.text:
            return False
    return True


def _deliberate(found: Statement, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the rows are written one by one for a reason, or in a batch already."""
    if made_in(context, found.on, loop) or context.flow.tried(found.call, loop):
        return True  # a `try` deals with each row on its own
    if any(_BATCH.search(name) for part in made_from(context, found) for name in names_in(part)):
        return True
    inside = (item for item in withs(context, found.call, loop) if entered(item) != "open")
    if any(not is_cursor(context, item) for item in inside):
        return True
    if any(entered(item) == "pipeline" for item in withs(context, found.call)):
        return True
    return _reads(found, loop, context)


def _reads(found: Statement, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the loop may look at what it wrote, or at what a statement returned, or writes group by group."""
    block = loop.body if isinstance(loop, (cst.For, cst.While)) else loop
    for other in statements(context, block, loop):
        if not other.writes or other.returns_rows or of_many_rows(context, other):
            return True
    own = {dotted(found.on), dotted(connection_of(context, found.on))} - {None}
    if isinstance(loop, cst.For) and found.receiver.kind == "cursor" and names_in(loop.iter) & own:
        return True
    for part in walk_scope(block):
        match part:
            case cst.Attribute(attr=cst.Name(value=name)) if name in _RESULTS:
                return True
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name))) if (
                name in _READS and dotted(owner) in own
            ):
                return True
            case cst.Arg(value=value) if dotted(value) in own:
                return True
    return False


def _fix(found: Statement, loop: cst.CSTNode, context: Context) -> Fix | None:
    driver = found.receiver.driver
    if driver is None or not found.receiver.proved or (isinstance(loop, cst.While) or _nested(loop, context)):
        return None
    apart = driver.name == "asyncpg"
    if not apart and len(found.params) != 1:
        return None
    place = _replaced(found.call, loop, context)
    rows = rows_of(context, loop, found.params, [place] if place is not None else [], apart)
    if place is None or rows is None:
        return None
    span = Span(context.tree.span(loop).start, context.tree.span(place).end)
    text = many(context, found, loop, rows)
    if text is None:
        return None
    safe = is_safe(context, found, loop, rows)
    grade = Applicability.SAFE if safe else Applicability.UNSAFE
    return Fix("Write all rows by one call", (Edit(span, text),), grade)


def _nested(loop: cst.CSTNode, context: Context) -> bool:
    """Whether an outer loop does nothing but run this one: all of its rows belong together."""
    block = context.tree.parent(loop)
    alone = isinstance(block, cst.IndentedBlock) and len(block.body) == 1
    return block is not None and alone and isinstance(context.tree.parent(block), (cst.For, cst.While))


def _replaced(call: cst.Call, loop: cst.CSTNode, context: Context) -> cst.CSTNode | None:
    """The statement that goes: the call's own, or that of a comprehension whose value nobody takes."""
    tree = context.tree
    parent = tree.parent(loop) if isinstance(loop, Comprehension) else tree.taker(call)
    return parent if isinstance(parent, cst.Expr) else None
