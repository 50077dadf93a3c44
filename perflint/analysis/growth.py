"""Values that loops make from their old ones, read from `ast`: what gates ask in place of `match.growths`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from perflint.analysis.likely import pairs
from perflint.analysis.match import Form
from perflint.analysis.sketch import Sketch, dotted_text


class Grown(NamedTuple):
    """A place that gets a value made from its old one, in one of the forms of `match.Growth`."""

    form: Form
    place: str  # as `written` has it
    target: ast.expr
    value: ast.expr
    operands: list[ast.expr]  # what is added; empty where the form hides it
    sole: bool  # whether the statement does nothing else


def growths(sketch: Sketch) -> Iterator[Grown]:
    """The growths in the loops of a region, `t += e` and `t |= e` included."""
    for node in sketch.looped(ast.AugAssign):
        if isinstance(node.op, (ast.Add, ast.BitOr)) and (place := written(node.target)):
            yield Grown("augmented", place, node.target, node.value, [node.value], True)
    for assign in sketch.looped(ast.Assign):
        for target in assign.targets:
            both = pairs(target, assign.value)
            sole = len(both) == len(assign.targets) == 1
            yield from (found for pair in both if (found := _rebound(*pair, sole)))
    for one in sketch.looped(ast.AnnAssign):
        if one.value is not None and (found := _rebound(one.target, one.value, False)):
            yield found
    for walrus in sketch.looped(ast.NamedExpr):
        if found := _rebound(walrus.target, walrus.value, False):
            yield found


def _rebound(target: ast.expr, value: ast.expr, sole: bool) -> Grown | None:
    place = written(target)
    found = _shape(place, value) if place else None
    return Grown(found[0], place, target, value, found[1], sole) if place and found else None


def _shape(place: str, value: ast.expr) -> tuple[Form, list[ast.expr]] | None:
    match value:
        case ast.BinOp(op=ast.Add()):
            return _sum(place, value)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right) if written(left) == place:
            return "or", [right]
        case ast.BinOp(op=ast.Mod(), right=right) if place in _items(right):
            return "percent", []
        case ast.JoinedStr(values=parts):
            fields = [part.value for part in parts if isinstance(part, ast.FormattedValue)]
            return ("fstring", []) if place in map(written, fields) else None
        case ast.Call(func=ast.Attribute(attr="format"), args=args, keywords=keywords):
            passed = [*args, *(word.value for word in keywords)]
            return ("format", []) if place in map(written, passed) else None
        case ast.Call(func=ast.Attribute(attr="join"), args=args, keywords=keywords):
            passed = [*args, *(word.value for word in keywords)]
            return ("join", []) if any(place in _items(item) for item in passed) else None
        case ast.Call(func=ast.Name(id="dict"), args=[first, *_]):
            return ("copy", []) if written(first) == place else None
        case ast.Call(func=ast.Attribute(value=owner, attr="union")) if written(owner) == place:
            return "copy", []
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            spread = [item.value for item in items if isinstance(item, ast.Starred)]
            return ("display", []) if place in map(written, spread) else None
        case ast.Dict(keys=keys, values=values):
            spread = [item for key, item in zip(keys, values, strict=True) if key is None]
            return ("display", []) if place in map(written, spread) else None
    return None


def _sum(place: str, value: ast.expr) -> tuple[Form, list[ast.expr]] | None:
    terms: list[ast.expr] = []
    while isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        terms.append(value.right)
        value = value.left
    terms = [value, *reversed(terms)]
    own = [index for index, term in enumerate(terms) if written(term) == place]
    if not own:
        return None
    form: Form = "append" if own[0] == 0 else "prepend" if own[0] == len(terms) - 1 else "middle"
    return form, [term for index, term in enumerate(terms) if index != own[0]]


def regrown(target: ast.expr, value: ast.expr) -> bool:
    """Whether the target is in what makes its new value: `a = np.append(a, x)`, `frame.loc[len(frame)] = row`."""
    match target:
        case ast.Subscript(ast.Attribute(frame, "loc"), index):
            target, value = frame, index
    place = written(target)
    return place is not None and any(
        written(part) == place for part in ast.walk(value) if isinstance(part, ast.expr)
    )


def rejoined(sketch: Sketch, node: ast.Assign, functions: tuple[str, ...]) -> bool:
    """Whether the value may be what one of the functions, `append` or a method of such a result returns; yes for
    items: `frame.loc[len(frame)] = row`."""
    value, joins = node.value, sketch.facts.written(functions)
    while not isinstance(node.targets[0], ast.Subscript):
        match value:
            case ast.Call(func=ast.Attribute(value=inner, attr=method) as function):
                if method == "append" or dotted_text(function) in joins:
                    return True
                value = inner
            case ast.Subscript(value=inner):
                if dotted_text(inner) in joins:
                    return True
                value = inner
            case _:
                return isinstance(value, ast.Call) and dotted_text(value.func) in joins
    return True


def _items(node: ast.expr) -> list[str | None]:
    return list(map(written, node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]))


def written(node: ast.expr) -> str | None:
    """One text for each way to write the same place, as `match.dotted` makes it: `s`, `self.buf`, `d['k']`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            base = written(value)
            return f"{base}.{attribute}" if base else None
        case ast.Subscript(value=value, slice=index):
            base, key = written(value), _key(index)
            return f"{base}[{key}]" if base and key else None
        case ast.Starred(value=value):
            return written(value)
    return None


def _key(index: ast.expr) -> str | None:
    match index:
        case ast.Constant(value=value):
            return repr(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            return f"-{value!r}"
    return written(index)
