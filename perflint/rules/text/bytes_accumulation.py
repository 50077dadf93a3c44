"""A bytes object grows by `+=` in a loop.

bytes never grow in place: each `+=` makes a new object and copies all that came before, on every
Python and wherever the value lives, so total work grows with the square of the number of turns. A
bytearray grows in place; `b"".join(parts)` copies each part once.

Bad:

    def receive(chunks):
        data = b""
        for chunk in chunks:
            data += chunk
        return data

Good:

    def receive(chunks):
        data = bytearray()
        for chunk in chunks:
            data += chunk
        return bytes(data)

Not flagged: bytearrays, names and attributes that are not known to be bytes (an attribute counts as
known where all assignments in its class agree), values that start anew in each turn, loops over a
few known items, exact reads of a few bytes (`while len(header) < 4`).

The fix is unsafe: until the loop ends the value is a bytearray, which cannot be hashed and cannot
grow while a memoryview looks at it. It is offered for a plain local that is started in plain sight,
and that is meanwhile only searched or measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import GROWING
from perflint.analysis.patterns.accumulate import Accumulator
from perflint.analysis.patterns.accumulating import accumulating
from perflint.analysis.patterns.growable import added, finish, hidden, plan
from perflint.analysis.rewrite import element, replace
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Tree
from perflint.model.diagnostics import Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    return bool(accumulating(sketch, "bytes"))


rule = Rule(
    code="PRF106",
    name="bytes-accumulation",
    summary="bytes grow by `+=` in a loop and are copied in full each time",
    category="text",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD, Mark.REBIND_ADD, Mark.REBIND_TEXT}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="chunks = [b'x' * 8] * n", call="receive(chunks)"),
)

_SEARCHES = {"startswith", "endswith", "find", "rfind", "index", "rindex", "count"}


@rule.visits(*GROWING)
def check(node: cst.CSTNode, context: Context) -> Iterator[Finding]:
    for item in context.accumulators.of(node):
        if item.kind != "bytes" or not context.accumulators.first(item, _ours):
            continue
        yield rule.finding(
            context,
            item.growth.node,
            f'bytes "{item.place} += .." in a loop copies everything each time (never in place); '
            'use bytearray or b"".join()',
            _fix(item, context),
        )


def _ours(item: Accumulator) -> bool:
    return item.leads or item.trails or item.form == "middle"


def _fix(item: Accumulator, context: Context) -> Fix | None:
    tree = context.tree
    steps = plan(item, context.flow, lambda read: _harmless(tree, read))
    if steps is None or not isinstance(steps.value, cst.SimpleString) or tree.comments(tree.span(steps.init)):
        return None
    if isinstance(steps.init, cst.AnnAssign) or hidden(context.names, item.scope, "bytes", "bytearray"):
        return None
    seed = element(tree, steps.value) if steps.value.evaluated_value else ""
    edits = [replace(tree, steps.value, f"bytearray({seed})")]
    for growth in steps.growths:
        text = added(tree, growth) if growth.form in ("augmented", "append") else None
        if text is None:
            return None
        if growth.form == "append":
            edits.append(replace(tree, growth.node, f"{item.place} += {text}"))
    return Fix("Grow a bytearray", (*edits, finish(tree, steps, f"bytes({item.place})")))


def _harmless(tree: Tree, read: cst.Name) -> bool:
    """Whether a bytearray does as well there: `b"x" in data`, `len(data)`, `data.endswith(..)`."""
    match tree.parent(read):
        case cst.ComparisonTarget(operator=cst.In() | cst.NotIn()):
            return True
        case cst.Attribute(value=value, attr=cst.Name(value=method)):
            return value is read and method in _SEARCHES
        case cst.Arg() as argument:
            match tree.parent(argument):
                case cst.Call(func=cst.Name(value="len"), args=[_]):
                    return True
    return False
