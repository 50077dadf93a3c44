"""A loop does nothing but add up the items of an iterable.

`sum` adds in C, and keeps whole numbers that fit a machine word out of Python objects.

Bad:

    def total(counts):
        result = 0
        for count in counts:
            result += count
        return result

Good:

    def total(counts):
        result = sum(counts)
        return result

Not flagged: sums of something made from the items (a generator costs what the loop costs),
filters, starts that are not numbers, loops that do more. The gain matters in the hottest loops
only; the rule is in the group `micro`.

The fix is unsafe: from Python 3.12 on `sum` of floats is compensated and gives other last
digits, str and types with their own `__iadd__` behave differently, and the name stays unbound
where the iterable raises. A float start shows floats: no fix.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import contains, names_in, only_statement, plain_args
from perflint.analysis.rewrite import element
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF233",
    name="manual-sum",
    summary="a loop that only adds up its items",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD})),
    doc=__doc__,
    benchmark=Benchmark(setup="counts = list(range(n))", call="total(counts)"),
    group="micro",
)

_DECIMALS = ("decimal.Decimal", "fractions.Fraction")


@rule.visits(cst.For)
def check(node: cst.For, context: Context) -> Iterator[Finding]:
    match node.target, only_statement(node):
        case (
            cst.Name(value=item),
            cst.AugAssign(target=cst.Name(value=name), operator=cst.AddAssign(), value=cst.Name(value=added)),
        ) if item == added != name and node.asynchronous is None:
            pass
        case _:
            return
    start = _start(node, name, context)
    if (
        start is None
        or name in names_in(node.iter)
        or not context.names.means_builtin("sum", context.scope(node))
    ):
        return
    iterable = context.tree.code(node.iter)
    shown = iterable if len(iterable) <= 40 and "\n" not in iterable else "..."
    yield rule.finding(context, node.iter, f"this loop is `sum({shown})`", _fix(node, start, name, context))


def _start(node: cst.For, name: str, context: Context) -> cst.BaseExpression | None:
    """The number that the statement directly before the loop gives the name."""
    match context.tree.before(node):
        case cst.SimpleStatementLine(
            body=[*_, cst.Assign(targets=[cst.AssignTarget(target=target)], value=value)]
        ):
            pass
        case cst.SimpleStatementLine(
            body=[*_, cst.AnnAssign(target=target, value=cst.BaseExpression() as value)]
        ):
            pass
        case _:
            return None
    return (
        value if isinstance(target, cst.Name) and target.value == name and _number(value, context) else None
    )


def _number(node: cst.BaseExpression, context: Context) -> bool:
    match node:
        case cst.Integer() | cst.Float():
            return True
        case cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer() | cst.Float()):
            return True
        case cst.Call() if plain_args(node) is not None:
            return context.names.qualified(node.func) in _DECIMALS
    return False


def _fix(node: cst.For, start: cst.BaseExpression, name: str, context: Context) -> Fix | None:
    tree, flow, scope = context.tree, context.flow, context.scope(node)
    if isinstance(start, cst.Float) or contains(start, cst.Float) or not flow.private(name, scope):
        return None
    if not flow.loop_variable_free(node, scope) or flow.one_line(start):
        return None
    gone = Span(tree.span(tree.statement(start)).end, tree.span(node).end)
    if tree.comments(gone) or tree.comments(tree.span(start)):
        return None
    begin = "" if isinstance(start, cst.Integer) and start.value == "0" else f", {tree.code(start)}"
    text = f"sum({element(tree, node.iter)}{begin})"
    return Fix("Use sum()", (Edit(tree.span(start), text), Edit(gone, "")), Applicability.UNSAFE)
