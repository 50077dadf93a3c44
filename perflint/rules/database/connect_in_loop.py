"""A database connection, engine or client is opened anew in each turn of a loop, or for each request.

A connection costs a handshake, authentication and, on PostgreSQL, a server process, before the first
statement runs. Engines, pools and the clients of MongoDB, Redis, Elasticsearch and AWS keep connections so that
calls share them: one that is made per request shares nothing.

Bad:

    import sqlite3
    from contextlib import closing


    def names_of(path, keys):
        found = []
        for key in keys:
            with closing(sqlite3.connect(path)) as conn:
                found.append(conn.execute("SELECT name FROM users WHERE id = ?", (key,)).fetchone())
        return found

Good:

    import sqlite3
    from contextlib import closing


    def names_of(path, keys):
        found = []
        with closing(sqlite3.connect(path)) as conn:
            for key in keys:
                found.append(conn.execute("SELECT name FROM users WHERE id = ?", (key,)).fetchone())
        return found

Not flagged: arguments that change from turn to turn (shards, tenants, servers), retries and
reconnections, connections that the loop collects or hands to threads, `sqlite3.connect(":memory:")`,
clients that are given a `connection_pool`, loops over a few known items, clean-up, tests. Of handlers only engines,
pools and clients are looked at, which belong to the program; a connection per request may be the framework's
way. Those made at start-up, kept, or made once (`engine = engine or create_engine(..)`) are none.

The fix moves a `with` that is the whole body of the loop before it. It is unsafe: the connection is
opened for an empty loop, too, all turns share one transaction where the end of `with` commits, and
an error in one turn undoes the turns before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.piles import starts_up
from perflint.analysis.concurrency.roles import handles, is_cleanup
from perflint.analysis.connections.reuse import kept, same_in_function, same_in_loop, starts_work
from perflint.analysis.database import drivers
from perflint.analysis.database.items import per_item
from perflint.analysis.database.statements import bound_in
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name, names_in, unawaited
from perflint.analysis.rewrite import swapped_headers
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Function, Loop, walk_scope
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_CLIENTS = {
    *("boto3.client", "boto3.resource", "boto3.Session", "boto3.session.Session", drivers.ELASTICSEARCH),
    *(drivers.REDIS, drivers.ASYNC_REDIS, *drivers.MONGO_CLIENTS),
}
_POOLS = {
    *("redis.ConnectionPool", "redis.BlockingConnectionPool", "asyncpg.create_pool", *drivers.POOLS),
    *(name for name, kind in drivers.RETURNS.items() if kind in (drivers.ENGINE, drivers.ASYNC_ENGINE)),
}
_REDIS = {name for name, kind in drivers.RETURNS.items() if kind in (drivers.REDIS, drivers.ASYNC_REDIS)}
_MADE = drivers.CONNECTS.keys() | _CLIENTS | _REDIS | _POOLS

_SPELLINGS = library.spellings(_MADE)


def _hopeful(sketch: Sketch) -> bool:
    made = sketch.calls_to(*_SPELLINGS)
    if not set(made).isdisjoint(sketch.repeated(ast.Call)):
        return True
    return bool(made) and handles(sketch)


rule = Rule(
    code="PRF512",
    name="connect-in-loop",
    summary="a new database connection, engine or client in each turn of a loop or for each request",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(
        setup=(
            "import os, sqlite3, tempfile\n"
            "folder = tempfile.TemporaryDirectory()\n"
            "path, keys = os.path.join(folder.name, 'users.db'), range(n)\n"
            "conn = sqlite3.connect(path)\n"
            "conn.execute('CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)')\n"
            "conn.executemany('INSERT INTO users VALUES (?, ?)', [(k, 'name') for k in keys])\n"
            "conn.commit()\n"
            "conn.close()"
        ),
        call="names_of(path, keys)",
        sizes=(10, 100, 1_000),
    ),
    tests=False,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    name = context.objects.function(node.func)
    if name not in _MADE or _private(name, node):
        return
    if context.flow.repeated(node) is not None:
        loop = per_item(context, node)
        if loop is not None and _again(node, loop, context):
            yield rule.finding(context, node, _message(name, node, context), _fix(node, loop, context))
    elif name not in drivers.CONNECTS and _in_handler(node, context) and same_in_function(context, node):
        shown = context.tree.shown(node.func)
        message = f"`{shown}()` makes {_noun(name)} for each request; make it once at start-up and share it"
        yield rule.finding(context, node, message)


def _message(name: str, node: cst.Call, context: Context) -> str:
    shown = context.tree.shown(node.func)
    if name in drivers.CONNECTS:
        return (
            f"`{shown}()` opens a database connection per iteration; "
            "connect once before the loop (or use a pool)"
        )
    return f"`{shown}()` makes {_noun(name)} per iteration; make it once before the loop"


def _noun(name: str) -> str:
    if name in _CLIENTS | _REDIS:
        return "a client with connections of its own"
    return "a pool of connections"


def _private(name: str, node: cst.Call) -> bool:
    """Whether the object is meant to be alone, or shares its connections: `:memory:`, `connection_pool=pool`."""
    if any(item.keyword is not None and item.keyword.value == "connection_pool" for item in node.args):
        return True
    if name not in ("sqlite3.connect", "aiosqlite.connect"):
        return False
    first = node.args[0].value if node.args else None
    text = first.evaluated_value if isinstance(first, cst.SimpleString) else None
    return isinstance(text, str) and (text in ("", ":memory:") or "mode=memory" in text)


def _again(node: cst.Call, loop: cst.CSTNode, context: Context) -> bool:
    """Whether one connection would do for all turns of the loop."""
    if not same_in_loop(context, node, loop) or kept(context, node, loop) or starts_work(loop):
        return False
    if isinstance(loop, cst.While) and _supervised(node, loop, context):
        return False
    return not is_cleanup(context.tree, node)


def _supervised(node: cst.Call, loop: cst.While, context: Context) -> bool:
    """Whether the turns of a `while` connect again after an error."""
    around = context.tree.ancestors(node, loop)
    return any(isinstance(above, cst.Try) and bool(above.handlers) for above in around)


def _in_handler(node: cst.Call, context: Context) -> bool:
    """Whether a server calls the function around the node per request, and makes the object each time."""
    if starts_up(context, node) or is_cleanup(context.tree, node):
        return False
    for above in context.tree.ancestors(node):
        if isinstance(above, (cst.IfExp, cst.BooleanOperation)):
            return False  # `engine = engine or create_engine(..)`
        if isinstance(above, Function):
            function = context.objects.definition(above) if isinstance(above, cst.FunctionDef) else None
            return context.roles.handler(function) and not kept(context, node, above)
    return False


def _fix(node: cst.Call, loop: cst.CSTNode, context: Context) -> Fix | None:
    tree = context.tree
    above = (item for item in tree.ancestors(node) if not isinstance(item, (cst.Await, cst.Arg, cst.Call)))
    item = next(above)
    with_ = tree.parent(item)
    match with_, item:
        case cst.With(items=[_]), cst.WithItem(asname=cst.AsName(name=cst.Name(value=name))):
            pass
        case _:
            return None
    if not isinstance(loop, cst.For) or context.flow.loop(node) is not loop or not _wrapped(item.item, node):
        return None
    changing = bound_in(loop) - {name}
    if name in names_in(loop.iter, loop.target) or not changing.isdisjoint(names_in(item.item)):
        return None
    if _ended(with_, name) or any(isinstance(part, Loop) for part in tree.ancestors(loop)):
        return None
    edits = swapped_headers(tree, loop, with_)
    return Fix("Connect before the loop", edits, Applicability.UNSAFE) if edits else None


def _wrapped(item: cst.BaseExpression, node: cst.Call) -> bool:
    """Whether the `with` enters the connection itself, or a `closing()` of it."""
    inner = unawaited(item)
    match inner:
        case cst.Call(func=function, args=[cst.Arg(value=value)]) if value is node:
            return last_name(function) in ("closing", "aclosing")
    return inner is node


def _ended(with_: cst.With, name: str) -> bool:
    """Whether the body binds the name again, or closes what it means."""
    for part in walk_scope(with_.body):
        match part:
            case cst.Attribute(value=cst.Name(value=owner), attr=cst.Name(value="close" | "aclose")):
                if owner == name:
                    return True
            case cst.AssignTarget(target=cst.Name(value=bound)) if bound == name:
                return True
    return False
