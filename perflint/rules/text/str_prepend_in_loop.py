"""A str grows at its front in a loop.

`s = x + s` can never grow in place: the old text must move, so each turn copies all of it, on
every Python. Total work grows with the square of the number of turns. Parts that are appended to a
list and joined in reverse order are copied once.

Bad:

    def backwards(lines):
        text = ""
        for line in lines:
            text = line + text
        return text

Good:

    def backwards(lines):
        parts = []
        for line in lines:
            parts.append(line)
        return "".join(reversed(parts))

Not flagged: values that start anew in each turn (`line = " " + line` on the loop variable),
parameters, attributes that only some turns change, names that are not known to be str, loops that halve or divide a number (as many turns as it has digits),
padding up to a small fixed width. A loop that climbs from a node to its parents, and one that puts
something on both ends, are reported as info: such texts are seldom deep.

The fix is unsafe: a part that is no str fails at the join and not at its line, and the list holds
all parts until then. It is offered where the loop does nothing else and nobody reads the value
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import GROWING, only_statement
from perflint.analysis.patterns.accumulate import Accumulator
from perflint.analysis.patterns.accumulating import accumulating
from perflint.analysis.patterns.growable import finish, hidden, list_name, plan, to_list
from perflint.analysis.patterns.turns import climbs
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    return any(item.form not in ("augmented", "append") for item in accumulating(sketch, "str"))


rule = Rule(
    code="PRF103",
    name="str-prepend-in-loop",
    summary="`s = x + s` in a loop copies the whole str each time",
    category="text",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.REBIND_ADD, Mark.REBIND_TEXT}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="lines = ['x' * 8] * n", call="backwards(lines)"),
)


@rule.visits(*GROWING)
def check(node: cst.CSTNode, context: Context) -> Iterator[Finding]:
    for item in context.accumulators.of(node):
        if item.kind != "str" or not context.accumulators.first(item, _ours) or _adorns(item, context):
            continue
        yield rule.finding(
            context,
            item.growth.node,
            f"prepending to `{item.place}` in a loop is quadratic on every Python; "
            'append parts, reverse, then "".join()',
            _fix(item, context),
            Severity.INFO if item.form == "middle" or climbs(item.loop) else None,
        )


def _ours(item: Accumulator) -> bool:
    return item.form == "middle" or item.trails


def _adorns(item: Accumulator, context: Context) -> bool:
    """Whether the loop puts a few things in front of a value that it was given, or only now and then."""
    if item.storage == "place":
        loops = context.tree.ancestors(item.growth.node)
        return any(isinstance(above, cst.If) and context.flow.inside(above, item.loop) for above in loops)
    return any(binding.kind == "parameter" for binding in item.scope.bindings.get(item.place, ()))


def _fix(item: Accumulator, context: Context) -> Fix | None:
    tree, steps, parts = context.tree, plan(item, context.flow), list_name(item, context.flow)
    alone = only_statement(item.loop) is item.growth.node and len(item.growth.operands) == 1
    if (
        steps is None
        or parts is None
        or not alone
        or len(steps.growths) > 1
        or hidden(context.names, item.scope, "reversed")
    ):
        return None
    edits = to_list(tree, steps, parts)
    if edits is None:
        return None
    return Fix("Join the parts in reverse", (*edits, finish(tree, steps, f'"".join(reversed({parts}))')))
