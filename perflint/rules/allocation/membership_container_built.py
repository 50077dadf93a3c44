"""A set of constants is built by a call just to ask whether it holds something.

`x in set(["a", "b"])` builds a list or tuple, then a set, for every test. The compiler turns
`x in {"a", "b"}` into one constant frozenset.

Bad:

    def vowels(letters):
        return [letter for letter in letters if letter in set(["a", "e", "i", "o", "u"])]

Good:

    def vowels(letters):
        return [letter for letter in letters if letter in {"a", "e", "i", "o", "u"}]

Not flagged: empty, starred and unhashable displays, sets that serve for more than the test,
`in ["a", "b"]` (the compiler makes a constant tuple of it), code of a module that runs once.

The fix is safe for `set` and `frozenset` of constants. `dict.fromkeys` differs for an
unhashable value that is a set, so its fix is unsafe. Names are not folded: no fix.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.patterns.invariance import inner
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.shown import BUILT_TO_SEARCH
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_WRITTEN = tuple(
    f"{name}({opening}".encode()
    for name in ("set", "dict.fromkeys")
    for opening in ("[", "(", "{", "\n", "\r", " ")
)


def _hopeful(sketch: Sketch) -> bool:
    for test in sketch.of(ast.Compare):
        for operator, value in zip(test.ops, test.comparators, strict=True):
            match value if isinstance(operator, (ast.In, ast.NotIn)) else None:
                case ast.Call(
                    args=[ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items)], keywords=[]
                ):
                    if all(
                        isinstance(item, (ast.Constant, ast.Name, ast.UnaryOp, ast.Tuple)) for item in items
                    ):
                        return True
    return False


rule = Rule(
    code="PRF223",
    name="membership-container-built",
    summary="a set of constants is built by a call for every membership test",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(shown=BUILT_TO_SEARCH, inner=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="letters = 'abcde' * (n // 5)", call="vowels(letters)"),
)

_LITERALS = (cst.SimpleString, cst.Integer, cst.Float, cst.Imaginary)


@rule.visits(cst.Comparison)
def check(node: cst.Comparison, context: Context) -> Iterator[Finding]:
    for target in node.comparisons:
        match target:
            case cst.ComparisonTarget(
                operator=cst.In() | cst.NotIn(),
                comparator=cst.Call(args=[cst.Arg(keyword=None, star="")]) as call,
            ):
                maker = _maker(call, context)
                items = _items(call.args[0].value)
                if maker is not None and items and inner(context.flow, node):
                    yield from _judge(call, maker, items, context)


def _judge(
    call: cst.Call, maker: str, items: list[cst.BaseExpression], context: Context
) -> Iterator[Finding]:
    if all(_constant(item) for item in items):
        what = "a set display of constants is folded to a frozenset"
        yield rule.finding(
            context, call, f"`{maker}(...)` is rebuilt for every test; {what}", _fix(call, maker, context)
        )
    elif all(_constant(item) or isinstance(item, cst.Name) for item in items):
        yield rule.finding(context, call, f"`{maker}(...)` is rebuilt for every test; test against a tuple")


def _maker(call: cst.Call, context: Context) -> str | None:
    text = context.tree.code(call).encode()
    if not any(needle in text for needle in _WRITTEN):  # as the gate looks for it
        return None
    match call.func:
        case cst.Name(value="set" | "frozenset" as name) as function:
            return name if context.names.builtin(function) == name else None
        case cst.Attribute(value=cst.Name(value="dict") as owner, attr=cst.Name(value="fromkeys")):
            return "dict.fromkeys" if context.names.builtin(owner) == "dict" else None
    return None


def _items(display: cst.BaseExpression) -> list[cst.BaseExpression] | None:
    if not isinstance(display, (cst.List, cst.Tuple, cst.Set)):
        return None
    plain = all(isinstance(item, cst.Element) for item in display.elements)
    return [item.value for item in display.elements] if plain else None


def _constant(node: cst.BaseExpression) -> bool:
    """Whether the compiler folds the expression into a hashable constant."""
    match node:
        case cst.Name(value="True" | "False" | "None"):
            return True
        case cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer() | cst.Float()):
            return True
        case cst.Tuple(elements=elements):
            return all(isinstance(item, cst.Element) and _constant(item.value) for item in elements)
        case cst.ConcatenatedString(left=left, right=right):
            return _constant(left) and _constant(right)
    return isinstance(node, _LITERALS)


def _fix(call: cst.Call, maker: str, context: Context) -> Fix | None:
    span, display = context.tree.span(call), call.args[0].value
    if context.tree.comments(span) or not isinstance(display, (cst.List, cst.Tuple, cst.Set)):
        return None
    first, last = display.elements[0].value, display.elements[-1].value
    within = Span(context.tree.span(first).start, context.tree.span(last).end)
    edit = Edit(span, "{" + context.source.slice(*within) + "}")
    applicability = Applicability.UNSAFE if maker == "dict.fromkeys" else Applicability.SAFE
    return Fix("Write a set display", (edit,), applicability)
