"""An array or data frame grows by `a = np.append(a, x)` in a loop.

Arrays have a fixed size: each turn allocates a new one and copies all items collected so far,
so the work grows with the square of the number of turns. A list grows in place: collect the
parts in it and join them once, after the loop. For data frames collect the rows (as dicts or
tuples) and build the frame once, since joining many frames of one row is slow in itself. Where
the size is known, allocate the array once and fill it by index.

Bad:

    import numpy as np

    def squares(numbers):
        found = np.array([])
        for number in numbers:
            found = np.append(found, number * number)
        return found

Good:

    import numpy as np

    def squares(numbers):
        found = []
        for number in numbers:
            found.append(number * number)
        return np.array(found)

Not flagged: arrays that are bound otherwise in the loop too (a layer's `x = conv(x)`), sliding
windows (`np.append(w[1:], v)`), doubling, a few known items, code outside of loops, and names that
are not known to come from these libraries.

It is only information where the loop uses the whole array in each turn, as an autoregressive
decoder does, and where `drop_duplicates()` may keep a frame small. There is no fix: data types
are promoted on the way, and index and axis decide what comes out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.flow import LoopNode
from perflint.analysis.gates import Gate
from perflint.analysis.growth import regrown, rejoined
from perflint.analysis.match import dotted
from perflint.analysis.patterns.containers import glance, growing_in, made
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_NUMPY = "append concatenate concat vstack hstack dstack column_stack row_stack insert r_ c_"
_JOINS = {
    **{f"numpy.{name}": "array" for name in _NUMPY.split()},
    **{f"torch.{name}": "tensor" for name in ("cat", "concat", "concatenate", "vstack", "hstack", "dstack")},
    "tensorflow.concat": "tensor",
    "pandas.concat": "frame",
    "polars.concat": "frame",
}
_BOUNDING = frozenset({"tail", "head", "nlargest", "nsmallest", "sample"})
_SHRINKING = frozenset({"drop_duplicates", "groupby", "unique"})
_SIZES = frozenset({"shape", "size", "ndim", "dtype", "empty", "columns", "device"})


def _hopeful(sketch: Sketch) -> bool:
    made = (node for node in sketch.looped(ast.Assign) if len(node.targets) == 1)
    return any(
        regrown(node.targets[0], node.value) and rejoined(sketch, node, tuple(_JOINS)) for node in made
    )


rule = Rule(
    code="PRF205",
    name="array-grow-in-loop",
    summary="an array or data frame is copied whole in each turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        names=tuple(_JOINS),
        loop=True,
        loop_text=(b".loc[", b".append("),
        imports=("numpy", "pandas", "torch", "tensorflow", "polars"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(setup="numbers = list(range(n))", call="squares(numbers)", needs=("numpy",)),
)


@rule.visits(cst.Assign)
def check(node: cst.Assign, context: Context) -> Iterator[Finding]:
    match node.targets:
        case [cst.AssignTarget(target=cst.Name() | cst.Attribute() as target)]:
            yield from _rebound(node, target, context)
        case [cst.AssignTarget(target=cst.Subscript() as target)]:
            yield from _enlarged(node, target, context)


def _rebound(node: cst.Assign, target: cst.Name | cst.Attribute, context: Context) -> Iterator[Finding]:
    """`a = np.append(a, x)` and its like."""
    place = dotted(target)
    found = _join(node.value, place, context) if place else None
    if found is None or place is None:
        return
    function, kind, methods = found
    if not _BOUNDING.isdisjoint(methods) or "[]" in methods:
        return
    loop = growing_in(
        context, node, target, lambda part: _grows(part, place, context) or _first(part, place, context)
    )
    if loop is None:
        return
    used = not _SHRINKING.isdisjoint(methods) or _used_whole(place, loop, context)
    message = (
        f"`{function}` in a loop reallocates and copies the whole {kind} each time; {_advice(kind, used)}"
    )
    yield rule.finding(context, node, message, severity=Severity.INFO if used else None)


def _advice(kind: str, used: bool) -> str:
    if kind == "frame":
        return "collect the rows in a list and build the frame once after the loop"
    if used:
        return f"where the size is known, allocate the {kind} once and fill it"
    return "collect in a list and call it once after the loop"


def _enlarged(node: cst.Assign, target: cst.Subscript, context: Context) -> Iterator[Finding]:
    """`df.loc[len(df)] = row`."""
    match target:
        case cst.Subscript(
            value=cst.Attribute(value=frame, attr=cst.Name(value="loc")),
            slice=[cst.SubscriptElement(slice=cst.Index(value=index)), *_],
        ):
            place = dotted(frame)
        case _:
            return
    if place is None or "pandas" not in context.facts.packages or not _length(index, place, context):
        return
    if growing_in(context, node, frame) is None:
        return
    message = f"`{place}.loc[len({place})] = ...` in a loop reallocates and copies the whole frame each time"
    yield rule.finding(context, node, f"{message}; {_advice('frame', False)}")


def _length(index: cst.BaseExpression, place: str, context: Context) -> bool:
    """Whether the index is the number of rows, so that the assignment adds one."""
    match index:
        case cst.Call(func=cst.Name() as function, args=[cst.Arg(value=measured)]):
            return context.names.builtin(function) == "len" and dotted(measured) in (place, f"{place}.index")
        case cst.BinaryOperation(left=left, operator=cst.Add()):
            return _length(left, place, context)
    return dotted(index) in (f"{place}.shape[0]", f"{place}.index.size")


def _grows(node: cst.CSTNode, place: str, context: Context) -> bool:
    match node:
        case cst.Assign(targets=[cst.AssignTarget(target=target)], value=value):
            return dotted(target) == place and _join(value, place, context) is not None
    return False


def _first(node: cst.CSTNode, place: str, context: Context) -> bool:
    """Whether the node gives `place` its first value, under `if place is None`."""
    if not isinstance(node, cst.Assign) or dotted(node.targets[0].target) != place:
        return False
    block = context.tree.parent(context.tree.statement(node))
    match context.tree.parent(block) if block is not None else None:
        case cst.If(
            test=cst.Comparison(
                left=left,
                comparisons=[cst.ComparisonTarget(operator=cst.Is(), comparator=cst.Name(value="None"))],
            ),
            body=body,
        ):
            return body is block and dotted(left) == place
    return False


def _join(value: cst.BaseExpression, place: str, context: Context) -> tuple[str, str, set[str]] | None:
    """The function that joins `place` with more, what it joins, and the methods called on the result."""
    methods: set[str] = set()
    while True:
        match value:
            case cst.Subscript(value=owner) if context.names.qualified(owner) in ("numpy.r_", "numpy.c_"):
                items = [item.slice.value for item in value.slice if isinstance(item.slice, cst.Index)]
                return (f"{dotted(owner)}[...]", "array", methods) if _among(place, items) else None
            case cst.Subscript(value=inner):
                methods.add("[]")
                value = inner
            case cst.Call(func=function, args=args):
                kind = _JOINS.get(context.names.qualified(function) or "")
                if kind is not None:
                    joined = _among(place, [arg.value for arg in args if not arg.star])
                    return (dotted(function) or "", kind, methods) if joined else None
                if not isinstance(function, cst.Attribute):
                    return None
                if function.attr.value == "append" and dotted(function.value) == place:
                    return (f"{place}.append", "frame", methods) if _frame(function.value, context) else None
                methods.add(function.attr.value)
                value = function.value
            case _:
                return None


def _among(place: str, args: list[cst.BaseExpression]) -> bool:
    """Whether `place` is joined with something else, directly or in a list."""
    items = []
    for arg in args:
        items += [part.value for part in arg.elements] if isinstance(arg, (cst.List, cst.Tuple)) else [arg]
    own = [dotted(item) == place for item in items]
    return any(own) and not all(own)


def _frame(node: cst.BaseExpression, context: Context) -> bool:
    """Whether a name starts as a data frame: `append` is the list's too."""
    values = [item.value for item in context.names.bindings(node)]
    return any(
        isinstance(value, cst.Call) and (context.names.qualified(value.func) or "").startswith("pandas.")
        for value in values
    ) and not any(made(context.names, value) for value in values)


def _used_whole(place: str, loop: LoopNode, context: Context) -> bool:
    """Whether the loop reads the array itself, other than to measure it or to take an item."""
    root = place.partition(".")[0]
    if root != place:
        return False
    reads = (
        read for read in context.flow.reads(root, context.scope(loop)) if context.flow.inside(read, loop)
    )
    return any(not _measures(read, context) and not _grows_here(read, place, context) for read in reads)


def _measures(read: cst.Name, context: Context) -> bool:
    above = context.tree.parent(read)
    if isinstance(above, cst.Attribute):
        return above.attr.value in _SIZES
    if isinstance(above, cst.Comparison):
        return isinstance(above.comparisons[0].operator, (cst.Is, cst.IsNot))
    return glance(context, read)


def _grows_here(read: cst.Name, place: str, context: Context) -> bool:
    return any(_grows(above, place, context) for above in context.tree.ancestors(read))
