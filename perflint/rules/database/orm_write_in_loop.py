"""One object is written per turn of a loop, where the library writes many at once.

Each `create()`, `save()`, `insert_one()` or `put_item()` is a round trip to the server, and outside of
a transaction often a commit as well. The bulk calls send hundreds of objects per round trip.

Bad:

    from shop.models import Item


    def load(rows):
        for row in rows:
            Item.objects.create(name=row["name"], price=row["price"])

Good:

    from shop.models import Item


    def load(rows):
        Item.objects.bulk_create([Item(name=row["name"], price=row["price"]) for row in rows])

Looked at: models of Django and peewee, collections of MongoDB, Redis, tables of DynamoDB, Elasticsearch,
and SQLAlchemy's `flush()` after each `add()`.

It is an info for an imported model, whose class may have a `save()` of its own.

Not flagged: SQLAlchemy's `session.add()`, which is batched when the session flushes; results that are used,
such as a new object's key; models of the file that have a `save()` of their own; `get_or_create`, conditional
writes and one of two branches; a `try`, a transaction or another `with` around each object; a store per turn; what
is in a `pipeline()` or `batch_writer()` already; `save()` of objects that the loop does more with than setting attributes,
or nothing, which is for what `save()` does besides; `create()` with values by position, which is no `create()` of
Django's; loops over a few known items, retries, workers; clean-up; migrations, which run once.

The fixes (`bulk_create`, `insert_many`) are unsafe: `bulk_create` calls no `save()`, sends no `pre_save`
or `post_save` and does not write models of several tables; both hold all objects in memory, and after an
error other rows have been written than by the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.database import models, stores
from perflint.analysis.database.batches import laid_out
from perflint.analysis.database.items import per_item
from perflint.analysis.database.migrations import migrates
from perflint.analysis.database.statements import bound_in
from perflint.analysis.database.writes import flushed_each_turn, in_transaction, keyed, listed, one_by_one
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name, names_in
from perflint.analysis.rewrite import element, indent_unit, indentation, replace
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_DJANGO = {"create": "bulk_create", "acreate": "abulk_create"}
_SAVES = {"save", "asave"}
_METHODS = _DJANGO.keys() | _SAVES | {"flush"} | stores.WRITING

rule = Rule(
    code="PRF504",
    name="orm-write-in-loop",
    summary="one object is written per round trip where many could be",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b".objects", b"_manager.", b".save(", b".asave("),
        loop=True,
        beside=tuple(
            (package, f".{name}(".encode()) for package in stores.PACKAGES for name in sorted(_METHODS)
        ),
        sketch=models.may_write,
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="""
            import os, sys, tempfile, types
            from django.conf import settings
            if not settings.configured:
                folder = tempfile.TemporaryDirectory()
                path = os.path.join(folder.name, "shop.db")
                settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}})
                import django
                django.setup()
                from django.db import connection, models
                fields = {"name": models.TextField(), "price": models.IntegerField()}
                fields["Meta"] = type("Meta", (), {"app_label": "shop"})
                Item = type("Item", (models.Model,), {**fields, "__module__": "shop.models"})
                with connection.schema_editor() as editor:
                    editor.create_model(Item)
                sys.modules["shop"] = types.ModuleType("shop")
                sys.modules["shop.models"] = types.SimpleNamespace(Item=Item)
            rows = [{"name": f"item {i}", "price": i} for i in range(n)]
        """,
        call="load(rows)",
        sizes=(10, 25, 50),
        needs=("django",),
        measure="wall",
    ),
)


class Write(NamedTuple):
    """A call that writes one object, and what writes many."""

    bulk: str
    fix: Callable[[cst.Call, cst.CSTNode, Context], Fix | None] | None = None
    level: Severity | None = None


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    method = last_name(node.func)
    if not isinstance(node.func, cst.Attribute) or method not in _METHODS or not _unused(node, context):
        return
    if migrates(context):
        return
    write = _django(node, method, context) or _store(node, method, context) or _peewee(node, method, context)
    flush = method == "flush" and not node.args
    loop = per_item(context, node) if write is not None or flush else None
    if loop is None or loop is not context.flow.loop(node) or is_cleanup(context.tree, node):
        return
    if one_by_one(context, node, loop):
        return
    shown = context.tree.shown(node.func)
    if flush:
        if flushed_each_turn(context, node, loop):
            text = f"`{shown}()` sends the objects of each turn in a round trip of their own; flush once after the loop"
            yield rule.finding(context, node, text)
    elif write is not None and _one_for_all(node, method, loop, context):
        within = " (in one transaction already)" if in_transaction(context, loop) else ""
        unless = ", unless `save()` or signals do more" if write.level is Severity.INFO else ""
        text = f"`{shown}()` issues one round trip per object{within}; collect and use `{write.bulk}`{unless}"
        fix = write.fix(node, loop, context) if write.fix is not None else None
        yield rule.finding(context, node, text, fix, write.level)


def _unused(node: cst.Call, context: Context) -> bool:
    return isinstance(context.tree.taker(node), cst.Expr)


def _django(node: cst.Call, method: str, context: Context) -> Write | None:
    """`Item.objects.create(..)`, and `item.save()` of an object made or queried for the loop."""
    assert isinstance(node.func, cst.Attribute)
    receiver_ = node.func.value
    if method in _DJANGO:
        owner = models.manages(context, receiver_)
        own = any(item.keyword is None and item.star != "**" for item in node.args)
        if owner is None or own or models.customised(context, owner):
            return None
        return Write(f"{_DJANGO[method]}()", _bulk_create, _level(owner, context))
    if method not in _SAVES or not isinstance(receiver_, cst.Name):
        return None
    prefix = "a" if method == "asave" else ""
    made = models.made_in_loop(context, receiver_)
    if made is not None and not node.args:
        kind = models.model(context, made)
        bulk = f"{prefix}bulk_create()" if kind == "django" else f"{last_name(made)}.insert_many()"
        known = kind is not None and not models.customised(context, made)
        return Write(bulk, level=_level(made, context)) if known else None
    found = models.queried_in_loop(context, receiver_)
    fields = all(item.keyword is not None and item.keyword.value == "update_fields" for item in node.args)
    if found is None or not fields or models.customised(context, found):
        return None
    return Write(f"{prefix}bulk_update()` or `{prefix}update()", level=_level(found, context))


def _level(owner: cst.BaseExpression, context: Context) -> Severity | None:
    """An imported model may save in its own way, which is not in sight."""
    return None if last_name(owner) in context.facts.outline.classes else Severity.INFO


def _peewee(node: cst.Call, method: str, context: Context) -> Write | None:
    """`Item.create(..)`."""
    owner = node.func.value if isinstance(node.func, cst.Attribute) and method == "create" else None
    if owner is None or models.model(context, owner) != "peewee" or models.customised(context, owner):
        return None
    return Write("insert_many()")


def _store(node: cst.Call, method: str, context: Context) -> Write | None:
    """A write of a store that is no SQL database."""
    many = any(item.star == "*" for item in node.args)  # `r.delete(*keys)`
    bulk = stores.bulk(context, node, stores.WRITES) if method in stores.WRITING and not many else None
    return Write(bulk, _insert_many if method == "insert_one" else None) if bulk is not None else None


def _one_for_all(node: cst.Call, method: str, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the loop needs nothing of an object between its turns."""
    assert isinstance(node.func, cst.Attribute)
    if method not in _SAVES:
        return bound_in(loop).isdisjoint(names_in(node.func.value))  # else a store per turn
    name, body = node.func.value, context.flow.loop(node)
    if not isinstance(name, cst.Name) or body is None:
        return False
    if not models.only_set(context, name.value, body.body, node):
        return False
    made = models.made_in_loop(context, name) is not None
    return not keyed(name.value, body.body) if made else models.changed(name.value, body.body)


def _bulk_create(node: cst.Call, loop: cst.CSTNode, context: Context) -> Fix | None:
    """`Item.objects.bulk_create([Item(..) for ..])` for a loop that only creates."""
    assert isinstance(node.func, cst.Attribute)
    owner = models.manages(context, node.func.value)
    if owner is None or models.signalled(context):
        return None
    tree = context.tree
    values = tree.source.slice(tree.span(node.func).end, tree.span(node).end)
    made = listed(context, node, loop, f"{tree.code(owner)}{values}")
    if made is None or ".objects" in values:  # may ask for what was just made
        return None
    bulk = _DJANGO[node.func.attr.value]
    call = f"{_awaits(node, context)}{tree.code(node.func.value)}.{bulk}"
    text = f"{call}({made})" if "\n" in made else laid_out(context, loop, call, [made])
    return Fix("Create all objects at once", (replace(tree, loop, text),), Applicability.UNSAFE)


def _insert_many(node: cst.Call, loop: cst.CSTNode, context: Context) -> Fix | None:
    """`if documents := list(rows): coll.insert_many(documents)`, which refuses an empty list."""
    assert isinstance(node.func, cst.Attribute) and isinstance(loop, cst.For)
    match node.args:
        case [cst.Arg(value=document, keyword=None, star="")]:
            pass
        case _:
            return None
    tree, name = context.tree, "documents"
    same = tree.code(document) == tree.code(loop.target)
    made = listed(context, node, loop, element(tree, document))
    if made is None or "\n" in made or name in names_in(tree.function(loop) or tree.root):
        return None
    known = same and isinstance(loop.iter, cst.Name) and context.kinds.of(loop.iter) == "list"
    test = name = tree.code(loop.iter) if known else name
    if not known:
        test = f"{name} := list({tree.code(loop.iter)})" if same else f"{name} := {made}"
    indent = indent_unit(tree, loop.body) if isinstance(loop.body, cst.IndentedBlock) else "    "
    text = f"if {test}:\n{indentation(tree, loop)}{indent}{_awaits(node, context)}{tree.code(node.func.value)}.insert_many({name})"
    return Fix("Insert all documents at once", (replace(tree, loop, text),), Applicability.UNSAFE)


def _awaits(node: cst.Call, context: Context) -> str:
    return "await " if isinstance(context.tree.parent(node), cst.Await) else ""
