"""`datetime.strptime` reads ISO dates in a loop.

`strptime` is written in Python: it turns the format into a regular expression, takes a lock,
matches and puts the parts together. `datetime.fromisoformat` reads the same text in C.

Bad:

    from datetime import datetime


    def days(lines):
        return [datetime.strptime(line, "%Y-%m-%d") for line in lines]

Good:

    from datetime import datetime


    def days(lines):
        return [datetime.fromisoformat(line) for line in lines]

Only these formats count: `%Y-%m-%d`, also with ` %H:%M:%S` or `T%H:%M:%S`, also with `.%f`.
Not flagged: other formats, zones (`%z`, `Z`), `time.strptime`, code outside of loops.

The fix is unsafe: `fromisoformat` takes more (a date where a time was due; from Python 3.11 on
other ISO forms too) and less (`strptime` reads `2026-1-2`; Python 3.10 wants three or six digits
after the point), and its errors read differently. Inside a `try` there is no fix.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import plain_args
from perflint.analysis.patterns.invariance import recurs
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import repeats
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF226",
    name="strptime-for-iso",
    summary="`strptime` reads ISO dates in a loop",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=("datetime.datetime.strptime",), sketch=repeats("strptime")),
    doc=__doc__,
    benchmark=Benchmark(setup="lines = ['2026-01-02'] * n", call="days(lines)", sizes=(10, 100, 1_000)),
    tests=False,
)

_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
_ISO = frozenset({"%Y-%m-%d", *_TIMES, *(f"{time}.%f" for time in _TIMES)})


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    args = plain_args(node, 2)
    if args is None or context.names.qualified(node.func) != "datetime.datetime.strptime":
        return
    if _text(args[1], context) not in _ISO or not recurs(context.flow, node):
        return
    yield rule.finding(
        context,
        node,
        "`strptime` with an ISO format is tens of times slower than `datetime.fromisoformat`; use that",
        _fix(node, args, context),
    )


def _text(node: cst.BaseExpression, context: Context) -> object:
    """The text of a literal, or of a name that stands for one."""
    match node:
        case cst.SimpleString():
            return node.evaluated_value
        case cst.Name(value=name):
            owner = context.scope(node).owner(name)
            if owner is not None and owner is not context.names.top:
                value = context.names.assigned(node)
                return value.evaluated_value if isinstance(value, cst.SimpleString) else None
            constant = context.facts.constant(name)
            return constant.value if isinstance(constant, ast.Constant) else None
    return None


def _fix(node: cst.Call, args: list[cst.BaseExpression], context: Context) -> Fix | None:
    tree = context.tree
    if not isinstance(args[1], cst.SimpleString) or not isinstance(node.func, cst.Attribute):
        return None
    rest = Span(tree.span(args[0]).end, tree.span(args[1]).end)
    if context.flow.tried(node) or tree.comments(tree.span(node)):
        return None
    edits = Edit(tree.span(node.func.attr), "fromisoformat"), Edit(rest, "")
    return Fix("Use fromisoformat", edits, Applicability.UNSAFE)
