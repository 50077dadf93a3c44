"""A str grows by `s = s + a + b` in a loop.

Python adds from the left: `s + a` is built in full, then copied again to add `b`. CPython's
in-place growth needs the sum to go straight back to the same name, so it never applies here,
and each turn copies the whole text. `s += a + b` joins the short pieces first.

Bad:

    def path_of(names):
        path = ""
        for name in names:
            path = path + "/" + str(name)
        return path

Good:

    def path_of(names):
        path = ""
        for name in names:
            path += "/" + str(name)
        return path

Not flagged: names that are not known to be str (adding floats in another order changes the
sum), two operands (`s = s + a` already grows in place), code outside of loops. Attributes and
other targets that never grow in place belong to quadratic-str-accumulation.

The fix is safe when every piece is known to be str, otherwise unsafe: an object with
`__radd__` sees another left operand.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import Growth, growths, names_in
from perflint.analysis.patterns.accumulating import accumulating
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span


def _hopeful(sketch: Sketch) -> bool:
    return any(len(item.operands) > 1 and item.form == "append" for item in accumulating(sketch, "str"))


rule = Rule(
    code="PRF102",
    name="chained-str-self-concat",
    summary="`s = s + a + b` copies the whole str twice in each turn of a loop",
    category="text",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.REBIND_ADD}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="names = ['x' * 7] * n", call="path_of(names)"),
)


@rule.visits(cst.Assign)
def check(node: cst.Assign, context: Context) -> Iterator[Finding]:
    for growth in growths(node):
        if growth.form != "append" or len(growth.operands) < 2 or not isinstance(growth.target, cst.Name):
            continue
        name, scope = growth.target.value, context.scope(node)
        loop = context.flow.loop(node)
        # `out` of a module, a global or a captured name never grows in place: PRF101 tells that story.
        if loop is None or not context.flow.private(name, scope):
            continue
        if context.kinds.of(growth.target) != "str" or not context.flow.accumulates(growth.target, loop):
            continue
        yield rule.finding(
            context,
            node,
            f'"{name} = {name} + a + b" builds a throw-away copy of `{name}`; write "{name} += a + b"',
            _fix(growth, name, context),
        )


def _fix(growth: Growth, name: str, context: Context) -> Fix | None:
    tree, kinds = context.tree, context.kinds
    span = tree.span(growth.node)
    if not growth.sole or name in names_in(*growth.operands) or tree.comments(span):
        return None
    if getattr(growth.value, "lpar", ()):  # `s = (s + a + b)`: the brackets may hold line breaks together
        return None
    rest = Span(tree.span(growth.operands[0]).start, tree.span(growth.value).end)
    known = all(kinds.of(part, strict=True) == "str" for part in (growth.target, *growth.operands))
    text = f"{name} += {tree.source.slice(*rest)}"
    return Fix(
        "Add the pieces first", (Edit(span, text),), Applicability.SAFE if known else Applicability.UNSAFE
    )
