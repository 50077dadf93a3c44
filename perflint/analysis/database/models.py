"""Models of Django and peewee, and what a loop does with one object of theirs."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Literal, NamedTuple

import libcst as cst

from perflint.analysis.database import stores
from perflint.analysis.match import last_name
from perflint.analysis.outline import leaf
from perflint.analysis.possible import may_be
from perflint.analysis.sketch import Sketch, awaited_for
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Orm = Literal["django", "peewee"]

_GETTERS = {"get_model", "get_user_model"}
_MANAGERS = {"objects", "_default_manager", "_base_manager"}
_PEEWEE = {"peewee", "playhouse"}
_OTHERS = {"mongoengine", "django_mongoengine", "tortoise", "ormar", "piccolo"}  # `objects` of another kind
_SIGNALS = {"pre_save", "post_save", "m2m_changed", "pre_init", "post_init", "receiver"}


class Chain(NamedTuple):
    """`Item.objects.filter(..).first`: a query that starts at a model."""

    model: cst.BaseExpression
    calls: tuple[cst.Call, ...]  # outermost first

    @property
    def methods(self) -> list[str]:
        return [last_name(call.func) for call in self.calls]


def may_write(sketch: Sketch) -> bool:
    """A gate's question: whether a loop may write one object per turn, by an ORM or a store."""
    stored = not sketch.facts.packages.isdisjoint(stores.PACKAGES)
    for node in sketch.looped(ast.Expr):
        match awaited_for(node.value):
            case ast.Call(func=ast.Attribute(attr="flush" | "create")) if stored:
                return True
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if (
                stored and method in stores.WRITING
            ):
                if may_be(sketch, owner, stores.writers(method)):
                    return True
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=manager), attr="create" | "acreate")):
                if manager in _MANAGERS:
                    return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="save" | "asave")):
                if not sketch.words.isdisjoint(_MANAGERS) or name in _assigned(sketch):
                    return True
    return False


def _assigned(sketch: Sketch) -> set[str]:
    """The names that assignments in loops bind."""
    targets = [item for node in sketch.looped(ast.Assign) for item in node.targets]
    targets += [node.target for node in sketch.looped(ast.AnnAssign)]
    targets += [node.target for node in sketch.looped(ast.NamedExpr)]
    return {part.id for item in targets for part in ast.walk(item) if isinstance(part, ast.Name)}


def model(context: Context, node: cst.BaseExpression) -> Orm | None:
    """Which ORM's model class the expression names: imported from a `models` module, or defined in this file."""
    if not isinstance(node, (cst.Name, cst.Attribute)) or context.facts.packages & _OTHERS:
        return None
    qualified = context.names.qualified(node)
    if qualified is not None:
        module, _, name = qualified.rpartition(".")
        if "models" not in module.split(".") or module.startswith("django.") or not name[:1].isupper():
            return None
        return "peewee" if context.facts.packages & _PEEWEE else "django"
    return _own(context, node) if isinstance(node, cst.Name) else None


def manages(context: Context, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """The model of `Item.objects`."""
    match node:
        case cst.Attribute(value=owner, attr=cst.Name(value=name)) if name in _MANAGERS:
            return owner if model(context, owner) == "django" else None
    return None


def chain(context: Context, node: cst.CSTNode) -> Chain | None:
    """The query that the expression is: `Item.objects.filter(..).first()`, `Item.select().where(..)`."""
    calls: list[cst.Call] = []
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        calls.append(node)
        node = node.func.value
    if isinstance(node, cst.Attribute) and (found := manages(context, node)) is not None:
        return Chain(found, tuple(calls))
    if calls and isinstance(node, (cst.Name, cst.Attribute)) and model(context, node) == "peewee":
        return Chain(node, tuple(calls))
    return None


def made_in_loop(context: Context, name: cst.Name) -> cst.BaseExpression | None:
    """The class of the object that the turn constructs under this name."""
    value, loop = context.names.assigned(name), context.flow.loop(name)
    if isinstance(value, cst.Call) and loop is not None and context.flow.inside(value, loop):
        return value.func
    return None


def queried_in_loop(context: Context, name: cst.Name) -> cst.BaseExpression | None:
    """The model of the query that the innermost loop takes the object from."""
    loop = context.flow.loop(name)
    if (
        not isinstance(loop, cst.For)
        or not isinstance(loop.target, cst.Name)
        or loop.target.value != name.value
    ):
        return None
    found = chain(context, context.names.assigned(loop.iter) or loop.iter)
    return found.model if found is not None and model(context, found.model) == "django" else None


def customised(context: Context, node: cst.BaseExpression) -> bool:
    """Whether the model's class is in this file and saves in its own way, or is stored in two tables."""
    classes = context.facts.outline.classes.get(last_name(node), [])
    return any(_saves(item) or _inherits(context, item) for item in classes)


def signalled(context: Context) -> bool:
    """Whether the file deals in signals, which bulk writes do not send."""
    meanings = {name for found in context.facts.imports_anywhere.values() for name in found}
    return any(name.startswith("django.") and name.rpartition(".")[2] in _SIGNALS for name in meanings)


def only_set(context: Context, name: str, body: cst.CSTNode, but: cst.Call) -> bool:
    """Whether the body only sets and reads attributes of the object before the call `but` on it."""
    done = context.tree.span(but).end
    for use in walk_scope(body):
        if not isinstance(use, cst.Name) or use.value != name:
            continue
        parent = context.tree.parent(use)
        named = isinstance(parent, cst.Arg) and parent.keyword is use  # `f(item=1)`
        if isinstance(parent, cst.AssignTarget) or named or getattr(parent, "attr", None) is use:
            continue
        if context.tree.span(use).start > done:
            return False
        called = context.tree.parent(parent) if isinstance(parent, cst.Attribute) else None
        if called is None or (isinstance(called, cst.Call) and called.func is parent and called is not but):
            return False
    return True


def changed(name: str, body: cst.CSTNode) -> bool:
    """Whether the body does anything with the object besides one call on it."""
    return sum(isinstance(part, cst.Name) and part.value == name for part in walk_scope(body)) > 1


def _own(context: Context, node: cst.Name) -> Orm | None:
    owner = context.scope(node).owner(node.value)
    if owner is not None and owner is not context.names.top:
        values = [item.value for item in owner.bindings[node.value]]
        got = len(values) == 1 and isinstance(values[0], cst.Call) and last_name(values[0].func) in _GETTERS
        return "django" if got else None
    constant = context.facts.constant(node.value)
    if isinstance(constant, ast.Call) and leaf(constant.func) in _GETTERS:
        return "django"
    classes = context.facts.outline.classes.get(node.value, [])
    bases = context.facts.outline.bases(classes[0]) if len(classes) == 1 else []
    if any(base.startswith("peewee.") for base in bases):
        return "peewee"
    ours = any(base.startswith("django.db.models.") or base.endswith(".models.Model") for base in bases)
    return "django" if ours else None


def _saves(item: ast.ClassDef) -> bool:
    return any(isinstance(part, ast.FunctionDef) and part.name in ("save", "asave") for part in item.body)


def _inherits(context: Context, item: ast.ClassDef) -> bool:
    """Whether a base of the class is a model of this file that has a table."""
    for base in item.bases:
        for parent in context.facts.outline.classes.get(leaf(base), []):
            if not _abstract(parent) and any(
                "models" in name for name in context.facts.outline.bases(parent)
            ):
                return True
    return False


def _abstract(item: ast.ClassDef) -> bool:
    for part in item.body:
        if isinstance(part, ast.ClassDef) and part.name == "Meta":
            return "abstract" in ast.unparse(part)
    return False
