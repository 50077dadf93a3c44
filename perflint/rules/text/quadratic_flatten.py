"""`sum` or `reduce` joins many sequences into one.

`sum(rows, [])` adds the rows from the left, and each `+` makes a new list with all that was added
before: the first row is copied once for every row that follows. The same holds for
`reduce(operator.add, rows)`, for tuples, str and bytes. Total work grows with the square of the
number of items. `itertools.chain.from_iterable` and `"".join` copy each item once.

Bad:

    def flatten(rows):
        return sum([[row, row] for row in rows], [])

Good:

    from itertools import chain


    def flatten(rows):
        return list(chain.from_iterable([[row, row] for row in rows]))

Not flagged: real arithmetic (`sum(prices, Decimal(0))`, `reduce(operator.add, terms)` where the
items are not known to be sequences), `reduce(operator.iadd, rows, [])`, which is linear, and sums of
at most four items that stand in the text.

The fix is safe where the items are displays or comprehensions of the same type as the start. Else it
is unsafe: `chain` takes any iterable where `sum` and `reduce` raise TypeError, an empty `reduce`
without a start raises, and one of a single item gives that very item.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.likely import Likely
from perflint.analysis.match import contains, last_name
from perflint.analysis.patterns.growable import hidden
from perflint.analysis.rewrite import element, operand, replace
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.shown import SUM_FROM
from perflint.analysis.sketch import Sketch
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    likely, sums = sketch.once(Likely), sketch.calls("sum")
    starts = [part for call in sums for part in (*call.args[1:], *(word.value for word in call.keywords))]
    if any(likely.of(start) & {"list", "tuple"} for start in starts):
        return True
    adds = sketch.mentions("operator.add", "operator.concat")
    adders = (call.args[0] for call in sketch.calls("reduce") if len(call.args) in (2, 3))
    return any(adds or isinstance(adder, ast.Lambda) for adder in adders)


rule = Rule(
    code="PRF108",
    name="quadratic-flatten",
    summary="`sum(rows, [])` or `reduce(add, rows)` copies its result for every item",
    category="text",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"reduce(",), shown=(SUM_FROM,), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="rows = list(range(n))", call="flatten(rows)"),
)

_FEW = 4
_SEQUENCES = ("list", "tuple", "str", "bytes")
_CONSUMERS = {"list", "tuple", "set", "frozenset", "sorted"}  # of an iterator, at once


@dataclass(frozen=True, eq=False)
class Flatten:
    """One call that adds sequences up."""

    call: cst.Call
    form: str  # for the message
    items: cst.BaseExpression
    start: cst.BaseExpression | None
    kind: str  # of the result
    plain: bool = True  # false where the order is reversed or items are wrapped


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    word, found = last_name(node.func), None
    if word == "sum" and context.names.builtin(node.func) == "sum":
        found = _sum(node, context)
    elif word == "reduce" and context.names.qualified(node.func) == "functools.reduce":
        found = _reduce(node, context)
    if found is None or _few(found.items) or context.flow.bounded(found.items):
        return
    advice = {"str": '"".join', "bytes": 'b"".join'}.get(found.kind, "itertools.chain.from_iterable")
    message = f"{found.form} re-copies the result for every item; use {advice}"
    yield rule.finding(context, node, message, _fix(found, context))


def _few(items: cst.BaseExpression) -> bool:
    plain = isinstance(items, (cst.List, cst.Tuple, cst.Set)) and not contains(items, cst.StarredElement)
    return plain and len(items.elements) <= _FEW  # type: ignore[attr-defined]


def _sum(node: cst.Call, context: Context) -> Flatten | None:
    match node.args:
        case [cst.Arg(value=items, star="", keyword=None), cst.Arg(value=start, star="", keyword=word)]:
            kind = _start(start, context)
            if kind in ("list", "tuple") and (word is None or word.value == "start"):
                return Flatten(node, f"sum(.., {'[]' if kind == 'list' else '()'})", items, start, kind)
    return None


def _start(node: cst.BaseExpression, context: Context) -> str | None:
    """The kind of a start that is a display, a literal, or an empty `list()` or `tuple()`."""
    match node:
        case cst.List() | cst.Tuple() | cst.SimpleString():
            return context.kinds.of(node)
        case cst.Call(func=cst.Name() as function, args=[]):
            kind = context.names.builtin(function)
            return kind if kind in _SEQUENCES else None
    return None


def _reduce(node: cst.Call, context: Context) -> Flatten | None:
    if any(arg.star or arg.keyword for arg in node.args) or not 2 <= len(node.args) <= 3:
        return None
    adder, items, *rest = (arg.value for arg in node.args)
    order = _adds(adder, context)
    start = rest[0] if rest else None
    kind = _start(start, context) if start is not None else context.kinds.elements(items)
    if order is None or kind not in _SEQUENCES:
        return None
    return Flatten(node, "reduce(add, ..)", items, start, kind, order == "plain")


def _adds(node: cst.BaseExpression, context: Context) -> str | None:
    """How a function of two arguments adds them: "plain", "other" (reversed, one wrapped), or not at all."""
    if context.names.qualified(node) in ("operator.add", "operator.concat"):
        return "plain"
    match node:
        case cst.Lambda(
            params=cst.Parameters(
                params=[cst.Param(name=cst.Name(value=old)), cst.Param(name=cst.Name(value=new))]
            ),
            body=cst.BinaryOperation(left=left, operator=cst.Add(), right=right),
        ):
            match left, right:
                case cst.Name(value=one), cst.Name(value=two) if {one, two} == {old, new} and one != two:
                    return "plain" if one == old else "other"
                case cst.Name(value=one), cst.List() | cst.Tuple() if one == old:
                    return "other"
    return None


def _fix(found: Flatten, context: Context) -> Fix | None:
    tree, call = context.tree, found.call
    if not found.plain or tree.comments(tree.span(call)) or contains(found.items, cst.Await, cst.Yield):
        return None
    if any(part.asynchronous is not None for part in _clauses(found.items)):
        return None
    seed = "" if found.start is None or _empty(found.start) else element(tree, found.start)
    if found.kind in ("str", "bytes"):
        glue = '""' if found.kind == "str" else 'b""'
        prefix = f"{operand(tree, found.start)} + " if seed and found.start is not None else ""
        text = f"{prefix}{glue}.join({element(tree, found.items)})"
        if prefix and not isinstance(tree.parent(call), (cst.Assign, cst.Return, cst.Arg)):
            text = f"({text})"
        return Fix("Join the items", (replace(tree, call, text),), Applicability.UNSAFE)
    return _chained(found, seed, context)


def _chained(found: Flatten, seed: str, context: Context) -> Fix | None:
    tree, call = context.tree, found.call
    if hidden(context.names, context.scope(call), found.kind):
        return None
    added = import_edit(context.source, context.facts.tree, "itertools", "chain")
    if added is None:
        return None
    chain, new_import = added
    bracketed = isinstance(found.items, cst.GeneratorExp) and found.items.lpar
    items = tree.code(found.items) if bracketed else f"({element(tree, found.items)})"
    chained = f"{chain}.from_iterable{items}"
    if seed:
        left, right = "[]" if found.kind == "list" else "()"
        inner = tree.code(found.start)[1:-1].strip().rstrip(",") if found.start is not None else ""
        text = f"{left}{inner}, *{chained}{',' * (found.kind == 'tuple' and not inner)}{right}"
    else:
        text = chained if _consumed(found, context) else f"{found.kind}({chained})"
    edits: list[Edit] = [replace(tree, call, text), *([new_import] if new_import else [])]
    return Fix("Chain the items", tuple(edits), _applicability(found, seed, context))


def _consumed(found: Flatten, context: Context) -> bool:
    """Whether whatever takes the result wants its items only, one after the other."""
    tree = context.tree
    match tree.parent(found.call):
        case cst.For(iter=iterable) if iterable is found.call:
            # made in full before the loop
            return isinstance(found.items, (cst.List, cst.Tuple, cst.ListComp))
        case cst.Arg(keyword=None, star="") as argument:
            match tree.parent(argument):
                case cst.Call(func=cst.Name() as function, args=[first, *_]) if first is argument:
                    return context.names.builtin(function) in _CONSUMERS
                case cst.Call(func=cst.Attribute(value=cst.SimpleString(), attr=cst.Name(value="join"))):
                    return True
    return False


def _clauses(node: cst.BaseExpression) -> Iterator[cst.CompFor]:
    clause = node.for_in if isinstance(node, (cst.ListComp, cst.GeneratorExp, cst.SetComp)) else None
    while clause is not None:
        yield clause
        clause = clause.inner_for_in


def _empty(node: cst.BaseExpression) -> bool:
    match node:
        case cst.List(elements=[]) | cst.Tuple(elements=[]) | cst.Call():
            return True
    return isinstance(node, cst.SimpleString) and not node.evaluated_value


def _applicability(found: Flatten, seed: str, context: Context) -> Applicability:
    """Safe where each item is made on the spot, of the kind of the start."""
    match found.items:
        case cst.ListComp(elt=item) | cst.GeneratorExp(elt=item):
            items = [item]
        case cst.List(elements=elements) | cst.Tuple(elements=elements):
            spread = contains(found.items, cst.StarredElement)
            items = [] if spread else [part.value for part in elements]
        case _:
            items = []
    fresh = bool(items) and all(_fresh(item, found.kind, context) for item in items)
    return Applicability.SAFE if fresh and not seed and found.start is not None else Applicability.UNSAFE


def _fresh(node: cst.BaseExpression, kind: str, context: Context) -> bool:
    match node:
        case cst.List() | cst.ListComp():
            return kind == "list"
        case cst.Tuple():
            return kind == "tuple"
        case cst.Call(func=cst.Name() as function):
            return context.names.builtin(function) == kind
    return False
