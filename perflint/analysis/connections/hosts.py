"""Whether the items of a loop are on one host, as far as the text tells: a kept connection helps only there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import libcst as cst

from perflint.analysis.match import last_name, names_in
from perflint.analysis.patterns.uses import sole_binding
from perflint.analysis.tree import walk

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Host = Literal["same", "varies", "unknown"]

_AUTHORITY = re.compile(r"^\w*://")
# A variable of this name stands for a place of its own in each turn.
_PLACE = re.compile(
    r"(^|_)(hosts?|hostnames?|fqdns?|(sub)?domains?|sites?|mirrors?|peers?|servers?|nodes?|instances?|machines?|"
    r"ips?|ip_?addr(ess(es)?)?|addrs?|address(es)?|workers?|replicas?|brokers?|gateways?|base_?urls?|base|origins?|"
    r"proxy|proxies|devices?|feeds?|registry|registries|remotes?|clusters?|ports?|services?|backends?|containers?|"
    r"webhooks?|hooks?|callbacks?|indexes|schemes?|protocols?|routers?|cameras?|resolvers?|providers?)\d*(_url|_uri)?s?$",
    re.I,
)
_DEPTH = 4
_FIELD = re.compile(r"%[sdr(]|\{")
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
            named = any(_PLACE.search(word) for word in _words(part) | (names_in(part) & changing))
            if not begins or named:
                return "varies"
            return "varies" if _continues_with_path(parts[1:]) else "unknown"
        elif not text:
            return "same"  # `BASE + path`
    return "same"


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
        case cst.Name(value=name) if depth and (value := _local(context, node, name)) is not None:
            yield from _parts(context, value, depth - 1)
        case _:
            yield node


def _filled(
    context: Context, template: cst.BaseExpression, values: cst.BaseExpression, depth: int
) -> Iterator[Part]:
    """A template up to its first field, then all that is filled in."""
    for part in _parts(context, template, depth):
        if isinstance(part, str) and (field := _FIELD.search(part)):
            if field.start():
                yield part[: field.start()]
            yield from (item.value for item in values.args) if isinstance(values, cst.Call) else (values,)
            return
        yield part


def _local(context: Context, node: cst.Name, name: str) -> cst.BaseExpression | None:
    owner = context.scope(node).owner(name)
    return sole_binding(name, owner) if owner is not None else None
