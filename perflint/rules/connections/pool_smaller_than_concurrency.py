"""More workers use a pool of connections than it keeps.

A pool of a database that is too small makes the rest wait, and they fail when the wait takes too long
(SQLAlchemy: `pool_timeout`, 30 seconds unless set); the pools of psycopg2 and Redis refuse at once. The
pool of `requests` and `urllib3` opens a connection beyond its size and throws it away after the request.

Bad:

    from concurrent.futures import ThreadPoolExecutor

    from sqlalchemy import create_engine, text

    engine = create_engine("postgresql:///shop")


    def name_of(key):
        with engine.connect() as conn:
            return conn.execute(text("SELECT name FROM users WHERE id = :id"), {"id": key}).scalar_one()


    def names_of(keys):
        with ThreadPoolExecutor(max_workers=32) as executor:
            return list(executor.map(name_of, keys))

Good:

    from concurrent.futures import ThreadPoolExecutor

    from sqlalchemy import create_engine, text

    engine = create_engine("postgresql:///shop", pool_size=32)


    def name_of(key):
        with engine.connect() as conn:
            return conn.execute(text("SELECT name FROM users WHERE id = :id"), {"id": key}).scalar_one()


    def names_of(keys):
        with ThreadPoolExecutor(max_workers=32) as executor:
            return list(executor.map(name_of, keys))

Both numbers must be constants of the file, and the pool in the code that the workers run. Pools in which
nobody fails (HTTP clients, asyncpg, MongoDB) are reported as info where `pedantic` is set: under an even
load they cost little, in bursts of requests over TLS more.

Not flagged: sizes that are computed, pools that block on purpose (`pool_block=True`), unlimited ones,
`NullPool`, a pool that each worker makes for itself, processes, which have a pool each, tests.

The fix replaces `requests.Session()` by `http_session(pool=..)` of the runtime. It is unsafe: that
session keeps no cookies and has a default timeout. There is none where the file mounts adapters.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.connections import clients
from perflint.analysis.connections.capacity import POOLS, SPELLINGS, Capacity, capacity
from perflint.analysis.connections.sharing import Sharing
from perflint.analysis.gates import Gate
from perflint.analysis.outline import Home, leaf
from perflint.analysis.rule import Context, Rule
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

rule = Rule(
    code="PRF603",
    name="pool-smaller-than-concurrency",
    summary="more workers use a pool of connections than it keeps",
    category="connections",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=SPELLINGS, imports=("concurrent", "asyncio", "multiprocessing")),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    kind = context.objects.function(node.func)
    if kind not in POOLS:
        return
    call, home = _located(node, context)
    if call is None:
        return
    pool = capacity(kind, call, context.facts.outline)
    if pool is None or not (pool.grave or context.config.pedantic):
        return
    crowd = context.facts.outline.once(Sharing).crowd(call, home)
    if crowd is None or crowd <= pool.size:
        return
    shown = context.tree.shown(node.func)
    message = (
        f"`{shown}()` keeps {pool.size} {_connections(kind, pool)} but {crowd} workers use it: "
        f"{pool.beyond}; give it {crowd}, or have fewer workers"
    )
    level = None if pool.grave else Severity.INFO
    yield rule.finding(context, node, message, _fix(node, kind, crowd, context), level)


def _located(node: cst.Call, context: Context) -> tuple[ast.Call | None, Home]:
    """The same call in the outline, and where it stands."""
    start, source = context.tree.span(node).start, context.source
    line = source.line_of(start)
    for call, home in context.facts.outline.calls:
        made = library.canonical(context.facts.outline.qualified(call.func) or "") in POOLS
        if made and call.lineno == line and source.offset(line, call.col_offset) == start:
            return call, home
    return None, Home()


def _connections(kind: str, pool: Capacity) -> str:
    word = "connection" if pool.size == 1 else "connections"
    per_host = kind in (clients.REQUESTS.session, "requests.session", clients.URLLIB3.session)
    return f"{word} per host" if per_host else word


def _fix(node: cst.Call, kind: str, size: int, context: Context) -> Fix | None:
    if kind not in (clients.REQUESTS.session, "requests.session") or node.args:
        return None
    if any(leaf(call.func) == "mount" for call, _ in context.facts.outline.calls):
        return None
    found = runtime_import(context.source, context.facts.tree, context.config, "http_session")
    if found is None:
        return None
    written, addition = found
    edit = Edit(context.tree.span(node), f"{written}(pool={size})")
    edits = (edit,) if addition is None else (addition, edit)
    return Fix("Keep a connection for each worker", edits, Applicability.UNSAFE)
