"""An HTTP client is made for each item of a loop, or for each request that a server handles.

A client is a pool of connections and, for TLS, a context that reads the system's certificates. Made anew
each time, both are thrown away: each request looks the host up, connects and shakes hands again.

Bad:

    import httpx


    def titles(urls):
        found = []
        for url in urls:
            with httpx.Client() as client:
                found.append(client.get(url).text)
        return found

Good:

    import httpx


    def titles(urls):
        found = []
        with httpx.Client() as client:
            for url in urls:
                found.append(client.get(url).text)
        return found

Found for the clients of requests, httpx, aiohttp and urllib3, for those of services (openai, anthropic
and others; boto3 is PRF512's), and for what the option `http-clients` names: in loops, in request handlers and what
FastAPI's `Depends` calls, and in a function that makes one request and is called per item in the same file.

Not flagged: arguments that depend on the item or request (each user's own token, a proxy each) or that a
star brings; hosts that change from turn to turn, but for httpx, whose TLS context costs in any case; a loop up
to the first answer, or one that starts threads or tasks; a client whose cookies, headers or login are set for
one item, one with a `transport`, `connector`, `session`, `http_client` or `cookie_jar` that is shared; clients
that are kept, cached or made on demand; log-ins and other rare handlers; application start-up, clean-up,
fixtures, `main`, retries and polls, tests.

The fix moves `with Client() as client:` in front of the loop whose whole body it is. It is unsafe: cookies
last from one item to the next, and the client is made for an empty loop, too. Handlers get no fix.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import entry, own_function
from perflint.analysis.concurrency.fates import loads
from perflint.analysis.concurrency.roles import is_cleanup, may_handle
from perflint.analysis.connections.callers import called_per_item
from perflint.analysis.connections.clients import SERVICE_CLIENTS, SESSIONS
from perflint.analysis.connections.hosts import Host, first_that_works, hosts_asked, rare
from perflint.analysis.connections.isolation import held_as, on_demand, personal
from perflint.analysis.connections.lifetimes import CLOSING, escaping, owned_elsewhere
from perflint.analysis.connections.loopback import SERVER
from perflint.analysis.connections.reuse import kept, same_in_function, same_in_loop, starts_work
from perflint.analysis.database.items import per_item
from perflint.analysis.database.statements import bound_in
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, keyword, names_in
from perflint.analysis.outline import FunctionNode, decorators, leaf
from perflint.analysis.rewrite import swapped_headers
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_MADE = frozenset(SESSIONS) | {"requests.session"}

_NAMES = (*library.spellings(_MADE), *sorted(SERVICE_CLIENTS))


def _hopeful(sketch: Sketch) -> bool:
    made = sketch.calls_to(*_NAMES)
    if not set(made).isdisjoint(sketch.repeated(ast.Call)):
        return True
    return bool(made) and (may_handle(sketch) or any(map(sketch.mentioned_elsewhere, sketch.functions)))


rule = Rule(
    code="PRF602",
    name="client-per-request",
    summary="an HTTP client per item or request throws its connections and TLS context away",
    category="connections",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_NAMES, option="http_clients", sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(
        setup=SERVER, call="titles(urls)", sizes=(1, 3, 10), needs=("httpx",), measure="wall"
    ),
    tests=False,
)

# A pool, transport or cookie jar that the caller shares, or a limit that is one item's own.
_SHARED = (
    "transport",
    "connector",
    "connector_owner",
    "mounts",
    "session",
    "http_client",
    "cookie_jar",
    "app",
)
_CACHES = (
    "cache",
    "lru_cache",
    "cached_property",
    "cached",
    "fixture",
    "singleton",
    "on_event",
    "alru_cache",
)
_ONCE = ("main", "amain", "async_main", "_main", "run", "lifespan", "startup", "setup")
_HOOKS = {
    "fastapi": "make it in the app's lifespan",
    "starlette": "make it in the app's lifespan",
    "aiohttp": "make it in a `cleanup_ctx` of the app",
    "flask": "keep one on the app",
}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    name = context.objects.function(node.func)
    if name is None or not (name in _MADE or name in SERVICE_CLIENTS or name in context.config.http_clients):
        return
    if any(keyword(node, word) is not None for word in _SHARED) or any(item.star for item in node.args):
        return
    if is_cleanup(context.tree, node) or on_demand(context, node):
        return
    what = f"`{context.tree.shown(node.func)}()`"
    if context.flow.repeated(node) is not None:
        if _in_loop(node, name, context):
            message = _message(what, "iteration", "make one before the loop", name)
            yield rule.finding(context, node, message, _fix(node, context))
        return
    function = own_function(context.tree, node)
    if not isinstance(function, cst.FunctionDef):
        return
    definition = context.objects.definition(function)
    if definition is None or not _made_for_one(node, function, definition, context):
        return
    asked = _hosts(node, name, function, context)
    if context.roles.handler(definition) or _depended_on(definition, context):
        if asked <= {"same"} and not rare(definition.name):
            yield rule.finding(context, node, _message(what, "request", _hook(name, context), name))
    elif (
        "varies" not in asked
        and _serves_one(node, context)
        and called_per_item(context, definition, hosts="unknown" not in asked)
    ):
        yield rule.finding(context, node, _message(what, f"call of `{definition.name}`", "pass one in", name))


def _message(what: str, per: str, cure: str, name: str) -> str:
    package = name.partition(".")[0]
    lost = "its connection pool is thrown away"
    if package in ("httpx", "httpx2", "openai", "anthropic"):
        lost = "its connection pool and TLS context are thrown away"
    return f"{what} built per {per}: {lost}; {cure}"


def _hook(name: str, context: Context) -> str:
    if name.startswith("requests."):
        return "keep one per thread (`perflint.runtime.shared_session`)"
    found = (hook for package, hook in _HOOKS.items() if package in context.facts.packages)
    return next(found, "make one for the process")


def _in_loop(node: cst.Call, name: str, context: Context) -> bool:
    """Whether one client would do for all turns of the loop."""
    loop = per_item(context, node)
    if loop is None or not same_in_loop(context, node, loop) or kept(context, node, loop):
        return False
    if first_that_works(context, node, loop) or "varies" in _hosts(node, name, loop, context):
        return False
    return not starts_work(loop) and not personal(context, node, bound_in(loop))


def _hosts(node: cst.Call, name: str, within: cst.CSTNode, context: Context) -> set[Host]:
    """The hosts that it asks, as far as they matter: a client of httpx costs its TLS context in any case."""
    if name not in _MADE or (name.startswith("httpx") and keyword(node, "verify") is None):
        return set()
    return hosts_asked(context, node, within)


def _made_for_one(
    node: cst.Call, function: cst.FunctionDef, definition: FunctionNode, context: Context
) -> bool:
    """Whether each call of the function makes the client, for no reason of its own."""
    names = decorators(definition)
    if definition.name in _ONCE or not names.isdisjoint(_CACHES) or owned_elsewhere(context, node):
        return False
    if entry(context.objects, function) or not same_in_function(context, node):
        return False
    parameters = {item.name.value for item in (*function.params.params, *function.params.kwonly_params)}
    return not personal(context, node, parameters)


def _depended_on(definition: FunctionNode, context: Context) -> bool:
    """Whether FastAPI calls the function for each request: `Depends(get_client)`."""
    outline = context.facts.outline
    return any(
        leaf(call.func) in ("Depends", "Security")
        and call.args
        and outline.referred(call.args[0], home) is definition
        for call, home in outline.calls
    )


def _serves_one(node: cst.Call, context: Context) -> bool:
    """Whether the client is used once and then given up."""
    name = held_as(context, node)
    if name is None:
        return isinstance(context.tree.parent(node), cst.Attribute)  # `Session().get(u)`
    reads = [read for read in loads(context.names, name) if not _closes(read, context)]
    return len(reads) == 1 and not escaping(context, reads[0]) and per_item(context, reads[0]) is None


def _closes(read: cst.Name, context: Context) -> bool:
    parent = context.tree.parent(read)
    return isinstance(parent, cst.Attribute) and parent.attr.value in CLOSING


def _fix(node: cst.Call, context: Context) -> Fix | None:
    """Swap the headers of the loop and of the `with` that is its whole body."""
    tree, loop = context.tree, context.flow.loop(node)
    item = tree.parent(node)
    with_ = tree.parent(item) if isinstance(item, cst.WithItem) else None
    if not isinstance(loop, cst.For) or not isinstance(with_, cst.With) or len(with_.items) != 1:
        return None
    name = held_as(context, node)
    if name is None or name.value in names_in(loop.iter, loop.target) or contains(loop, cst.Yield):
        return None
    if any(_closes(read, context) for read in loads(context.names, name)):
        return None
    if per_item(context, loop) is not None or contains(node, cst.Await, cst.NamedExpr):
        return None
    edits = swapped_headers(tree, loop, with_)
    return Fix("Make the client before the loop", edits, Applicability.UNSAFE) if edits is not None else None
