"""The error of a `commit()` is thrown away, and with it what the transaction wrote.

Deferred constraints, serialization failures, a full disk and a lost connection show at the commit. A
program that passes over that error goes on as if the rows were there.

Bad:

    import sqlite3


    def save(conn: sqlite3.Connection, row):
        conn.execute("INSERT INTO users(name) VALUES (?)", row)
        try:
            conn.commit()
        except Exception:
            pass

Good:

    import sqlite3


    def save(conn: sqlite3.Connection, row):
        conn.execute("INSERT INTO users(name) VALUES (?)", row)
        try:
            conn.commit()
        except Exception:
            conn.rollback()
            raise

With `pedantic = true` the errors of `close()` and `rollback()` count, too, as info: they tell that a
connection is broken before its pool hands it out again. `contextlib.suppress(Exception)` is such a clause.

Not flagged: clauses that log, raise or do anything else, clauses for particular errors, blocks that do more
than call the database before the commit, `__del__`, `__exit__`, handlers of signals and of the program's exit,
tests, receivers that are not known to belong to a database.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.handlers import WIDE, caught, is_silent
from perflint.analysis.database import drivers
from perflint.analysis.database.receivers import proved
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name, unawaited
from perflint.analysis.outline import leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch, awaited_for
from perflint.model.diagnostics import Finding, Severity

_ENDING = {"commit", "rollback", "close"}


def _hopeful(sketch: Sketch) -> bool:
    blocks = [node.body for node in sketch.of(ast.Try) if any(_quiet(item) for item in node.handlers)]
    blocks += [node.body for node in sketch.of(ast.With) if any(map(_suppresses, node.items))]
    for *_, last in blocks:
        match last:
            case ast.Expr(value=held):
                call = awaited_for(held)
                if isinstance(call, ast.Call) and leaf(call.func) in _ENDING and not call.args:
                    return True
    return False


def _quiet(handler: ast.ExceptHandler) -> bool:
    return all(
        isinstance(item, (ast.Pass, ast.Continue, ast.Break, ast.Expr, ast.Return)) for item in handler.body
    )


def _suppresses(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, ast.Call) and leaf(item.context_expr.func) == "suppress"


rule = Rule(
    code="PRF509",
    name="swallowed-close-error",
    summary="the error of commit(), rollback() or close() of a database connection is thrown away",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(text=(b".commit(", b".close(", b".rollback("), imports=drivers.IMPORTS, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
)

_KINDS = {"connection", "cursor", "session"}
_LAST_WORDS = re.compile(
    r"^(__del__|__exit__|__aexit__|_?(sig\w*|on_signal|handle_signal|atexit\w*|at_exit\w*))$"
)


@rule.visits(cst.Try)
def check(node: cst.Try, context: Context) -> Iterator[Finding]:
    swallows = next(
        (item for item in node.handlers if not WIDE.isdisjoint(caught(context.names, item))), None
    )
    if swallows is None or not is_silent(swallows):
        return
    yield from _ended(node.body, context)


@rule.visits(cst.With)
def check_suppress(node: cst.With, context: Context) -> Iterator[Finding]:
    for item in node.items:
        match item.item:
            case cst.Call(func=func, args=args) if last_name(func) == "suppress":
                named = context.names.qualified(func) == "contextlib.suppress"
                if named and any(context.names.qualified(arg.value) in WIDE for arg in args):
                    yield from _ended(node.body, context)


def _ended(body: cst.BaseSuite, context: Context) -> Iterator[Finding]:
    """The call that is all that a block does; a commit may follow its statements."""
    calls = [_call(item) for item in body.body]
    last = calls[-1] if calls else None
    match last:
        case cst.Call(func=cst.Attribute(value=on, attr=cst.Name(value=method)), args=[]) if (
            method in _ENDING
        ):
            pass
        case _:
            return
    audit = context.config.pedantic
    if method == "commit":
        alone = all(_of_database(item, context) for item in calls[:-1])
    else:
        alone = len(calls) == 1 and audit
    if not alone or not _of_database(last, context) or _last_words(last, context):
        return
    name = context.tree.shown(on)
    if method == "commit":
        message = f"an error of `{name}.commit()` is thrown away, and what was written is lost without a word; let it out, or roll back and log it"
    else:
        message = f"an error of `{name}.{method}()` is thrown away; it hides a broken connection; log it or attach it by add_note()"
    yield rule.finding(context, last, message, severity=None if method == "commit" else Severity.INFO)


def _call(item: cst.CSTNode) -> cst.Call | None:
    """The call that a statement is, awaited or not."""
    small = item.body[0] if isinstance(item, cst.SimpleStatementLine) and len(item.body) == 1 else item
    value = unawaited(small.value) if isinstance(small, cst.Expr) else None
    return value if isinstance(value, cst.Call) else None


def _of_database(call: cst.Call | None, context: Context) -> bool:
    if call is None or not isinstance(call.func, cst.Attribute):
        return False
    known = proved(context, call.func.value)
    return known is not None and known.kind in _KINDS


def _last_words(node: cst.CSTNode, context: Context) -> bool:
    """Whether nobody is left to tell: destructors, `__exit__`, handlers of signals and of the exit."""
    function = context.tree.function(node)
    if function is None:
        return False
    if _LAST_WORDS.match(function.name.value):
        return True
    return any(
        leaf(call.func) in ("register", "signal", "add_signal_handler", "finalize")
        and any(leaf(argument) == function.name.value for argument in call.args)
        for call, _ in context.facts.outline.calls
        if isinstance(call, ast.Call)
    )
