"""One query per item of a loop (N+1 queries), where one query could fetch all rows.

Each query is a round trip: the loop waits for the network N times, however fast the server is. One query with
`IN`, `= ANY(..)` or a join, `in_bulk()`, `mget()` or `$in` waits once.

Bad:

    import psycopg


    def names_of(conn: psycopg.Connection, ids):
        found = {}
        for key in ids:
            row = conn.execute("SELECT name FROM users WHERE id = %s", (key,)).fetchone()
            found[key] = row[0]
        return found

Good:

    import psycopg


    def names_of(conn: psycopg.Connection, ids):
        rows = conn.execute("SELECT id, name FROM users WHERE id = ANY(%s)", (list(ids),))
        return dict(rows.fetchall())

Off by default: how many items there are, and whether their queries can be put together, is not in the text.

Not flagged: attributes that load a relation (`order.customer.name`), which the text does not show;
databases in this process (SQLite's documentation calls many small queries fine); `while` loops, which walk from
row to row or page by page, and a `for` over a list that it adds to; loops over a few known items, retries, workers;
loops that end at the first hit; queries whose rows nobody reads, that lock rows (`FOR UPDATE`), ask for
a page (`LIMIT`), many rows at once (`IN`), or go to another server in each turn; look-ups behind a cache, in an
`except`, where another one has found nothing, over a table in capitals, or in a loop that adds rows, which they
may be meant to find; clean-up; tests; migrations, which run once.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.database import sql, stores
from perflint.analysis.database.items import per_item
from perflint.analysis.database.lookups import (
    adds,
    cached,
    dependent,
    fallback,
    fetched,
    first_hit,
    many_at_once,
    query,
    same_server,
    walks,
)
from perflint.analysis.database.migrations import migrates
from perflint.analysis.database.models import model
from perflint.analysis.database.receivers import receiver
from perflint.analysis.database.statements import statement
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.patterns.invariance import few
from perflint.analysis.rule import Context, Rule
from perflint.model.diagnostics import Finding, Severity

_EXECUTES = {"execute", "exec", "exec_driver_sql", "fetch", "fetchrow", "fetchval", "scalar", "scalars"}
_SESSION = {"get", "get_one"}
_ENDS = {  # what sends the query of Django, peewee, or SQLAlchemy's Query
    *(
        "get",
        "first",
        "last",
        "count",
        "exists",
        "one",
        "one_or_none",
        "scalar",
        "all",
        "aget",
        "afirst",
        "acount",
    ),
    *("aexists", "get_or_none", "get_by_id", "earliest", "latest"),
}
_LOCKS = ("select_for_update", "with_for_update", "for_update")
_METHODS = _EXECUTES | _SESSION | _ENDS | stores.READING

rule = Rule(
    code="PRF503",
    name="query-in-loop",
    summary="one query per item, where one query could fetch all rows",
    category="database",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".objects", b"_manager.", b".query"),
        beside=tuple(
            (package, f".{name}(".encode()) for package in stores.PACKAGES for name in sorted(_METHODS)
        ),
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
)


_IN = "one query (`IN`, `= ANY` or a join)"
_SELECT = "one query (`select(..).where(.. .in_(..))`)"
_DJANGO = "`in_bulk()`, `filter(.. __in=..)` or a join"
_COUNTS = ("count", "exists", "acount", "aexists")


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, cst.Attribute) or node.func.attr.value not in _METHODS:
        return
    if context.flow.repeated(node) is None or migrates(context):
        return
    loop = per_item(context, node)
    if loop is None or isinstance(loop, cst.While) or few(context.flow, loop):
        return
    advice = _advice(node, node.func, loop, context)
    if advice is None or first_hit(context, loop) or walks(loop) or cached(loop):
        return
    if is_cleanup(context.tree, node) or many_at_once(context, node, loop) or adds(context, node, loop):
        return
    if fallback(context, node, loop):
        return
    shown = context.tree.shown(node.func)
    text = f"`{shown}()` runs once per item: N+1 queries; fetch all rows with {advice} before the loop"
    yield rule.finding(context, node, text)


def _advice(node: cst.Call, func: cst.Attribute, loop: cst.CSTNode, context: Context) -> str | None:
    """What asks for all rows at once, where the call looks up the rows of one item."""
    method, on = func.attr.value, func.value
    bulk = stores.bulk(context, node, stores.READS) if method in stores.READING else None
    if bulk is not None:
        return f"`{bulk}`" if same_server(context, on, loop) and dependent(loop, *node.args) else None
    if method in _SESSION and _gets(node, on, loop, context):
        return _SELECT
    if method in _EXECUTES and _selects(node, loop, context):
        return _IN
    return _queried(node, method, loop, context) if method in _ENDS else None


def _gets(node: cst.Call, on: cst.BaseExpression, loop: cst.CSTNode, context: Context) -> bool:
    """`session.get(User, key)`."""
    if len(node.args) < 2 or not last_name(node.args[0].value)[:1].isupper() or _locks(node, context):
        return False
    known = receiver(context, on)
    return (
        known is not None
        and known.kind == "session"
        and same_server(context, on, loop)
        and dependent(loop, *node.args[1:])
    )


def _selects(node: cst.Call, loop: cst.CSTNode, context: Context) -> bool:
    """`cur.execute("SELECT .. WHERE id = %s", (key,))` whose rows are read in the same turn."""
    found = statement(context, node, loop)
    if found is None or found.verb != "SELECT" or not same_server(context, found.on, loop):
        return False
    if found.receiver.driver is not None and found.receiver.driver.local:
        return False
    if found.text is None:  # `select(User).where(User.id == key)`
        looks_up = any(word in context.tree.code(found.sql) for word in (".where(", ".filter"))
        return looks_up and dependent(loop, found.sql) and not _locks(node, context)
    one = found.text.rstrip("; \n").removesuffix("LIMIT 1").removesuffix("limit 1")
    if not sql.point_lookup(found.text) or sql.locks(found.text) or sql.pages(one):
        return False
    return dependent(loop, *found.params) and _read(node, loop, context)


def _read(node: cst.Call, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the turn reads the rows: by what the call returns, or on the cursor later on."""
    return not isinstance(context.tree.taker(node), cst.Expr) or fetched(context, node, loop)


def _queried(node: cst.Call, method: str, loop: cst.CSTNode, context: Context) -> str | None:
    """`User.objects.get(pk=key)`, `session.query(User).filter_by(id=key).first()`."""
    if method == "all" and isinstance(context.tree.parent(node), cst.Attribute):
        return None  # `.all().filter(..)` asks nothing yet
    found = query(context, node)
    if found is None or _locks(node, context) or not same_server(context, found.model, loop):
        return None
    arguments = [item for call in found.calls for item in call.args]
    routed = [item for call in found.calls if last_name(call.func) == "using" for item in call.args]
    if not dependent(loop, *arguments) or dependent(loop, *routed):
        return None
    if model(context, found.model) == "django":
        return "`values(..).annotate(Count(..))`" if method in _COUNTS else _DJANGO
    return _SELECT if model(context, found.model) is None else "one query (`.in_(..)`)"


def _locks(node: cst.Call, context: Context) -> bool:
    """Whether the rows are locked to be written back."""
    return any(word in context.tree.code(node) for word in _LOCKS)
