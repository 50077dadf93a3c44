"""A loop makes HTTP requests, each by a function that opens a connection of its own.

`requests.get` and its like make a session, use it once and throw it away. Each call looks the host's
name up, connects, and shakes hands for TLS again; `httpx.get` also builds a TLS context each time, for
plain HTTP too. A session keeps the connection open for the next request to the same host.

Bad:

    import requests


    def titles(urls):
        found = []
        for url in urls:
            found.append(requests.get(url, timeout=5).text)
        return found

Good:

    import requests


    def titles(urls):
        found = []
        with requests.Session() as session:
            for url in urls:
                found.append(session.get(url, timeout=5).text)
        return found

In a request handler it is an info: there a session must live as long as the app. So is `urlopen`, for
which the standard library has nothing that keeps connections. The option `min-calls` adds functions
that make so many requests one after the other, without a loop.

Not flagged: loops over hosts, mirrors, servers and the like (each is another connection anyway), over a few
known items, or up to the first answer; retries, pauses of five seconds or more (of one second in a `while`, which
polls; of any length where it passes over errors); TLS or proxy settings that change from turn to turn; in handlers
log-ins and other rare calls; `urlopen` of hosts that may differ; tests. `urllib3.request` has a pool of its own.

The fix puts the loop into `with requests.Session() as session:`. It is unsafe: a session keeps cookies
from one request to the next. There is none where a response is streamed, the loop yields, threads share the
work (a `Session` is not documented as thread-safe), or the file mocks the functions. With `runtime-fixes`
the session is `perflint.runtime.http_session()`, which keeps no cookies and has a timeout.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.handlers import always_raises, covering
from perflint.analysis.connections import clients
from perflint.analysis.connections.callers import MAPS, RUNNERS, asking, handed_function, plain_calls
from perflint.analysis.connections.clients import CALLS, VERBS, Client
from perflint.analysis.connections.hosts import first_that_works, host, rare, url_of
from perflint.analysis.connections.loopback import SERVER
from perflint.analysis.connections.mocks import mocked
from perflint.analysis.connections.wrapping import enclosed
from perflint.analysis.database.items import Items, is_worker, per_item
from perflint.analysis.database.statements import bound_in
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, keyword, last_name, names_in
from perflint.analysis.patterns.invariance import few
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import import_edit, runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

_NAMES = (*CALLS, *(f"requests.api.{verb}" for verb in VERBS))

rule = Rule(
    code="PRF601",
    name="request-without-session",
    summary="requests in a loop open a new connection each",
    category="connections",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_NAMES, widened="min_calls", sketch=asking(*_NAMES)),
    doc=__doc__,
    benchmark=Benchmark(
        setup=SERVER, call="titles(urls)", sizes=(1, 10, 100), needs=("requests",), measure="wall"
    ),
    tests=False,
)

_PAUSE = 5  # seconds between requests that make the cost of a connection small
_POLL = 1  # the same for `while`, which asks until something is there
_PER_CALL = ("verify", "cert", "proxies", "proxy", "trust_env")
_FIXED = (clients.REQUESTS, clients.HTTPX, clients.HTTPX2)
_NAME = "session"


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    client = _client(node.func, context)
    if client is None:
        yield from _handed(node, context)
        return
    loop = _loop(node, context)
    if loop is None:
        yield from _straight(node, client, context)
        return
    outer = _outermost(loop, context)
    if next(_calls(outer, client, context)) is node:
        fix = None if _in_handler(node, context) else _fix(outer, client, context)
        level = Severity.INFO if client is clients.URLLIB else None
        yield rule.finding(context, node, _message(node, client, "iteration", context), fix, level)


def _client(function: cst.BaseExpression, context: Context) -> Client | None:
    name = context.objects.function(function)
    return CALLS.get(name) if name is not None and last_name(function) != "urlretrieve" else None


def _loop(node: cst.Call, context: Context) -> Items | None:
    """The loop in whose turns a kept connection would be used again."""
    loop = per_item(context, node, _PAUSE)
    if loop is None or first_that_works(context, node, loop) or _polls(node, loop, context):
        return None
    changing = bound_in(loop)
    settings = [item for word in _PER_CALL if (item := keyword(node, word)) is not None]
    where = host(context, url_of(node), changing)
    # urllib: only for one host, beyond doubt
    other = where == "varies" or (where == "unknown" and _client(node.func, context) is clients.URLLIB)
    return None if other or names_in(*settings) & changing or few(context.flow, loop) else loop


def _polls(node: cst.Call, loop: Items, context: Context) -> bool:
    """Whether the turns only wait for something: a pause between them, or errors that are ignored meanwhile."""
    if not isinstance(loop, cst.While):
        return False
    if is_worker(context, loop, _POLL):
        return True
    tried = any(
        not always_raises(item) for part in covering(context.tree, node, loop) for item in part.handlers
    )
    return tried and is_worker(context, loop)


def _outermost(loop: Items, context: Context) -> Items:
    """The loop that all others stand in, for as long as each of them goes over items."""
    while (around := per_item(context, loop, _PAUSE)) is not None:
        loop = around
    return loop


def _calls(loop: Items, client: Client, context: Context) -> Iterator[cst.Call]:
    """The calls of this library in the loop that one session would serve."""
    for part in walk_scope(loop):
        if isinstance(part, cst.Call) and _client(part.func, context) is client:
            inner = _loop(part, context)
            if inner is not None and _outermost(inner, context) is loop:
                yield part


def _message(node: cst.Call, client: Client, per: str, context: Context) -> str:
    called = f"`{context.tree.shown(node.func)}()`"
    if client is clients.URLLIB:
        return f"{called} opens a new connection per {per}; `http.client`, urllib3 or a `requests.Session` keeps it"
    more = " and builds a TLS context" if client.name.startswith("httpx") else ""
    cure = f"reuse one `{client.word}`"
    if per == "request":
        lasting = "per thread" if client is clients.REQUESTS else "as long as the app lives"
        cure = f"keep one `{client.word}` {lasting}"
    return f"{called} opens a new connection{more} per {per}; {cure}"


def _straight(node: cst.Call, client: Client, context: Context) -> Iterator[Finding]:
    """Requests outside of loops: in handlers, and where one function makes several."""
    function, least = context.tree.function(node), context.config.min_calls
    if function is None or context.flow.repeated(node) is not None or client is clients.URLLIB:
        return
    per = "request" if _in_handler(node, context) else "call"
    if per == "request":
        url, own = url_of(node), set(context.names.inside(function).bindings)
        where = context.tree.code(url) if url is not None else ""
        wanted = host(context, url, own) == "same" and not rare(function.name.value, where)
    else:
        calls = [
            part for part in plain_calls(context, function.body) if _client(part.func, context) is client
        ]
        wanted = 0 < least <= len(calls) and calls[0] is node
    if wanted:
        yield rule.finding(context, node, _message(node, client, per, context), severity=Severity.INFO)


def _in_handler(node: cst.CSTNode, context: Context) -> bool:
    function = context.tree.function(node)
    return function is not None and context.roles.handler(context.objects.definition(function))


def _handed(node: cst.Call, context: Context) -> Iterator[Finding]:
    """`executor.map(requests.get, urls)`: threads that open a connection for each item."""
    name = last_name(node.func)
    if name not in RUNNERS or (name not in MAPS and per_item(context, node, _PAUSE) is None):
        return
    for item in node.args[:2]:
        work = handed_function(context, item.value)
        client = _client(work, context) if isinstance(work, (cst.Name, cst.Attribute)) else None
        if client is not None and client is not clients.URLLIB:
            shared = "give each thread a `Session` of its own (`perflint.runtime.shared_session`)"
            shared = shared if client is clients.REQUESTS else f"share one `{client.word}`"
            message = f"`{context.tree.shown(work)}` opens a new connection per item; {shared}"
            yield rule.finding(context, item, message)


def _fix(loop: Items, client: Client, context: Context) -> Fix | None:
    """The loop in a `with` of one session."""
    tree, calls = context.tree, list(_calls(loop, client, context))
    if client not in _FIXED or not isinstance(loop, (cst.For, cst.While)) or mocked(context, client):
        return None
    scope = context.scope(loop)
    if scope.kind == "class" or not context.names.free(_NAME, scope) or contains(loop, cst.Yield):
        return None
    if not all(_same(call, client, context) for call in calls):
        return None
    if (made := _constructor(calls[0], client, context)) is None:
        return None
    constructor, missing = made
    edits = [*enclosed(context, loop, loop, f"with {constructor}() as {_NAME}:")]
    edits += [Edit(tree.span(call.func), f"{_NAME}.{_verb(call, context)}") for call in calls]
    edits += [missing] if missing is not None else []
    return Fix(f"Make one {client.word} for the loop", tuple(edits), Applicability.UNSAFE)


def _verb(call: cst.Call, context: Context) -> str:
    return (context.objects.function(call.func) or "").rpartition(".")[2]


def _same(call: cst.Call, client: Client, context: Context) -> bool:
    """Whether the session's method takes what the function takes, and the response is read at once."""
    words = {item.keyword.value for item in call.args if item.keyword is not None}
    if any(item.star for item in call.args) or "stream" in words or _verb(call, context) == "stream":
        return False
    own = {*_PER_CALL, "cookies"} if client is not clients.REQUESTS else set()
    return words.isdisjoint(own) and "\n" not in context.tree.code(call.func)


def _constructor(call: cst.Call, client: Client, context: Context) -> tuple[str, Edit | None] | None:
    source, tree = context.source, context.facts.tree
    if client is clients.REQUESTS:
        found = runtime_import(source, tree, context.config, "http_session", (_NAME,))
        if found is not None:
            return found
    match call.func:
        case cst.Attribute(value=module) if context.names.qualified(module) == client.name:
            return f"{context.tree.code(module)}.{client.word}", None
    return import_edit(source, tree, client.name, client.word, (_NAME,))
