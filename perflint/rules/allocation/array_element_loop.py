"""The items of a NumPy array are visited one by one in Python.

An array holds bare numbers. Each item that a loop, `sum`, `min` or `max` asks for is first put
into a new NumPy scalar object, and arithmetic on such scalars is slower than on Python's own
numbers. A vectorised operation never makes them; `.tolist()` makes all items at once, as plain
numbers.

Bad:

    import numpy as np


    def squares(n):
        values = np.arange(n)
        return [value * value for value in values]

Good:

    import numpy as np


    def squares(n):
        values = np.arange(n)
        return [value * value for value in values.tolist()]

Counted are names bound in the same function to `np.arange`, `linspace`, `zeros`, `array` and
the like, one-dimensional by construction and of numbers. Not flagged: parameters, arrays of
unknown shape or of objects, a few known items, loops that write into the array or call NumPy in
each turn. There is no fix: `.tolist()` gives `int` and `float` where the loop had `np.int64` and `np.float64`, whose
overflow, division by zero and text differ.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.flow import SMALL
from perflint.analysis.gates import Gate
from perflint.analysis.likely import assigned
from perflint.analysis.match import root
from perflint.analysis.names import Scope
from perflint.analysis.patterns.uses import use
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Finding, Severity

_RANGES = ("arange", "linspace", "logspace", "geomspace")
_FILLED = ("zeros", "ones", "empty", "full")
_FROM = ("array", "asarray", "fromiter")
_MAKERS = {f"numpy.{name}": name for name in (*_RANGES, *_FILLED, *_FROM)}


def _hopeful(sketch: Sketch) -> bool:
    made = set(sketch.calls_to(*_MAKERS))
    arrays = {ast.unparse(target) for target, value, _ in assigned(sketch) if value in made}
    walked = [loop.iter for loop in sketch.loops if not isinstance(loop, ast.While)]
    walked += [clause.iter for clause in sketch.of(ast.comprehension)]
    for item in (*walked, *sketch.calls("sum", "min", "max")):
        while isinstance(item, ast.Call) and item.args:  # `range(len(a))`
            item = item.args[0]
        if isinstance(item, ast.Name) and item.id in arrays:
            return True
    return False


rule = Rule(
    code="PRF231",
    name="array-element-loop",
    summary="a NumPy array is visited item by item in Python",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(names=tuple(_MAKERS), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="", call="squares(n)", needs=("numpy",)),
    tests=False,
)

_NUMBERS = ("int", "float", "bool")
_DTYPES = {
    *("int", "uint", "float", "bool", "double", "single", "half", "longlong", "intp"),
    *("i", "u", "f", "d", "b"),
}


@rule.visits(cst.For, cst.CompFor)
def check_loop(node: cst.For | cst.CompFor, context: Context) -> Iterator[Finding]:
    array = node.iter
    match array:
        case cst.Call(
            func=cst.Name() as function,
            args=[cst.Arg(value=cst.Call(func=length, args=[cst.Arg(value=inner)]))],
        ):
            if context.names.builtin(function) != "range" or context.names.builtin(length) != "len":
                return
            if not isinstance(node, cst.For) or not _indexed(node, inner, context):
                return
            array = inner
    if isinstance(array, cst.Name) and _is_array(array, context) and not _busy(node, array, context):
        message = f"iterating the NumPy array `{array.value}` boxes every element"
        yield rule.finding(context, node.iter, f"{message}; use a vectorised op or `.tolist()` first")


@rule.visits(cst.Call)
def check_call(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node:
        case cst.Call(
            func=cst.Name(value="sum" | "min" | "max" as name), args=[cst.Arg(value=cst.Name() as array)]
        ):
            if node.args[0].star or context.names.builtin(node.func) != name or not _is_array(array, context):
                return
            yield rule.finding(
                context,
                node,
                f"`{name}({array.value})` boxes every element of a NumPy array; use `{array.value}.{name}()`",
            )


def _is_array(node: cst.Name, context: Context) -> bool:
    """Whether the name is bound here, once, to an array of numbers with one dimension and many items."""
    scope = context.scope(node).owner(node.value)
    if scope is None or _shared(scope, node, context) or _reshaped(node.value, scope, context):
        return False
    bindings = [item for item in scope.bindings[node.value] if item.kind != "augmented"]  # `a += 1`: in place
    value = bindings[0].value if len(bindings) == 1 and bindings[0].kind == "assign" else None
    if not isinstance(value, cst.Call) or any(arg.star for arg in value.args):
        return False
    maker = _MAKERS.get(context.names.qualified(value.func) or "")
    plain = [arg.value for arg in value.args if arg.keyword is None]
    if maker is None or not plain or any(arg.keyword and arg.keyword.value == "ndmin" for arg in value.args):
        return False
    typed = _dtype(value, plain, maker, context)
    if typed is False:
        return False
    if maker == "arange":
        return len(plain) > 1 or not _few(plain[0])
    if maker in _RANGES:
        return all(_number(part, context) for part in plain[:2])
    if maker == "full" and not (len(plain) > 1 and _number(plain[1], context)):
        return False
    if maker == "fromiter":
        return typed is True
    return _length(plain[0], context) if maker in _FILLED else _items(plain[0], context)


def _shared(scope: Scope, node: cst.Name, context: Context) -> bool:
    """Whether the array belongs to a class, or to the module and is used in a function: a table, mostly."""
    inside = any(isinstance(above, cst.FunctionDef) for above in context.tree.ancestors(node))
    return scope.kind not in ("function", "module") or (scope.kind == "module" and inside)


def _reshaped(name: str, scope: Scope, context: Context) -> bool:
    """Whether the array gets another shape in place."""
    above = (use(context.tree, read).node for read in context.flow.reads(name, scope))
    attributes = [node for node in above if isinstance(node, cst.Attribute)]
    return any(
        node.attr.value == "resize"
        or (node.attr.value in ("shape", "dtype") and isinstance(context.tree.parent(node), cst.AssignTarget))
        for node in attributes
    )


def _dtype(call: cst.Call, plain: list[cst.BaseExpression], maker: str, context: Context) -> bool | None:
    """Whether the element type is a number; None where it is left to NumPy."""
    given = [arg.value for arg in call.args if arg.keyword is not None and arg.keyword.value == "dtype"]
    place = {"full": 2, "arange": 3}.get(maker, 1)
    given += plain[place:] if maker not in _RANGES[1:] else []
    if not given:
        return None
    text = context.tree.code(given[0]).rpartition(".")[2].strip("'\"_<>=").rstrip("0123456789_")
    return text in _DTYPES


def _number(node: cst.BaseExpression, context: Context) -> bool:
    """Whether the expression is one number, as far as the text tells."""
    match node:
        case cst.UnaryOperation(expression=inner):
            return _number(inner, context)
        case cst.BinaryOperation(left=left, right=right):
            return _number(left, context) and _number(right, context)
        case cst.Attribute():
            return context.names.qualified(node) in ("numpy.pi", "numpy.e", "math.pi", "math.e")
    return context.kinds.of(node) in _NUMBERS


def _few(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Attribute) and node.attr.value == "ndim":
        return True
    return isinstance(node, cst.Integer) and int(node.value.replace("_", ""), 0) <= SMALL


def _length(shape: cst.BaseExpression, context: Context) -> bool:
    """Whether a shape is one number, and not a small constant."""
    match shape:
        case cst.Tuple(elements=[cst.Element(value=length)]) | cst.List(elements=[cst.Element(value=length)]):
            return not _few(length)
        case cst.BinaryOperation(
            operator=cst.Add() | cst.Subtract() | cst.FloorDivide(), left=left, right=right
        ):
            return any(context.kinds.of(part) == "int" for part in (left, right))
    return context.kinds.of(shape) == "int" and not _few(shape)


def _items(node: cst.BaseExpression, context: Context) -> bool:
    """Whether what an array is made from gives plain numbers."""
    match node:
        case cst.List(elements=items) | cst.Tuple(elements=items):
            return len(items) > SMALL and all(_number(item.value, context) for item in items)
        case cst.ListComp(elt=item):
            return _number(item, context) and not context.flow.bounded(node)
        case cst.Call(func=cst.Name() as function, args=[cst.Arg(value=count), *_]):
            return context.names.builtin(function) == "range" and not _few(count)
    return False


def _indexed(loop: cst.For, array: cst.BaseExpression, context: Context) -> bool:
    """Whether the loop `for i in range(len(a))` reads `a[i]`."""
    if not isinstance(array, cst.Name) or not isinstance(loop.target, cst.Name):
        return False
    wanted = f"{array.value}[{loop.target.value}]"
    return any(
        isinstance(part, cst.Subscript) and context.tree.code(part) == wanted for part in walk(loop.body)
    )


def _busy(loop: cst.For | cst.CompFor, array: cst.Name, context: Context) -> bool:
    """Whether the loop stores into the array (each item may depend on the last) or calls NumPy in each
    turn (that costs more than the boxing)."""
    whole = loop if isinstance(loop, cst.For) else context.tree.parent(loop) or loop
    for part in walk(whole):
        match part:
            case cst.AssignTarget(target=target) | cst.AugAssign(target=target):
                if not isinstance(target, cst.Name) and root(target) == array.value:
                    return True
            case cst.Call(func=function) if (context.names.qualified(function) or "").startswith("numpy."):
                return True
    return False
