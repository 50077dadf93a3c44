"""A str grows in a loop in a way that CPython cannot grow in place.

`s += x` copies nothing only where CPython can stretch the old str: a plain local of a function
that nothing else refers to. Attributes, items, `global` names, values that are stored elsewhere
in each turn, and texts rebuilt by f-strings, `%`, `format` or `join` are copied in full, every
turn, on every version. From Python 3.11 on the same holds at module level, in class bodies, and
for names that a nested function, lambda or generator uses. Total work grows with the square of
the number of turns.

Bad:

    def report(rows):
        text = ""
        for name, value in rows:
            text = f"{text}{name}: {value}\\n"
        return text

Good:

    def report(rows):
        text = ""
        for name, value in rows:
            text += f"{name}: {value}\\n"
        return text

An attribute is best collected in a list: `self.parts.append(chunk)`, and `"".join(self.parts)`
once when the text is wanted.

Not flagged: names and attributes that are not known to be str (an attribute counts as known
where all assignments in its class agree, or where a text is added to it), values that start anew
in each turn, items whose key is the loop variable, loops over a few known items. A plain local
that only grows by `+=` is local-str-accumulation, `s = s + a + b` is chained-str-self-concat,
`s = x + s` is str-prepend-in-loop.

The fix turns an f-string that begins with its own target into `+=`, which grows in place. It is
safe where the target is known to be exactly str, else unsafe: another type may format itself in
its own way. The other shapes need a list, and get no fix.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import GROWING, dotted, names_in
from perflint.analysis.patterns.accumulate import Accumulator, annotated
from perflint.analysis.patterns.accumulating import accumulating, in_place
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    grown = accumulating(sketch, "str")
    return any(item.form in ("augmented", "append", *_TEXTS) and not in_place(item, sketch) for item in grown)


rule = Rule(
    code="PRF101",
    name="quadratic-str-accumulation",
    summary="a str grows in a loop where CPython copies it in full each time",
    category="text",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD, Mark.REBIND_ADD, Mark.REBIND_TEXT}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="rows = [('name', 12345)] * n", call="report(rows)"),
)


@rule.visits(*GROWING)
def check(node: cst.CSTNode, context: Context) -> Iterator[Finding]:
    for item in context.accumulators.of(node):
        if item.kind != "str" or not _ours(item, context) or _first(item, context) is not item:
            continue
        if any(not (other.leads or other.trails) for other in context.accumulators.same(item)):
            continue  # `s = f"({s})"` goes around what was there: no list of parts can do that
        if item.storage == "place" and _now_and_then(item, context):
            continue
        where = context.accumulators.quadratic(item, context.config.target)
        if where:
            yield rule.finding(
                context,
                item.growth.node,
                f'str built with "{_shape(item)}" in a loop copies the whole string each time on {where}; '
                'collect parts in a list and "".join() once',
                _fix(item, context),
            )


def _now_and_then(item: Accumulator, context: Context) -> bool:
    """Whether only some turns add a fixed text."""
    if not all(
        isinstance(part, cst.SimpleString)
        for other in context.accumulators.same(item)
        for part in other.growth.operands
    ):
        return False
    above = context.tree.ancestors(item.growth.node)
    return any(isinstance(node, cst.If) and context.flow.inside(node, item.loop) for node in above)


def _first(item: Accumulator, context: Context) -> Accumulator:
    """One report for each value and loop."""
    return next((other for other in context.accumulators.same(item) if _ours(other, context)), item)


def _ours(item: Accumulator, context: Context) -> bool:
    """Whether the shape is ours: the value first, and no chain of sums that PRF102 mends."""
    if item.form == "append" and len(item.growth.operands) > 1:
        chained = isinstance(item.growth.node, cst.Assign) and isinstance(item.growth.target, cst.Name)
        return not (chained and context.flow.private(item.place, item.scope))
    return item.form in ("augmented", "append") or (item.form in _TEXTS and item.leads)


_TEXTS = ("fstring", "percent", "format", "join")


def _shape(item: Accumulator) -> str:
    name = item.place
    shapes = {
        "augmented": f"{name} += ..",
        "append": f"{name} = {name} + ..",
        "fstring": f"{name} = f'{{{name}}}..'",
        "percent": f"{name} = '%s..' % ({name}, ..)",
        "format": f"{name} = '{{}}..'.format({name}, ..)",
        "join": f"{name} = ''.join([{name}, ..])",
    }
    return shapes[item.form]


def _fix(item: Accumulator, context: Context) -> Fix | None:
    """`s = f"{s}{x}"` -> `s += f"{x}"`, where the name is a plain local."""
    growth, tree = item.growth, context.tree
    match growth.value:
        case cst.FormattedString(
            parts=[cst.FormattedStringExpression(conversion=None, format_spec=None) as own, *rest]
        ):
            pass
        case _:
            return None
    again = item.place in names_in(*rest)
    bare = (
        growth.sole and own.equal is None and not growth.value.lpar and dotted(own.expression) == item.place
    )
    if (
        not bare
        or not rest
        or again
        or item.storage != "local"
        or not context.flow.private(item.place, item.scope)
    ):
        return None
    if tree.comments(tree.span(growth.node)):
        return None
    text = tree.source.slice(tree.span(own).end, tree.span(growth.value).end)
    plain = not any(isinstance(part, cst.FormattedStringExpression) for part in rest) and not set("{}") & set(
        text
    )
    prefix = growth.value.prefix.replace("f", "").replace("F", "") if plain else growth.value.prefix
    quote = growth.value.start.removeprefix(growth.value.prefix)
    edit = Edit(tree.span(growth.node), f"{item.place} += {prefix}{quote}{text}")
    exact = context.kinds.of(growth.target, strict=True) == "str" and not annotated(
        growth.target, context.names
    )
    return Fix("Grow the str in place", (edit,), Applicability.SAFE if exact else Applicability.UNSAFE)
