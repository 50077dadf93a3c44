"""A tuple grows in a loop.

Tuples never grow in place: `t += (x,)`, `t = t + (x,)` and `t = (*t, x)` all make a new tuple and
copy every item that came before, each turn. Total work grows with the square of the number of
turns. A list grows in place, and is turned into a tuple once.

Bad:

    def spread(points):
        flat = ()
        for x, y in points:
            flat += (x, y)
        return flat

Good:

    def spread(points):
        flat = []
        for x, y in points:
            flat += (x, y)
        return tuple(flat)

Not flagged: names that are not known to be tuples (`+=` on a list takes a tuple, and grows in place),
attributes (a tuple there is mostly a short value that others may share), values that start anew in
each turn, loops over a few known items, slices put together again (`t[:i] + (x,) + t[i + 1 :]`). A
loop that climbs from a node to its parents is reported as info: its depth is seldom large.

The fix is unsafe: until the loop ends the value is a list. It is offered for a plain local that is
started in plain sight and that nobody reads meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import GROWING, Growth, dotted
from perflint.analysis.patterns.accumulate import Accumulator
from perflint.analysis.patterns.accumulating import accumulating
from perflint.analysis.patterns.growable import added, finish, hidden, plan
from perflint.analysis.patterns.turns import climbs
from perflint.analysis.rewrite import element, replace
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Tree
from perflint.model.diagnostics import Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    grown = accumulating(sketch, "tuple")
    return any(item.form in _SHAPES and item.place.isidentifier() for item in grown)


rule = Rule(
    code="PRF107",
    name="tuple-accumulation",
    summary="a tuple grows in a loop and is copied in full each time",
    category="text",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD, Mark.REBIND_ADD, Mark.REBIND_DISPLAY}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="points = [(1, 2)] * n", call="spread(points)"),
)

_SHAPES = {"augmented": "{0} += ..", "append": "{0} = {0} + ..", "display": "{0} = (*{0}, ..)"}


@rule.visits(*GROWING)
def check(node: cst.CSTNode, context: Context) -> Iterator[Finding]:
    for item in context.accumulators.of(node):
        if item.kind != "tuple" or item.form not in _SHAPES or item.storage == "place":
            continue
        if _first(item, context) is not item:
            continue
        yield rule.finding(
            context,
            item.growth.node,
            f'tuple "{_SHAPES[item.form].format(item.place)}" in a loop is quadratic; '
            "append to a list and convert once",
            _fix(item, context),
            Severity.INFO if climbs(item.loop) else None,
        )


def _first(item: Accumulator, context: Context) -> Accumulator:
    """One report for each value and loop."""
    return next((other for other in context.accumulators.same(item) if other.form in _SHAPES), item)


def _fix(item: Accumulator, context: Context) -> Fix | None:
    tree, steps = context.tree, plan(item, context.flow)
    if steps is None or isinstance(steps.init, cst.AnnAssign) or not isinstance(steps.value, cst.Tuple):
        return None
    if tree.comments(tree.span(steps.init)) or hidden(context.names, item.scope, "tuple"):
        return None
    seed = ", ".join(tree.code(part) for part in steps.value.elements)
    edits = [replace(tree, steps.value, f"[{seed}]")]
    for growth in steps.growths:
        edit = _grow(tree, growth, item.place)
        if edit is None:
            return None
        edits.append(edit)
    return Fix("Grow a list", (*edits, finish(tree, steps, f"tuple({item.place})")))


def _grow(tree: Tree, growth: Growth, name: str) -> Edit | None:
    """What one growth does to a list."""
    if growth.form == "display":
        return _append(tree, growth, name)
    text = added(tree, growth) if len(growth.operands) == 1 else None
    if text is None:
        return None
    match growth.operands[0]:
        case cst.Tuple(elements=[cst.Element(value=one)]):
            return replace(tree, growth.node, f"{name}.append({element(tree, one)})")
    return replace(tree, growth.node, f"{name} += {text}")


def _append(tree: Tree, growth: Growth, name: str) -> Edit | None:
    match growth.value:
        case cst.Tuple(elements=[cst.StarredElement(value=old), cst.Element(value=one)]):
            if growth.sole and dotted(old) == name and not tree.comments(tree.span(growth.node)):
                return replace(tree, growth.node, f"{name}.append({element(tree, one)})")
    return None
