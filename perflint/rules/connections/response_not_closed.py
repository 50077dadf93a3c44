"""A streamed response is neither read to its end nor closed.

Its connection cannot serve another request until that is done: the next one opens a new connection, and the
old one stays open until the response is collected. Where the pool is bounded, the next request waits.

Bad:

    import requests


    def reachable(session: requests.Session, url):
        response = session.get(url, stream=True, timeout=5)
        return response.status_code < 400

Good:

    import requests


    def reachable(session: requests.Session, url):
        with session.get(url, stream=True, timeout=5) as response:
            return response.status_code < 400

Found for requests with `stream=True`, `await session.get(..)` of aiohttp, `urlopen`, `send(.., stream=True)`
of httpx and `preload_content=False` of urllib3: where the local response is only asked for its status or
headers, or where a loop over its body ends early. With the option `pedantic` also `urlopen(url).read()`,
which CPython closes when the object is collected.

Not flagged: `with`, `close()`, `release()`, what reads the body (`.content`, `.text`, `.json()`, `.raw`, a
loop that goes on to the end or yields), responses that are returned, stored or handed on, fixtures and context
managers, `stream=flag`, HEAD, tests.

The fix opens the response by `with`, over all that uses it. It is unsafe: the connection is closed or
given back earlier. There is none for httpx and urllib3.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Literal

import libcst as cst

from perflint.analysis.connections.clients import AIOHTTP, REQUESTS, URLLIB3, VERBS
from perflint.analysis.connections.lifetimes import Lifetime, bound_to, lifetime, owned_elsewhere
from perflint.analysis.connections.wrapping import wrapped
from perflint.analysis.gates import Gate
from perflint.analysis.match import is_name, keyword, last_name
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import GAP, Sketch, awaited_for, is_constant
from perflint.analysis.tree import walk_scope
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

Kind = Literal["requests", "aiohttp", "urllib", "httpx", "urllib3"]

_VERBS = frozenset(VERBS) - {"head"}
_URLOPEN = "urllib.request.urlopen"
_STREAMED = re.compile(rb"\b(?:stream|preload_content)" + GAP + rb"=" + GAP + rb"(?:True|False|[\d.])")
_STREAMS: dict[str | None, bool] = {"stream": True, "preload_content": False}


def _hopeful(sketch: Sketch) -> bool:
    found: set[ast.expr] = {*sketch.calls_to(_URLOPEN)}
    if sketch.says(_STREAMED):
        found.update(call for call in sketch.of(ast.Call) if any(map(_streams, call.keywords)))
    if "aiohttp" in sketch.facts.packages and (asks := sketch.calls(*_VERBS)):
        found |= {node.value for node in sketch.of(ast.Await)}.intersection(asks)
    if not found:
        return False
    asked = {node.value for node in sketch.of(ast.Attribute)}
    return not found.isdisjoint(sketch.bound | asked | {awaited_for(node) for node in asked})


def _streams(word: ast.keyword) -> bool:
    return word.arg in _STREAMS and is_constant(word.value, _STREAMS[word.arg])


rule = Rule(
    code="PRF605",
    name="response-not-closed",
    summary="a streamed response that is neither read to its end nor closed keeps its connection",
    category="connections",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"stream", b"preload_content"),
        names=(_URLOPEN,),
        imports=("requests", "aiohttp", "urllib", "httpx", "httpx2", "urllib3"),
        beside=tuple(("aiohttp", verb.encode()) for verb in sorted(_VERBS)),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)

# What tells of a response without touching its body.
_HEAD = {
    *("status_code", "status", "ok", "headers", "raw_headers", "url", "real_url", "host", "reason", "method"),
    *("raise_for_status", "history", "elapsed", "encoding", "charset", "content_type", "content_length"),
    *("is_redirect", "is_permanent_redirect", "is_success", "is_error", "is_client_error", "is_server_error"),
    *("links", "cookies", "request", "request_info", "version", "http_version", "code", "getcode", "info"),
    *("geturl", "getheader", "getheaders", "closed", "is_closed"),
}
_ITERATES = {
    *("iter_content", "iter_lines", "iter_bytes", "iter_text", "iter_raw", "iter_chunked", "iter_any"),
    *("aiter_bytes", "aiter_lines", "aiter_text", "aiter_raw", "stream"),
}
_WITH = {"requests": "with", "aiohttp": "async with", "urllib": "with"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    kind = _streamed(node, context)
    if kind is None or owned_elsewhere(context, node):
        return
    name = bound_to(context, node)
    if name is None:
        yield from _chained(node, kind, context)
        return
    life = lifetime(context, name)
    if life is None or life.escapes or life.closed:
        return
    uses: set[str] = {_use(read, context) for read in life.reads}
    if "reads" in uses:
        return
    yield rule.finding(context, node, _message(kind, name.value, uses), _fix(node, kind, life, context))


def _chained(node: cst.Call, kind: Kind, context: Context) -> Iterator[Finding]:
    """A response that only its own expression has: it is closed when it is collected."""
    shown = context.tree.shown(node.func)
    match context.tree.parent(node):
        case cst.Attribute(attr=cst.Name(value=word)):
            if word in _HEAD and kind == "requests" and context.objects.method(node) is not None:
                message = (
                    f"`{shown}(stream=True).{word}` throws the connection away; open the response by `with`"
                )
                yield rule.finding(context, node, message)
            elif context.config.pedantic:
                message = f"the response of `{shown}()` is closed when it is collected; use `with`"
                yield rule.finding(context, node, message, severity=Severity.INFO)


def _streamed(node: cst.Call, context: Context) -> Kind | None:
    """What gives the response whose body is not read yet; None for every other call."""
    word = last_name(node.func)
    if is_name(keyword(node, "stream"), "True"):
        function = context.objects.function(node.func)
        if function in REQUESTS.calls and word != "head":
            return "requests"
        owner, method = context.objects.method(node) or ("", "")
        if owner == REQUESTS.session and method in _VERBS | {"send"}:
            return "requests"
        return "httpx" if owner.startswith("httpx") and method == "send" else None
    if is_name(keyword(node, "preload_content"), "False"):
        function = context.objects.function(node.func)
        owner, method = context.objects.method(node) or ("", "")
        found = function == "urllib3.request" or (
            owner == URLLIB3.session and method in ("urlopen", "request")
        )
        return "urllib3" if found else None
    if word in _VERBS and isinstance(context.tree.parent(node), cst.Await):
        return "aiohttp" if context.objects.method(node) == (AIOHTTP.session, word) else None
    if context.objects.function(node.func) != _URLOPEN or _asks_for_the_head(node, context):
        return None
    return "urllib"


def _asks_for_the_head(node: cst.Call, context: Context) -> bool:
    """`Request(url, method="HEAD")`: the answer has no body."""
    request = node.args[0].value if node.args else node
    made = context.names.assigned(request) or request
    return isinstance(made, cst.Call) and "HEAD" in context.tree.code(made)


def _use(read: cst.Name, context: Context) -> Literal["head", "leaves", "reads"]:
    """What a use of the response does with its body: nothing, some of it, or all (or nobody knows)."""
    parent = context.tree.parent(read)
    match parent:
        case cst.Attribute(attr=cst.Name(value=word)) if parent.value is read:
            if word in _HEAD:
                return "head"
            call = context.tree.parent(parent)
            return "leaves" if word in _ITERATES and _left_early(call, context) else "reads"
        case cst.For():
            return "leaves" if _left_early(read, context) else "reads"
        case cst.If() | cst.Comparison() | cst.ComparisonTarget() | cst.UnaryOperation() | cst.Assert():
            return "head"
        case cst.BooleanOperation() | cst.FormattedStringExpression():
            return "head"
        case cst.Arg():
            call = context.tree.parent(parent)
            shows = isinstance(call, cst.Call) and context.names.builtin(call.func)
            return (
                "head" if shows in ("print", "repr", "str", "type", "isinstance", "bool", "id") else "reads"
            )
    return "reads"


def _left_early(iterated: cst.CSTNode | None, context: Context) -> bool:
    """Whether a loop goes over it and may be left before the end."""
    loop = context.tree.parent(iterated) if iterated is not None else None
    if not isinstance(loop, cst.For) or loop.iter is not iterated:
        return False
    parts = list(walk_scope(loop.body))
    if any(isinstance(part, cst.Yield) for part in parts):
        return False  # whoever takes the items decides
    return any(
        isinstance(part, cst.Return) or (isinstance(part, cst.Break) and context.flow.loop(part) is loop)
        for part in parts
    )


def _message(kind: Kind, name: str, uses: set[str]) -> str:
    left = "is left in the middle of its body" if "leaves" in uses else "is neither consumed nor closed"
    if kind == "urllib":
        return f"response `{name}` {left}: its socket stays open until it is collected; open it by `with`"
    what = "response" if kind == "aiohttp" else "streamed response"
    cure = f"open it by `{_WITH[kind]}`" if kind in _WITH else f"call `{name}.close()` in a `finally`"
    if kind == "urllib3":
        cure = f"call `{name}.release_conn()` in a `finally`"
    lost = "may not return" if kind == "aiohttp" else "never returns"
    return f"{what} `{name}` {left}: its connection {lost} to the pool; {cure}"


def _fix(node: cst.Call, kind: Kind, life: Lifetime, context: Context) -> Fix | None:
    if kind not in _WITH:
        return None
    if (kind == "aiohttp") is not isinstance(context.tree.parent(node), cst.Await):
        return None
    header = f"{_WITH[kind]} {context.tree.code(node)} as {life.name.value}:"
    edits = wrapped(context, life.name, life.reads, header)
    return Fix("Open the response by `with`", edits, Applicability.UNSAFE) if edits is not None else None
