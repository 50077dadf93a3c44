"""A local str grows by `+=` in a loop.

CPython stretches such a str in place through `realloc`, so the loop is linear there, and joining
a list is no great gain: it holds all parts at once, and pieces that are built in each turn cost
more than the joining. PyPy has no such trick: the loop copies the whole text in each turn and is
quadratic. The trick is also lost when the line moves to an attribute, a global or, from 3.11 on,
to module level or a name that a nested function uses. `"".join` is linear everywhere.

Bad:

    def render(words):
        text = ""
        for word in words:
            text += word.upper()
        return text

Good:

    def render(words):
        parts = []
        for word in words:
            parts.append(word.upper())
        return "".join(parts)

Reported as info, and as a warning where the configuration says `portable = true`. Not flagged:
values that start anew in each turn, loops over a few known items, names not known to be str;
and, unless `portable` is set, loops that read the text while it grows, which a join cannot serve,
texts for a `repr`, a log line or an exception, repeated fixed text, and characters taken off one
end (`digits += text[0]`), which are short.
Exact copies of an iterable are manual-str-join.

The fix is unsafe: a part that is no str fails at the join and not at its line, and the list holds
all parts until then. It is not offered where anything reads the text before the loop ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import GROWING
from perflint.analysis.patterns.accumulate import Accumulator
from perflint.analysis.patterns.accumulating import accumulating
from perflint.analysis.patterns.growable import finish, list_name, plan, to_list
from perflint.analysis.patterns.joins import copied
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    grown = accumulating(sketch, "str")
    return any(item.form in ("augmented", "append") and item.place.isidentifier() for item in grown)


rule = Rule(
    code="PRF104",
    name="local-str-accumulation",
    summary="a local str grows by `+=` in a loop: quadratic on PyPy",
    category="text",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD, Mark.REBIND_ADD}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="words = ['word' * 2] * n", call="render(words)"),
)

_SHOWN = {"__repr__", "__str__", "__format__", "__rich_repr__"}
_LOGS = {"debug", "info", "warning", "warn", "error", "critical", "exception", "log"}


@rule.visits(*GROWING)
def check(node: cst.CSTNode, context: Context) -> Iterator[Finding]:
    for item in context.accumulators.of(node):
        if item.kind != "str" or not context.accumulators.first(item, _ours):
            continue
        if context.accumulators.quadratic(item, context.config.target) or copied(item, context.flow):
            continue
        portable = context.config.portable
        if not portable and (
            _read_while_growing(item, context) or _message(item, context) or _short(item, context)
        ):
            continue
        yield rule.finding(
            context,
            item.growth.node,
            f'local "{item.place} += .." is linear on CPython through in-place realloc but quadratic on PyPy; '
            '"".join() is portable',
            _fix(item, context),
            Severity.WARNING if portable else None,
        )


def _ours(item: Accumulator) -> bool:
    return item.adds_once and item.storage in ("local", "comprehension")


def _read_while_growing(item: Accumulator, context: Context) -> bool:
    reads = context.flow.foreign_reads(item.place, item.scope)
    return any(context.flow.inside(read, item.around) for read in reads)


def _message(item: Accumulator, context: Context) -> bool:
    """Whether the text is for people to read in one line: a `repr`, a log entry, an exception."""
    if getattr(item.scope.node, "name", None) is not None and item.scope.node.name.value in _SHOWN:  # type: ignore[attr-defined]
        return True
    for read in context.flow.foreign_reads(item.place, item.scope):
        for above in context.tree.ancestors(read):
            if isinstance(above, cst.Raise):
                return True
            if (
                isinstance(above, cst.Call)
                and isinstance(above.func, cst.Attribute)
                and above.func.attr.value in _LOGS
            ):
                return True
            if isinstance(above, cst.BaseStatement):
                break
    return False


def _short(item: Accumulator, context: Context) -> bool:
    """Whether the loop only repeats fixed text, or takes characters off one end: `digits += text[0]`."""
    pieces = [part for other in context.accumulators.same(item) for part in other.growth.operands]
    return all(map(_small, pieces))


def _small(piece: cst.BaseExpression) -> bool:
    match piece:
        case cst.SimpleString():
            return True
        case cst.Subscript(slice=[cst.SubscriptElement(cst.Index(cst.Integer() | cst.UnaryOperation()))]):
            return True
    return False


def _fix(item: Accumulator, context: Context) -> Fix | None:
    tree, steps, parts = context.tree, plan(item, context.flow), list_name(item, context.flow)
    edits = to_list(tree, steps, parts) if steps is not None and parts is not None else None
    if steps is None or edits is None:
        return None
    return Fix("Collect the parts and join them once", (*edits, finish(tree, steps, f'"".join({parts})')))
