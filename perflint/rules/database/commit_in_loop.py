"""A commit in each turn of a loop makes the disk or the server confirm every row on its own.

A transaction that is committed has reached the disk. Committing once, or once per batch, waits for
that once.

Bad:

    import sqlite3


    def save(path, rows):
        conn = sqlite3.connect(path)
        for row in rows:
            conn.execute("INSERT INTO readings(at, value) VALUES (?, ?)", row)
            conn.commit()
        conn.close()

Good:

    import sqlite3


    def save(path, rows):
        conn = sqlite3.connect(path)
        for row in rows:
            conn.execute("INSERT INTO readings(at, value) VALUES (?, ?)", row)
        conn.commit()
        conn.close()

Looked at: `commit()` of connections and sessions, and a `with` that commits at its end and holds one
write alone: `with conn:` of sqlite3 and psycopg2, `transaction()`, `begin()`, `atomic()`.

Not flagged: commits that a counter, a size or a clock guards, or that one turn alone comes to
(`if run is None:`); batches, pages, a statement that writes many rows; loops over items that the source
spells out; workers, polls, paced loops, retries, generators; a turn that does something outside of the
database, which a commit must come before; a `try` that deals with each item; a rollback in the loop, or a
handler that takes a turn back; a connection per item; DDL; savepoints, and blocks in an outer transaction.

In a migration, which runs once, the finding is an info.

The fix is unsafe: an error now loses all rows, locks are held to the end, and nobody else sees a row
before. With `runtime-fixes` it is `perflint.runtime.batch_execute`, which commits per thousand rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import rewrite
from perflint.analysis.database import drivers
from perflint.analysis.database.batches import laid_out
from perflint.analysis.database.commits import deliberate, is_write, sole_transaction, writes_in
from perflint.analysis.database.items import in_batches, per_item, written_out
from perflint.analysis.database.migrations import migrates
from perflint.analysis.database.receivers import receiver
from perflint.analysis.database.rows import rows_of
from perflint.analysis.database.statements import bound_in, statement
from perflint.analysis.database.transactions import connection_of, made_in
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, names_in, unawaited
from perflint.analysis.patterns.invariance import few
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF502",
    name="commit-in-loop",
    summary="each row is committed on its own",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b".commit", b".execute", b".begin", b"atomic"),
        loop=True,
        imports=(*drivers.IMPORTS, "django"),
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="""
        import atexit, os, shutil, sqlite3, tempfile
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)
        path = os.path.join(folder, "readings.db")
        made = sqlite3.connect(path)
        made.execute("CREATE TABLE readings(at, value)")
        made.close()
        rows = [(i, i * 7 % 100) for i in range(n)]
        """,
        call="save(path, rows)",
        sizes=(3, 10, 30),
        measure="wall",
    ),
)

_ADVICE = "commit once after the loop or per batch"
_LEAVING = (cst.Break, cst.Continue, cst.Return, cst.Raise, cst.Try, cst.TryStar, cst.Yield)
_MEMORY = re.compile(r":memory:|mode=memory")


@rule.visits(cst.Call)
def commits(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, cst.Attribute) or node.func.attr.value != "commit" or node.args:
        return
    owner, loop = node.func.value, per_item(context, node)
    if not isinstance(loop, (cst.For, cst.While)) or not _alone(node, context) or few(context.flow, loop):
        return
    known = receiver(context, owner)
    django = context.objects.function(node.func) == "django.db.transaction.commit"
    if not django and (known is None or known.kind not in ("connection", "session")):
        return
    if written_out(context, loop) or made_in(context, owner, loop):
        return
    if in_batches(loop) or deliberate(context, node, loop):
        return
    # what SQLAlchemy's files call `db` is a session as often as a connection
    guess = known is not None and not known.proved and known.driver is drivers.SQLALCHEMY
    session = guess or (known is not None and known.kind == "session")
    if not writes_in(context, loop, owner, session, django):
        return
    cost = "one transaction" if _in_memory(owner, context) else "one fsync"
    message = f"`{context.tree.shown(owner)}.commit()` per iteration costs {cost} per row; {_ADVICE}"
    fix = _fix(node, loop, context) if known is not None and known.proved else None
    yield rule.finding(context, node, message, fix, _severity(context))


@rule.visits(cst.With)
def transactions(node: cst.With, context: Context) -> Iterator[Finding]:
    loop = sole_transaction(context, node)
    if loop is None or per_item(context, node) is not loop or in_batches(loop) or few(context.flow, loop):
        return
    if deliberate(context, node, loop) or not is_write(context, node):
        return
    item = node.items[0]
    code = context.tree.shown(item.item)
    message = f"`with {code}` commits per iteration and costs one fsync per row; {_ADVICE}"
    yield rule.finding(context, item, message, _swap(node, loop, context), _severity(context))


def _severity(context: Context) -> Severity | None:
    """A migration runs once."""
    return Severity.INFO if migrates(context) else None


def _alone(node: cst.Call, context: Context) -> bool:
    return isinstance(context.tree.taker(node), cst.Expr)


def _in_memory(owner: cst.BaseExpression, context: Context) -> bool:
    """Whether the database is in memory: there is nothing to wait for."""
    made = context.objects.of(owner)
    paths = [call.args[0] for call in made.calls if call.args] if made is not None else []
    return any(_MEMORY.search(str(getattr(path, "value", ""))) for path in paths)


def _fix(node: cst.Call, loop: cst.For | cst.While, context: Context) -> Fix | None:
    batched = _in_batch_execute(context, node, loop) if isinstance(loop, cst.For) else None
    if batched is not None:
        return Fix("Write in batches", batched, Applicability.UNSAFE)
    edits = _dedented(node, loop, context)
    return Fix("Commit after the loop", edits, Applicability.UNSAFE) if edits else None


def _dedented(node: cst.Call, loop: cst.For | cst.While, context: Context) -> tuple[Edit, ...]:
    """Move the commit, the last statement of the body, out of the loop."""
    tree, line = context.tree, context.tree.statement(node)
    if loop.orelse is not None or not isinstance(line, cst.SimpleStatementLine):
        return ()
    if not isinstance(loop.body, cst.IndentedBlock) or loop.body.body[-1] is not line:
        return ()
    if any(isinstance(part, _LEAVING) for part in walk_scope(loop.body)):
        return ()
    if any(item.comment is not None for item in line.leading_lines):
        return ()
    last = line.body[-1]
    if node not in set(walk_scope(last)):
        return ()
    if len(line.body) == 1:
        start = rewrite.statement_lines(tree, line).start
        return (Edit(Span(start, tree.span(line).start), rewrite.indentation(tree, loop)),)
    cut = Edit(Span(tree.span(line.body[-2]).end, tree.span(last).end), "")
    return (cut, rewrite.insert_after(tree, loop, tree.code(last)))


def _swap(node: cst.With, loop: cst.For | cst.While, context: Context) -> Fix | None:
    """Put the `with` around the loop: their first lines change places."""
    tree, item = context.tree, node.items[0]
    if not isinstance(loop, cst.For) or loop.orelse is not None or loop.leading_lines or node.leading_lines:
        return None
    known = receiver(context, item.item)
    sure = known.proved if known is not None else isinstance(item.item, cst.Call)
    if not sure or names_in(item.item) & bound_in(loop) or not isinstance(node.lpar, cst.MaybeSentinel):
        return None
    if any(isinstance(part, _LEAVING) for part in walk_scope(node.body)):
        return None
    outer = Span(tree.span(loop).start, tree.span(loop.iter).end)
    inner = Span(tree.span(node).start, tree.span(item).end)
    texts = [tree.source.slice(*span) for span in (outer, inner)]
    if any("\n" in text or "\r" in text for text in texts):
        return None
    edits = (Edit(outer, texts[1]), Edit(inner, texts[0]))
    return Fix("Open one transaction around the loop", edits, Applicability.UNSAFE)


def _in_batch_execute(context: Context, commit: cst.Call, loop: cst.For) -> tuple[Edit, ...] | None:
    """`batch_execute(conn, sql, rows)` in place of a loop that writes a row and commits it; see `runtime-fixes`."""
    tree = context.tree
    smalls = _last_smalls(loop.body)
    match smalls:
        case [cst.Expr(value=write), cst.Expr(value=end)] if commit in (
            end,
            getattr(end, "expression", None),
        ):
            call = unawaited(write)
        case _:
            return None
    found = statement(context, call, loop) if isinstance(call, cst.Call) else None
    assert isinstance(commit.func, cst.Attribute)
    same = found is not None and dotted(connection_of(context, found.on)) == dotted(commit.func.value)
    if found is None or not same or not found.writes or not found.receiver.proved or len(found.params) != 1:
        return None
    if found.receiver.driver is None or found.receiver.kind not in ("connection", "cursor"):
        return None
    rows = rows_of(context, loop, found.params, smalls)
    name = "abatch_execute" if isinstance(write, cst.Await) else "batch_execute"
    imported = runtime_import(context.source, context.facts.tree, context.config, name)
    if rows is None or imported is None or not rows.lazy or found.receiver.driver.package == "sqlalchemy":
        return None
    awaited = "await " if isinstance(write, cst.Await) else ""
    arguments = [tree.code(commit.func.value), tree.code(found.sql), rows.generator()]
    text = laid_out(context, loop, awaited + imported[0], arguments)
    span = Span(tree.span(loop).start, tree.span(smalls[-1]).end)
    return tuple(edit for edit in (Edit(span, text), imported[1]) if edit is not None)


def _last_smalls(block: cst.BaseSuite) -> list[cst.BaseSmallStatement]:
    """The last two small statements of a block."""
    lines = [item for item in block.body if isinstance(item, cst.SimpleStatementLine)]
    if isinstance(block, cst.SimpleStatementSuite):
        return list(block.body)[-2:]
    return [small for line in lines for small in line.body][-2:]
