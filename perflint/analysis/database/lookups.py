"""Queries that a loop runs for each item: whether one query could stand before the loop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.database.drivers import SESSION_PACKAGES
from perflint.analysis.database.models import Chain, chain, model
from perflint.analysis.database.receivers import receiver
from perflint.analysis.database.statements import FETCHES, bound_in, statement
from perflint.analysis.match import dotted, last_name, names_in
from perflint.analysis.patterns.invariance import dependents
from perflint.analysis.tree import walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_CACHE = re.compile(r"cache|memo(_|$|iz)|lru", re.I)
_FILLS = {"append", "extend", "add", "update", "insert", "setdefault", "appendleft", "put", "push"}
_MANY = re.compile(r"\bin_?\(|__in\b|\bIN\b|\bANY\b|like\b", re.I)  # what no `IN` can put together, too
_BATCH = re.compile(r"batch|chunk", re.I)
_CREATES = {
    "create",
    "insert",
    "acreate",
    "bulk_create",
    "add_all",
    "insert_one",
    "insert_many",
    "get_or_create",
    "update_or_create",
    "save",
}
_STOPPING = {"any", "all", "next"}


def dependent(loop: cst.CSTNode, *nodes: cst.CSTNode) -> bool:
    """Whether the nodes read the loop's variable, or what is made from it."""
    return not names_in(*nodes).isdisjoint(dependents(loop))


def same_server(context: Context, on: cst.BaseExpression, loop: cst.CSTNode) -> bool:
    """Whether each turn asks the same connection: it is no item of the loop, nor made from one."""
    made = dependents(loop)
    for part in walk(loop):
        match part:
            case cst.WithItem(item=item, asname=cst.AsName(name=cst.Name(value=name))) if (
                names_in(item) & made
            ):
                made = made | {name}
    return names_in(on).isdisjoint(made)


def first_hit(context: Context, loop: cst.CSTNode) -> bool:
    """Whether the loop may end before its last item."""
    if isinstance(loop, cst.GeneratorExp):
        argument = context.tree.parent(loop)
        call = context.tree.parent(argument) if isinstance(argument, cst.Arg) else None
        return isinstance(call, cst.Call) and last_name(call.func) in _STOPPING
    if not isinstance(loop, cst.For):
        return False
    return any(
        isinstance(part, cst.Return) or (isinstance(part, cst.Break) and context.flow.loop(part) is loop)
        for part in walk_scope(loop.body)
    )


def walks(loop: cst.CSTNode) -> bool:
    """Whether the turns add to what the loop runs over: a walk through a graph."""
    place = dotted(loop.iter) if isinstance(loop, cst.For) else None
    return place is not None and place in _filled(loop)


def cached(loop: cst.CSTNode) -> bool:
    """Whether the loop looks an item up in what it fills, or in a cache, before it asks the server."""
    filled = _filled(loop)
    for part in walk_scope(loop):
        match part:
            case cst.ComparisonTarget(operator=cst.In() | cst.NotIn(), comparator=compared):
                if dotted(compared) in filled:
                    return True
            case cst.Name(value=name) if _CACHE.search(name):
                return True
    return False


def many_at_once(context: Context, node: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether the query asks for the rows of many items: a batch."""
    named = any(_BATCH.search(name) for name in bound_in(loop))
    return named or _MANY.search(context.tree.code(node)) is not None


def fallback(context: Context, node: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether its result goes to a name that the turn has read before: `if row is None: row = ..`, or a walk."""
    start, stored = context.tree.span(node).start, _stored(context, node)
    reads = (part for part in walk_scope(loop) if isinstance(part, cst.Name) and part.value in stored)
    return any(
        not isinstance(context.tree.parent(part), cst.AssignTarget) and context.tree.span(part).start < start
        for part in reads
    )


def adds(context: Context, node: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether the loop adds rows, which a later turn's query may be meant to find; `save()` of what it found adds none."""
    found = _stored(context, node)
    for part in walk_scope(loop):
        if not isinstance(part, cst.Call) or not isinstance(part.func, cst.Attribute):
            continue
        method, on = part.func.attr.value, part.func.value
        if method == "save" and isinstance(on, cst.Name) and on.value in found:
            continue
        if method in _CREATES or (method in ("add", "merge") and "session" in context.tree.code(on).lower()):
            return True
        written = statement(context, part)
        if written is not None and written.verb in ("INSERT", "REPLACE", "MERGE"):
            return True
    return False


def fetched(context: Context, node: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether the rows of `cur.execute(..)` are read from the cursor later in the same turn."""
    on = dotted(node.func.value) if isinstance(node.func, cst.Attribute) else None
    start = context.tree.span(node).start
    for part in walk_scope(loop) if on is not None else ():
        match part:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method))) if method in FETCHES:
                if dotted(owner) == on and context.tree.span(part).start > start:
                    return True
            case cst.For(iter=rows) | cst.CompFor(iter=rows) if dotted(rows) == on:
                return True
    return False


def query(context: Context, node: cst.Call) -> Chain | None:
    """The query of an ORM that the call ends: of Django, peewee, or SQLAlchemy's `session.query(User)..`."""
    return chain(context, node) or _sqlalchemy(context, node)


def _sqlalchemy(context: Context, node: cst.Call) -> Chain | None:
    calls: list[cst.Call] = []
    here: cst.BaseExpression = node
    while isinstance(here, cst.Call) and isinstance(here.func, cst.Attribute):
        calls.append(here)
        here = here.func.value
        if calls[-1].func.attr.value == "query" and calls[-1].args:  # type: ignore[attr-defined]
            known = receiver(context, here)
            return Chain(here, tuple(calls[:-1])) if known is not None and known.kind == "session" else None
    match here:
        case cst.Attribute(value=owner, attr=cst.Name(value="query")):
            flask = context.facts.packages & SESSION_PACKAGES or model(context, owner) is not None
            return Chain(owner, tuple(calls)) if flask and last_name(owner)[:1].isupper() else None
    return None


def _stored(context: Context, node: cst.Call) -> set[str]:
    """The names that the result goes to."""
    return {
        part.target.value
        for part in walk_scope(context.tree.statement(node))
        if isinstance(part, cst.AssignTarget) and isinstance(part.target, cst.Name)
    }


def _filled(loop: cst.CSTNode) -> set[str | None]:
    """The places that the loop stores items into."""
    found: set[str | None] = set()
    for part in walk_scope(loop):
        match part:
            case cst.AssignTarget(target=cst.Subscript(value=owner)):
                found.add(dotted(owner))
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method))) if method in _FILLS:
                found.add(dotted(owner))
            case cst.AugAssign(target=target):
                found.add(dotted(target))
    return found - {None}
