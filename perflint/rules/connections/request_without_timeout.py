"""A request over the network has no timeout: a server that accepts and never answers holds it for ever.

A thread, a pool's worker or a whole loop that waits so is lost until the process ends. requests, urllib and
sockets wait without limit unless told otherwise; httpx (5 seconds) and aiohttp (5 minutes) have a default, and
are found only where it is switched off, as are pools of urllib3, whose default is not in sight.

Bad:

    import requests


    def title(url):
        return requests.get(url).text

Good:

    import requests


    def title(url):
        return requests.get(url, timeout=30).text

Off by default: ruff's S113, bandit's B113 and pylint's W3101 find most of it. Unlike them this rule knows
sessions, `urlopen`, `socket.create_connection`, `functools.partial` and `ClientTimeout(total=None)`.

`timeout=None` is an info, as it may be meant, and so is a session that another file makes: its adapters may
bring a timeout.

Not flagged: a call with `**options`, a session whose adapters or methods the file replaces (they may bring
a timeout), `urlopen` and sockets in files that call `socket.setdefaulttimeout` (requests does not heed it), tests.

The fix adds `timeout=` with the seconds of the option `default-timeout`. It is unsafe: what takes longer
fails from then on. There is none for streamed responses and for `ClientTimeout`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis.connections.clients import HTTPX, HTTPX2, REQUESTS, SESSIONS, URLLIB3, VERBS
from perflint.analysis.gates import Gate
from perflint.analysis.library import spellings
from perflint.analysis.match import is_name, keyword, last_name
from perflint.analysis.outline import leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_URLOPEN, _CONNECT = "urllib.request.urlopen", "socket.create_connection"
_AIOHTTP = "aiohttp.ClientTimeout"
_WAITS = {**dict.fromkeys(REQUESTS.calls), _URLOPEN: 2, _CONNECT: 1}  # name -> the timeout's position
_BOUNDED = {  # these have a default
    *HTTPX.calls,
    *HTTPX2.calls,
    *(name for name in SESSIONS if name.startswith("httpx")),
}

_NAMES = (*_WAITS, *_BOUNDED, _AIOHTTP, "functools.partial", *(f"requests.api.{verb}" for verb in VERBS))
_SESSIONS = spellings((*SESSIONS, "requests.session"))


def _hopeful(sketch: Sketch) -> bool:
    if sketch.calls_to(*_NAMES):
        return True
    return bool(sketch.calls(*VERBS)) and sketch.file_mentions(*_SESSIONS)


rule = Rule(
    code="PRF604",
    name="request-without-timeout",
    summary="a request without a timeout waits for ever for a server that never answers",
    category="connections",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        names=_NAMES,
        text=tuple(f".{verb}(".encode() for verb in VERBS),
        imports=("requests", "httpx", "httpx2", "aiohttp", "urllib", "socket", "urllib3"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
    service=True,
)


class _Request(NamedTuple):
    """What waits: how it is called, and where its timeout stands."""

    shown: str
    args: list[cst.Arg]
    position: int | None
    bounded: bool  # has a default
    handed: bool = False  # a session that another file makes


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    name = context.objects.function(node.func)
    if name == _AIOHTTP:
        words = [item.keyword.value for item in node.args if item.keyword is not None]
        if is_name(keyword(node, "total"), "None") and words == ["total"]:
            shown = context.tree.shown(node.func)
            yield rule.finding(
                context, node, f"`{shown}(total=None)` waits for ever; set `total`, or `sock_read`"
            )
        return
    found = _request(node, name, context)
    if found is None or any(item.star for item in found.args):
        return
    given = _given(found)
    if found.bounded if given is None else not is_name(given, "None"):
        return
    if name in (_URLOPEN, _CONNECT) and _default_set(context):
        return
    what = f"`{found.shown}` has no timeout" if given is None else f"`timeout=None` for `{found.shown}`"
    message = f"{what}: a server that never answers holds it for ever; pass `timeout=`"
    message += ", unless the session brings one" if found.handed and given is None else ""
    level = Severity.INFO if given is not None or found.handed else None
    yield rule.finding(context, node, message, _fix(node, given, found, context), level)


def _request(node: cst.Call, name: str | None, context: Context) -> _Request | None:
    """The request that a call makes or, as `functools.partial` does, prepares."""
    shown = context.tree.shown(node.func) if name in _WAITS or name in _BOUNDED else ""
    if shown:
        return _Request(f"{shown}()", list(node.args), _WAITS.get(name or ""), name in _BOUNDED)
    if name == "functools.partial" and node.args and not node.args[0].star:
        called = context.objects.function(node.args[0].value)
        if called in _WAITS:
            return _Request(
                context.tree.shown(node.args[0].value), list(node.args[1:]), _WAITS[called], False
            )
        return None
    if last_name(node.func) not in VERBS:
        return None
    method = context.objects.method(node)
    if method is None or method[0] not in SESSIONS:
        return None
    shown = f"{context.tree.shown(node.func)}()"
    if method[0] == REQUESTS.session:
        handed = not any(leaf(call.func).lower() == "session" for call, _ in context.facts.outline.calls)
        return None if _replaced(context) else _Request(shown, list(node.args), None, False, handed)
    bounded = method[0] == URLLIB3.session or method[0].startswith("httpx")
    return _Request(shown, list(node.args), None, True) if bounded else None


def _given(found: _Request) -> cst.BaseExpression | None:
    for item in found.args:
        if item.keyword is not None and item.keyword.value == "timeout":
            return item.value
    plain = [item.value for item in found.args if item.keyword is None]
    return plain[found.position] if found.position is not None and len(plain) > found.position else None


def _default_set(context: Context) -> bool:
    return any(leaf(call.func) == "setdefaulttimeout" for call, _ in context.facts.outline.calls)


def _replaced(context: Context) -> bool:
    """Whether the file gives sessions adapters or methods of its own, which may set a timeout."""
    if any(leaf(call.func) == "mount" for call, _ in context.facts.outline.calls):
        return True
    stores = (node for node in ast.walk(context.facts.tree) if isinstance(node, ast.Attribute))
    return any(
        isinstance(node.ctx, ast.Store) and node.attr in ("request", "send", "get", "post") for node in stores
    )


def _fix(node: cst.Call, given: cst.BaseExpression | None, found: _Request, context: Context) -> Fix | None:
    stream = keyword(node, "stream")
    if (stream is not None and not is_name(stream, "False")) or last_name(node.func) == "stream":
        return None
    tree, seconds = context.tree, context.config.default_timeout
    if given is not None:
        edit = Edit(tree.span(given), str(seconds))
    elif not node.args:
        return None
    else:
        last = tree.span(node.args[-1].value).end
        if isinstance(node.args[-1].value, cst.GeneratorExp):
            return None
        edit = Edit(Span(last, last), f", timeout={seconds}")
    return Fix(f"Wait for at most {seconds} seconds", (edit,), Applicability.UNSAFE)
