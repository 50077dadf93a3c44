"""Whether the items of a loop are on one host, as far as the text tells: a kept connection helps only there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import libcst as cst

from perflint.analysis.concurrency.fates import loads
from perflint.analysis.connections.clients import VERBS
from perflint.analysis.connections.isolation import held_as
from perflint.analysis.database.statements import bound_in
from perflint.analysis.match import keyword, last_name, names_in
from perflint.analysis.tree import Comprehension, Loop, walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Host = Literal["same", "varies", "unknown"]

_AUTHORITY = re.compile(r"^\w*://")
# A variable of this name stands for a place of its own in each turn.
_PLACE = re.compile(
    r"(^|_)(hosts?|hostnames?|fqdns?|(sub)?domains?|sites?|mirrors?|peers?|servers?|nodes?|instances?|machines?|masters?|agents?|"
    r"ips?|ip_?addr(ess(es)?)?|addrs?|address(es)?|workers?|replicas?|brokers?|gateways?|base_?urls?|base|origins?|"
    r"proxy|proxies|devices?|feeds?|registry|registries|remotes?|clusters?|ports?|services?|backends?|containers?|"
    r"webhooks?|hooks?|callbacks?|indexes|schemes?|protocols?|routers?|cameras?|resolvers?|providers?)\d*(_url|_uri)?s?$",
    re.I,
)
_DEPTH = 4
_FIELD = re.compile(r"%(?:\((\w+)\))?[sdr]|\{(\w*)[^{}]*\}")
_RARE = re.compile(
    r"oauth|token\b|log_?in\b|log_?out|authori[sz]|callback|webhook|latest|release|version\b|_version", re.I
)
_REQUESTS = {*VERBS, "stream", "urlopen"}
_SUCCESS = re.compile(
    r"^(?!not\b).*(\.ok\b|is_success|status(_code)?\s*(==\s*(2\d\d|\w*\.?(codes\.ok|OK\b))|<\s*[34]00|in\b))"
)
_JOINS = {"urljoin", "join", "str", "quote", "URL", "urlunparse", "Request"}

Part = str | cst.BaseExpression


def host(context: Context, url: cst.BaseExpression | None, changing: set[str]) -> Host:
    """Whether the URL's host depends on the names that change from turn to turn; "unknown" where all of it does."""
    if url is None:
        return "unknown"
    parts = list(_parts(context, url, _DEPTH))
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            if "/" in _AUTHORITY.sub("", text) or (text and not _AUTHORITY.match(text)):
                return "same"  # what comes after is the path
        elif names_in(part) & changing:
            begins = part is parts[0]
            named = names_a_place(_words(part) | (names_in(part) & changing))
            if not begins or named:
                return "varies"
            return "varies" if _continues_with_path(parts[1:]) else "unknown"
        elif not text:
            return "same"  # `BASE + path`
    return "same"


def url_of(call: cst.Call) -> cst.BaseExpression | None:
    """The URL that a request is given: `get(url)`, `request(method, url)`, `stream(method, url)`."""
    position = 1 if last_name(call.func) in ("request", "stream") else 0
    plain = [item.value for item in call.args if item.keyword is None and not item.star]
    if last_name(call.func) == "urlopen" and plain and isinstance(plain[0], cst.SimpleString):
        position = int(not _AUTHORITY.match(str(plain[0].evaluated_value)))  # `pool.urlopen("GET", url)`
    return keyword(call, "url") or (plain[position] if len(plain) > position else None)


def hosts_asked(context: Context, node: cst.Call, within: cst.CSTNode) -> set[Host]:
    """How the hosts that a new client asks depend on what the loop or function `within` binds."""
    if keyword(node, "base_url") is not None:
        return {"same"}
    held = held_as(context, node)
    calls = list(asked(context, held)) if held is not None else []
    above = context.tree.parent(context.tree.parent(node) or node)
    if held is None and isinstance(above, cst.Call):  # `Session().get(u)`
        calls = [above]
    loops = (*Loop, *Comprehension)
    own = bound_in(within) if isinstance(within, loops) else set(context.names.inside(within).bindings)
    return {host(context, url_of(call), own) for call in calls} or {"unknown"}


def asked(context: Context, client: cst.Name) -> Iterator[cst.Call]:
    """The requests that are made by a client of that name."""
    for read in loads(context.names, client):
        method = context.tree.parent(read)
        call = context.tree.parent(method) if isinstance(method, cst.Attribute) else None
        if isinstance(call, cst.Call) and call.func is method and last_name(method) in _REQUESTS:
            yield call


def first_that_works(context: Context, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether a `for` tries one address after the other until one answers: the first success ends it."""
    if not isinstance(loop, cst.For):
        return False
    last = loop.body.body[-1]
    ends = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None
    if isinstance(ends, (cst.Break, cst.Return, cst.Raise)):
        return True  # only `continue` goes on to the next
    for part in walk_scope(loop.body):
        if isinstance(part, (cst.Break, cst.Return)):
            for above in context.tree.ancestors(part, loop):
                if isinstance(above, cst.If) and _SUCCESS.search(context.tree.code(above.test)):
                    return True
                if (
                    isinstance(above, cst.Try)
                    and _in_body(context, part, above)
                    and _in_body(context, node, above)
                ):
                    return True
    return False


def rare(name: str, url: str = "") -> bool:
    """Whether a request is made once per user or release: a log-in, the set-up of an account, a look for updates."""
    return _RARE.search(name + url) is not None


def names_a_place(names: set[str]) -> bool:
    """Whether a variable of such a name stands for another host in each turn: `server`, `mirror`."""
    return any(_PLACE.search(name) for name in names)


def _in_body(context: Context, node: cst.CSTNode, tried: cst.Try) -> bool:
    return bool(tried.handlers) and context.flow.inside(node, tried.body)


def _continues_with_path(rest: list[Part]) -> bool:
    """`f"{u}/health"`: what comes first is an address of its own in each turn."""
    return bool(rest) and isinstance(rest[0], str) and rest[0].startswith("/")


def _words(node: cst.BaseExpression) -> set[str]:
    """The attributes and keys that the expression reads: `host` of `item.host` and of `item["host"]`."""
    found = set()
    for part in walk(node):
        if isinstance(part, cst.Attribute):
            found.add(part.attr.value)
        elif isinstance(part, cst.SimpleString):
            found.add(str(part.evaluated_value))
    return found


def _parts(context: Context, node: cst.BaseExpression, depth: int) -> Iterator[Part]:
    """The texts and expressions that a URL is put together from, in order."""
    match node:
        case cst.SimpleString():
            yield str(node.evaluated_value)
        case cst.ConcatenatedString(left=left, right=right):
            yield from _parts(context, left, depth)
            yield from _parts(context, right, depth)
        case cst.FormattedString(parts=parts):
            for part in parts:
                if isinstance(part, cst.FormattedStringText):
                    yield part.value
                elif isinstance(part, cst.FormattedStringExpression):
                    yield from _parts(context, part.expression, depth)
        case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
            yield from _parts(context, left, depth)
            yield from _parts(context, right, depth)
        case cst.BinaryOperation(left=left, operator=cst.Modulo(), right=right):
            yield from _filled(context, left, right, depth)
        case cst.Call(func=cst.Attribute(value=left, attr=cst.Name(value="format"))):
            yield from _filled(context, left, node, depth)
        case cst.Call(func=function, args=[cst.Arg(value=first), *_]) if last_name(function) in _JOINS:
            yield from _parts(context, first, depth)
        case cst.Name() if depth and (value := context.names.assigned(node)) is not None:
            yield from _parts(context, value, depth - 1)
        case _:
            yield node


def _filled(
    context: Context, template: cst.BaseExpression, values: cst.BaseExpression, depth: int
) -> Iterator[Part]:
    """A template with what is filled into its fields."""
    given = _values(values)
    count = 0
    for part in _parts(context, template, depth):
        if not isinstance(part, str):
            yield part
            continue
        start = 0
        for field in _FIELD.finditer(part):
            if field.start() > start:
                yield part[start : field.start()]
            name = field[1] or field[2] or ""
            key = name if name and not name.isdigit() else str(int(name or count))
            count, start = count + 1, field.end()
            yield given.get(key, values)
        if part[start:]:
            yield part[start:]


def _values(node: cst.BaseExpression) -> dict[str, cst.BaseExpression]:
    """What fills a template, by position and name."""
    if isinstance(node, cst.Call):
        named = {item.keyword.value: item.value for item in node.args if item.keyword is not None}
        plain = [item.value for item in node.args if item.keyword is None and not item.star]
        return {**{str(index): item for index, item in enumerate(plain)}, **named}
    if isinstance(node, cst.Tuple):
        return {str(index): item.value for index, item in enumerate(node.elements)}
    return {} if isinstance(node, cst.Dict) else {"0": node}
