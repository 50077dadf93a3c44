"""A transaction is begun and committed by hand, and nothing rolls it back after an error.

An error between BEGIN and COMMIT leaves the transaction open on a connection that lives on: its locks stay, other
writers wait or fail, and whatever the connection does next becomes part of the old transaction.

Bad:

    import sqlite3


    def move(conn: sqlite3.Connection, amount, source, target):
        conn.execute("BEGIN")
        conn.execute("UPDATE accounts SET sum = sum - ? WHERE id = ?", (amount, source))
        conn.execute("UPDATE accounts SET sum = sum + ? WHERE id = ?", (amount, target))
        conn.commit()

Good:

    import sqlite3


    def move(conn: sqlite3.Connection, amount, source, target):
        with conn:
            conn.execute("BEGIN")
            conn.execute("UPDATE accounts SET sum = sum - ? WHERE id = ?", (amount, source))
            conn.execute("UPDATE accounts SET sum = sum + ? WHERE id = ?", (amount, target))

Found for BEGIN and START TRANSACTION with a COMMIT or `commit()` in the same function, SAVEPOINT with RELEASE, asyncpg's
`start()` and SQLAlchemy's `begin()`. Off by default: an audit for programs with connections that live long.

Not flagged: functions that roll back anywhere, transactions as context managers, a connection that
the function opens and closes (closing rolls back), functions that only begin or only commit, tests.

The fix is for sqlite3's BEGIN and asyncpg's `start()`, where that and the one commit are lines of one block. It is
unsafe: after an error the transaction is rolled back, where it was left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis.concurrency.fates import loads
from perflint.analysis.connections.lifetimes import bound_to, lifetime
from perflint.analysis.connections.openings import closed_here
from perflint.analysis.connections.wrapping import enclosed
from perflint.analysis.database import drivers
from perflint.analysis.database.statements import Statement, statement, statements
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, last_name
from perflint.analysis.names import Binding
from perflint.analysis.rewrite import indent_unit, indented, remove, statement_lines
from perflint.analysis.rule import Context, Rule
from perflint.analysis.tree import walk_scope
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF510",
    name="transaction-without-rollback",
    summary="a transaction that is begun and committed by hand, and not rolled back after an error",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b".execute(", b".exec", b".begin(", b".start(", b".begin_nested("), imports=drivers.IMPORTS
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
)

_SAVEPOINT = re.compile(r"^\s*SAVEPOINT\b", re.I)
_UNDOES = re.compile(r"\bROLLBACK\b", re.I)
_SQLALCHEMY = {drivers.SQLALCHEMY.connection, drivers.SQLALCHEMY_ASYNC.connection, *drivers.SESSIONS}


class _Begun(NamedTuple):
    """A call that begins a transaction."""

    call: cst.Call
    on: cst.BaseExpression  # the connection, cursor or session
    word: str  # as the message shows it
    ends: tuple[str, ...]  # what commits it
    name: cst.Name | None = None  # of the transaction's object


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    begun = _begun(node, context)
    function = context.tree.function(node) if begun is not None else None
    if begun is None or function is None or closed_here(context, begun.on):
        return
    calls = [part for part in walk_scope(function.body) if isinstance(part, cst.Call)]
    every = statements(context, function.body)
    if any(last_name(part.func) in ("rollback", "abort") for part in calls):
        return
    if any(_UNDOES.search(item.text or "") for item in every):
        return
    start = context.tree.span(node).end
    ends = [part for part in calls if context.tree.span(part).start > start and _commits(part, begun, every)]
    if not ends:
        return
    yield rule.finding(
        context,
        node,
        f"{begun.word} is not rolled back after an error: the transaction stays open; {_remedy(begun)}",
        _fix(begun, ends, context),
    )


def _begun(node: cst.Call, context: Context) -> _Begun | None:
    match node.func:
        case cst.Attribute(value=on, attr=cst.Name(value="begin" | "begin_nested" as method)):
            known = context.objects.type(on) in _SQLALCHEMY
            return (
                _Begun(node, on, f"`{method}()`", ("commit",)) if known and _by_hand(node, context) else None
            )
        case cst.Attribute(value=cst.Name() as name, attr=cst.Name(value="start")):
            made_on = _transaction(name, context)
            return (
                _Begun(node, made_on, f"`{name.value}.start()`", ("commit",), name)
                if made_on is not None
                else None
            )
        case cst.Attribute(attr=cst.Name(value="execute" | "exec_driver_sql" | "exec")):
            run = statement(context, node)
            if run is None or run.text is None or run.verb not in ("BEGIN", "START", "SAVEPOINT"):
                return None
            nested = run.verb == "SAVEPOINT"
            shown = {"BEGIN": "BEGIN", "START": "START TRANSACTION", "SAVEPOINT": "SAVEPOINT"}[run.verb]
            return _Begun(node, run.on, shown, ("RELEASE",) if nested else ("COMMIT", "END", "commit"))
    return None


def _by_hand(node: cst.Call, context: Context) -> bool:
    """Whether no `with` ends the transaction."""
    if isinstance(context.tree.taker(node), cst.Expr):
        return True
    name = bound_to(context, node)
    life = lifetime(context, name) if name is not None else None
    return life is not None and not life.escapes and not any(end.place == "with" for end in life.ends)


def _transaction(name: cst.Name, context: Context) -> cst.BaseExpression | None:
    """The connection of `tr = conn.transaction()`."""
    match context.names.bindings(name):
        case [Binding(value=cst.Call(func=cst.Attribute(value=on, attr=cst.Name(value="transaction"))))]:
            return on if context.objects.type(on) == drivers.ASYNCPG.connection else None
    return None


def _commits(call: cst.Call, begun: _Begun, every: list[Statement]) -> bool:
    if "commit" in begun.ends and last_name(call.func) == "commit":
        return True
    return any(
        item.call is call and (item.text or "").lstrip().upper().startswith(begun.ends) for item in every
    )


def _remedy(begun: _Begun) -> str:
    if begun.word == "SAVEPOINT":
        return "run ROLLBACK TO in an except"
    if begun.name is not None and begun.word.endswith("start()`"):
        return "use 'async with conn.transaction():'"
    return "use the connection's own 'with', or roll back in an except"


def _fix(begun: _Begun, ends: list[cst.Call], context: Context) -> Fix | None:
    """A `with` around what stands between, where the begin and its commit are lines of one block."""
    tree = context.tree
    first, last = tree.statement(begun.call), tree.statement(ends[0])
    block = tree.parent(first)
    if len(ends) != 1 or block is not tree.parent(last) or not isinstance(block, cst.IndentedBlock):
        return None
    if (
        not _alone(first, begun.call)
        or not _alone(last, ends[0])
        or tree.comments(statement_lines(tree, last))
    ):
        return None
    body = list(block.body)
    inner = body[body.index(first) + 1 : body.index(last)]
    jumps = (cst.Return, cst.Break, cst.Continue, cst.Yield)
    if not inner or any(isinstance(part, jumps) for item in inner for part in walk_scope(item)):
        return None
    edits = _of_sqlite(begun, ends[0], inner[-1], context) or _of_asyncpg(begun, ends[0], inner, context)
    if edits is None:
        return None
    return Fix("Commit or roll back by `with`", (*edits, remove(tree, last)), Applicability.UNSAFE)


def _of_sqlite(
    begun: _Begun, end: cst.Call, last: cst.BaseStatement, context: Context
) -> tuple[Edit, ...] | None:
    """BEGIN stays: without it a connection in autocommit mode would begin nothing."""
    place = dotted(begun.on)
    if begun.word != "BEGIN" or place is None or not isinstance(end.func, cst.Attribute):
        return None
    if context.objects.type(begun.on) != drivers.SQLITE3.connection or dotted(end.func.value) != place:
        return None
    return enclosed(context, context.tree.statement(begun.call), last, f"with {place}:")


def _of_asyncpg(
    begun: _Begun, end: cst.Call, inner: list[cst.BaseStatement], context: Context
) -> tuple[Edit, ...] | None:
    """`tr = conn.transaction()` with its start and commit is `async with conn.transaction():`."""
    tree, name = context.tree, begun.name
    if name is None or len(loads(context.names, name)) != 2:
        return None
    owner = context.scope(name).owner(name.value)
    made = owner.bindings[name.value][0] if owner is not None else None
    line = tree.statement(made.node) if made is not None else None
    start = tree.statement(begun.call)
    if made is None or made.value is None or line is None or tree.parent(line) is not tree.parent(start):
        return None
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    if tree.comments(statement_lines(tree, line)) or not isinstance(end.func, cst.Attribute):
        return None
    lines = Span(statement_lines(tree, inner[0]).start, statement_lines(tree, inner[-1]).end)
    assert isinstance(start, cst.SimpleStatementLine)
    header = Edit(tree.span(start.body[0]), f"async with {tree.code(made.value)}:")
    block = tree.parent(start)
    assert isinstance(block, cst.IndentedBlock)
    return remove(tree, line), header, *indented(tree, lines, indent_unit(tree, block))


def _alone(item: cst.BaseStatement, call: cst.Call) -> bool:
    """Whether the statement is the call, awaited or not, and nothing else."""
    match item:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Await(expression=value) | value)]):
            return value is call
    return False
