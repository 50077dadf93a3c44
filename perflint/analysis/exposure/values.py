"""Settings followed one step: a constant, a local, an attribute of a class of this file.

`HOST = "0.0.0.0"` and then `app.run(host=HOST)` is as public as the literal; what comes from the
environment, arguments or another file is unknown, and unknown is silent.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import libcst as cst

from perflint.analysis.outline import Home, Outline, Store
from perflint.model.diagnostics import Span

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context


class _Unknown:
    """The value of whatever the text does not tell."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


class Call(NamedTuple):
    """A call as `ast` has it, and where it stands."""

    node: ast.Call
    home: Home


def call_at(context: Context, call: cst.Call) -> Call | None:
    """The `ast` twin of a call; None for one in parentheses of its own."""
    return context.facts.outline.once(_calls).get(context.tree.span(call))


def _calls(outline: Outline) -> dict[Span, Call]:
    return {span_of(outline, node): Call(node, home) for node, home in outline.calls}


def span_of(outline: Outline, node: ast.expr | ast.stmt) -> Span:
    """Where an `ast` node stands in the file."""
    source = outline.facts.source
    start = source.offset(node.lineno, node.col_offset)
    return Span(start, source.offset(node.end_lineno or node.lineno, node.end_col_offset or 0))


def value(outline: Outline, node: ast.expr | None, home: Home) -> Any:
    """The constant that an expression is, or UNKNOWN; a tuple or list of constants comes as a tuple."""
    settled = expression(outline, node, home)
    match settled:
        case ast.Constant(value=found):
            return found
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(value(outline, item, home) for item in items)
    return UNKNOWN


def expression(outline: Outline, node: ast.expr | None, home: Home) -> ast.expr | None:
    """The expression itself, or what the one name in it stands for: one step, each name bound once."""
    match node:
        case ast.Name(id=name):
            stores = _local(name, home)
            if stores is None and name not in home.bound:
                return outline.facts.constant(name)
            return stores[0] if stores is not None and len(stores) == 1 else None
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            return _only(outline.attribute(home.owner, name))
        case ast.Attribute(value=ast.Name(id=holder), attr=name) if holder not in home.bound:
            return _only(outline.attribute(_class_of(outline, holder), name))
    return node


def _local(name: str, home: Home) -> list[ast.expr] | None:
    """What the functions around assign to the name; None where none of them does."""
    for function in home.functions:
        found = [
            item.value
            for item in ast.walk(function)
            if isinstance(item, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in item.targets)
        ]
        if found:
            return found
    return None


def _class_of(outline: Outline, name: str) -> ast.ClassDef | None:
    """The class that a module-level name is, or is an object of: `Settings`, `settings = Settings()`."""
    held = outline.facts.constant(name)
    if isinstance(held, ast.Call) and isinstance(held.func, ast.Name):
        name = held.func.id
    classes = outline.classes.get(name, ())
    return classes[0] if len(classes) == 1 else None


def _only(stores: list[Store]) -> ast.expr | None:
    return stores[0].value if len(stores) == 1 else None


def passed(
    outline: Outline, call: Call, name: str, position: int | None = None
) -> ast.expr | _Unknown | None:
    """What a call passes for a parameter, a `**options` of this file looked into; None where it is left out.

    UNKNOWN where a star may bring it and nobody can see what it holds.
    """
    hidden = False
    for index, item in enumerate(call.node.args):
        hidden = hidden or isinstance(item, ast.Starred)
        if index == position and not hidden:
            return item
    for keyword in call.node.keywords:
        if keyword.arg == name:
            return keyword.value
        if keyword.arg is None:
            held = entries(expression(outline, keyword.value, call.home))
            if held is None:
                hidden = True
            elif name in held:
                return held[name]
    return UNKNOWN if hidden else None


def entries(node: ast.expr | None) -> dict[str, ast.expr] | None:
    """The items of `{"a": 1}` or `dict(a=1)` by their names; None for anything else."""
    match node:
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {str(key.value): item for key, item in pairs if isinstance(key, ast.Constant)}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=words) if all(word.arg for word in words):
            return {str(word.arg): word.value for word in words}
    return None
