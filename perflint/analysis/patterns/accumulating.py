"""Whether a region may hold an accumulator of `patterns.accumulate`: what the gates of its rules ask."""

from __future__ import annotations

import ast

from perflint.analysis.growth import Grown, growths
from perflint.analysis.likely import NONE, Likely, Types
from perflint.analysis.patterns.accumulate import HOLDERS
from perflint.analysis.sketch import Sketch

_INNER = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def accumulating(sketch: Sketch, kind: str) -> list[Grown]:
    """What may make a str, bytes or tuple longer in the region's loops."""
    return [item for item, types in sketch.once(_typed) if kind in types]


def _typed(sketch: Sketch) -> list[tuple[Grown, Types]]:
    likely = sketch.once(Likely)
    return [(item, _types(item, likely, sketch)) for item in growths(sketch)]


def _types(item: Grown, likely: Likely, sketch: Sketch) -> Types:
    known = NONE
    if isinstance(item.target, ast.Name):
        known = likely.name(item.place)
        if item.place not in sketch.facts.global_names:
            return known
    added = NONE.union(*map(likely.of, item.operands or [item.value]))
    return known | added | _stored(item.target, sketch)


def _stored(target: ast.expr, sketch: Sketch) -> Types:
    """What the classes of the file assign to the attribute, or the whole file to the global."""
    stores, found = sketch.facts.stores, []
    match target:
        case ast.Name(id=name):
            found = [stores.variable(name)]
        case ast.Attribute(value=ast.Name(id=name), attr=attribute):
            if any(_receiver(node) == name for node in sketch.functions):
                found = stores.anywhere(attribute)
    return frozenset(kind for types in found if len(types) == 1 for kind in types if kind is not None)


def _receiver(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """The name of a method's `self`."""
    first = [*function.args.posonlyargs, *function.args.args][:1]
    return first[0].arg if first else None


def in_place(item: Grown, sketch: Sketch) -> bool:
    """Whether it is `s += e` or `s = s + e` for a local that no other scope and no other object ever has."""
    straight = item.sole and item.form in ("augmented", "append") and isinstance(item.target, ast.Name)
    if not straight or not sketch.region.function or item.place in sketch.facts.global_names:
        return False
    span = sketch.region.span
    fused = sketch.facts.source.data.find(b";", *span) >= 0  # another statement on the line
    return not fused and item.place not in _elsewhere(sketch)


def _elsewhere(sketch: Sketch) -> set[str]:
    """The names that inner scopes use, and those that loops yield, or put into another name or a container."""
    inner = [node for kind in _INNER for node in sketch.of(kind) if node is not sketch.region.node]
    held = [argument for call in sketch.looped_calls(*HOLDERS) for argument in call.args]
    held += [node.value for node in sketch.looped(ast.Assign)]
    held += [node.value for node in sketch.looped(ast.Yield) if node.value is not None]
    parts = [*(part for node in inner for part in ast.walk(node)), *held]
    return {part.id for part in parts if isinstance(part, ast.Name)}
