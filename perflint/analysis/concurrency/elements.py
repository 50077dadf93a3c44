"""What a receiver is beyond plain names: the items of a collection, and fields of the file's own classes.

`for thread in threads: thread.join()` waits as `thread.join()` does, `job.done.wait()` as `done.wait()`.
"""

from __future__ import annotations

import ast

import libcst as cst

from perflint.analysis import library
from perflint.analysis.match import dotted
from perflint.analysis.names import Binding
from perflint.analysis.objects import Made, Objects
from perflint.analysis.outline import Home, Store
from perflint.analysis.possible import may_be
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, walk_scope

_SAME_ITEMS = {"builtins.list", "builtins.tuple", "builtins.set", "builtins.sorted", "builtins.reversed"}
_ADDS = ("append", "add")


def receiver(objects: Objects, node: cst.BaseExpression) -> Made | None:
    """As `objects.of`; also an item of a collection of one type, and `job.done` where `job: Job` is of this file."""
    made = objects.of(node)
    if made is not None:
        return made
    match node:
        case cst.Name(value=name):
            kind = _one([_items(objects, over) for over in iterated(objects, node)])
            return Made(kind) if kind is not None else None
        case cst.Attribute(value=cst.Name() as owner, attr=cst.Name(value=name)):
            return _field(objects, owner, name)
    return None


def receives(sketch: Sketch, node: ast.expr, kinds: frozenset[str]) -> bool:
    """A gate's question: whether what `receiver` says of the expression may be one of the types."""
    match node:
        case ast.Name(id=name) if any(
            isinstance(loop.target, ast.Name) and loop.target.id == name for loop in _loops(sketch)
        ):
            return sketch.file_mentions(*library.makers(kinds))
        case ast.Attribute(value=ast.Name(), attr=name):
            field = ast.Attribute(ast.Name("self", ast.Load()), name, ast.Load())
            return may_be(sketch, node, kinds) or may_be(sketch, field, kinds)
    return may_be(sketch, node, kinds)


def _loops(sketch: Sketch) -> list[ast.For | ast.AsyncFor | ast.comprehension]:
    return [*sketch.of(ast.For), *sketch.of(ast.AsyncFor), *sketch.of(ast.comprehension)]


def iterated(objects: Objects, name: cst.Name) -> list[cst.BaseExpression]:
    """What the loops run over that give the name its values; nothing if it gets any other value."""
    found = []
    for binding in _bindings(objects, name):
        match binding.node:
            case cst.For(target=cst.Name(), iter=over) | cst.CompFor(target=cst.Name(), iter=over):
                found.append(over)
            case _:
                return []
    return found


def _bindings(objects: Objects, name: cst.Name) -> list[Binding]:
    scope = objects.names.scope(name).owner(name.value)
    return scope.bindings[name.value] if scope is not None and scope is not objects.names.top else []


def _field(objects: Objects, owner: cst.Name, name: str) -> Made | None:
    match _bindings(objects, owner):
        case [Binding(annotation=cst.Annotation(annotation=cst.Name(value=kind)))]:
            pass
        case [Binding(kind="assign", value=cst.Call(func=cst.Name(value=kind)))]:
            pass
        case _:
            return None
    classes = objects.outline.classes.get(kind, [])
    if len(classes) != 1:
        return None
    attribute = ast.Attribute(ast.Name("self", ast.Load()), name, ast.Load())
    return objects.elsewhere(attribute, Home(owner=classes[0]))


def _items(objects: Objects, node: cst.BaseExpression) -> str | None:
    """The one type of all that the collection holds."""
    match node:
        case cst.DictComp(key=item):
            return objects.type(item)
        case cst.ListComp(elt=item) | cst.SetComp(elt=item) | cst.GeneratorExp(elt=item):
            return objects.type(item)
        case cst.List(elements=elements) | cst.Tuple(elements=elements) | cst.Set(elements=elements):
            return _one([objects.type(item.value) for item in elements])
        case cst.Call(func=function, args=[cst.Arg(value=inner, star="")]):
            return _items(objects, inner) if objects.function(function) in _SAME_ITEMS else None
        case cst.Name():
            return _named(objects, node)
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
            home = objects.home(node)
            return _one([_stored(objects, item) for item in objects.outline.attribute(home.owner, name)])
    return None


def _named(objects: Objects, node: cst.Name) -> str | None:
    found: list[str | None] = []
    for binding in _bindings(objects, node):
        match binding:
            case Binding(annotation=cst.Annotation(annotation=annotation)):
                found.append(_annotated(objects, objects.tree.module.code_for_node(annotation)))
            case Binding(kind="assign", value=cst.List(elements=[])):
                found += [objects.type(item) for item in _added(objects, node)]
            case Binding(kind="assign", value=cst.BaseExpression() as value) if isinstance(
                value, (Comprehension, cst.List, cst.Tuple, cst.Set)
            ):
                found.append(_items(objects, value))
            case _:
                return None
    return _one(found)


def _added(objects: Objects, name: cst.Name) -> list[cst.BaseExpression]:
    """What the function appends to the list of that name."""
    scope = objects.names.scope(name).owner(name.value)
    found = []
    for part in walk_scope(scope.node) if scope is not None else ():
        match part:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method)), args=[item]):
                if method in _ADDS and dotted(owner) == name.value:
                    found.append(item.value)
    return found


def _stored(objects: Objects, store: Store) -> str | None:
    if store.annotation is not None:
        return _annotated(objects, ast.unparse(store.annotation))
    match store.value:
        case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
            made = objects.elsewhere(item, store.home)
            return made.type if made is not None else None
    return None


def _annotated(objects: Objects, text: str) -> str | None:
    """`list[Thread]` holds threads."""
    try:
        annotation = ast.parse(text.strip("\"'"), mode="eval").body
    except SyntaxError:
        return None
    match annotation:
        case ast.Subscript(value=ast.Name() | ast.Attribute(), slice=ast.Tuple(elts=[inner, ast.Constant()])):
            pass  # tuple[Thread, ...]
        case ast.Subscript(value=ast.Name() | ast.Attribute(), slice=inner):
            pass
        case _:
            return None
    inner = inner.value if isinstance(inner, ast.Subscript) else inner
    name = objects.outline.qualified(inner)
    kind = library.canonical(name) if name is not None else None
    return kind if kind in library.CLASSES else None


def _one(found: list[str | None]) -> str | None:
    return found[0] if found and len(set(found)) == 1 else None
