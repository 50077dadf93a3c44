"""A list is filled by an `append` loop that could be a list comprehension.

A comprehension says in one expression that a list is made, and what of. It also saves the lookup
and the call of `append` in each turn, but on Python 3.11 and later that is only about a tenth of
the time of such a loop: the gain is in reading rather than in running. `xs.extend(x for x in it)`
is no substitute, it is slower than the loop.

Bad:

    def squares(numbers):
        found = []
        for number in numbers:
            found.append(number * number)
        return found

Good:

    def squares(numbers):
        found = [number * number for number in numbers]
        return found

Not flagged: loops that do more than append, lists that do not start empty in the same block or
are read before the loop ends, items that read the list or wait for a `yield`, loops that take
every item as it is (elementwise-copy-loop).

The fix is safe in a function where the list is started right before the loop, no `try` or `with`
could show a half-filled list, the loop variable is used nowhere else, and the items are made of
names, constants and operators alone; otherwise it is unsafe. There is none in class bodies, for
`async for`, where the loop variable is read afterwards or kept by a lambda, where `super()` would
lose its class (before Python 3.12), and where a comment would be lost.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.flow import bound_names
from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.match import contains, names_in
from perflint.analysis.patterns.collectors import (
    Collect,
    adjacent,
    clauses,
    collect,
    collecting,
    commented,
    fuse,
    outdented,
    runs_foreign_code,
    trace,
)
from perflint.analysis.patterns.containers import Life, life
from perflint.analysis.rewrite import element, iterable
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Loop, walk
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    found = ((loop, call.func) for loop, call, copies in collecting(sketch) if not copies)
    loops: dict[ast.stmt, str] = {loop: ast.unparse(function) for loop, function in found}
    for block in sketch.blocks if loops else ():
        empty = set()
        for statement in block:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(
                    ast.Name(id=name), _, value
                ):
                    if isinstance(value, (ast.List, ast.Call)):
                        empty.add(f"{name}.append")
            if loops.get(statement) in empty:
                return True
    return False


rule = Rule(
    code="PRF209",
    name="manual-list-comprehension",
    summary="a list is filled by an `append` loop",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.COLLECT}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="numbers = list(range(n))", call="squares(numbers)"),
)

_INLINED = (3, 12)  # comprehensions run in the function itself from here on


@rule.visits(cst.For)
def check(loop: cst.For, context: Context) -> Iterator[Finding]:
    found = collect(loop)
    if found is None or found.method != "append" or found.copies:
        return
    born = life(context, found.owner, loop)
    if born is None or born.loop is not loop or born.kind != "list" or not born.empty:
        return
    if context.tree.parent(born.start) is not context.tree.parent(loop) or _read_before(born, context):
        return
    if not _expressible(found, context) or _filled_further(born, context):
        return
    yield rule.finding(context, loop, _message(found.owner, context), _fix(found, born, context))


def _message(name: str, context: Context) -> str:
    low, high = context.config.target
    gain = "about 1.1x on 3.11+" if high >= (3, 11) else "about 1.5x on 3.10"
    more = ", more on 3.10" if low <= (3, 10) and high >= (3, 11) else ""
    return f"append loop fills `{name}`; it could be a list comprehension ({gain}{more})"


def _read_before(born: Life, context: Context) -> bool:
    """Whether anything may look at the list between its start and the end of the loop."""
    name, scope, end = born.name, born.scope, born.span.end
    start, loop = born.span.start, context.tree.span(born.loop).start
    reads = context.flow.reads(name, scope)
    if any(start <= context.tree.span(read).start < loop for read in reads):
        return True
    if any(start <= context.tree.span(item.node).start < loop for item in scope.bindings[name][1:]):
        return True
    return any(context.tree.span(inner.node).start < end for inner in context.flow.captured(name, scope))


def _filled_further(born: Life, context: Context) -> bool:
    """Whether a later loop of the same block appends too: a comprehension would tear them apart."""
    tree, block = context.tree, context.tree.parent(born.loop)
    for read in context.flow.reads(born.name, born.scope):
        if tree.span(read).start > born.span.end and isinstance(tree.parent(read), cst.Attribute):
            beside = next((node for node in tree.ancestors(read) if tree.parent(node) is block), None)
            if isinstance(beside, Loop):
                return True
    return False


def _expressible(found: Collect, context: Context) -> bool:
    """Whether a comprehension could hold the item and the test at all."""
    parts = [part for part in (found.item, found.test, found.loop.iter) if part is not None]
    if any(contains(part, cst.Yield) for part in parts):
        return False
    scope = context.scope(found.loop)
    if scope.kind != "class":
        return True
    # Names of a class body are invisible inside of a comprehension.
    inner = names_in(found.item, found.test) - bound_names(found.loop.target)
    return inner.isdisjoint(scope.bindings)


def _fix(found: Collect, born: Life, context: Context) -> Fix | None:
    tree, loop = context.tree, found.loop
    left = trace(context, loop)
    if left is None or loop.asynchronous is not None or context.scope(loop).kind == "class":
        return None
    if commented(tree, loop) or not _movable(found, context):
        return None
    parts = [
        outdented(context, found.item, element(tree, found.item), loop),
        f"for {tree.code(loop.target)} in {iterable(tree, loop.iter)}",
    ]
    if found.test is not None:
        parts.append(f"if {iterable(tree, found.test)}")
    opening = tree.source.slice(tree.span(born.start).start, tree.span(born.value).start)
    edits = fuse(context, born, loop, clauses(context, loop, parts, opening))
    if edits is None:
        return None
    safe = (
        adjacent(context, born)
        and born.secret
        and not context.flow.guarded(loop)
        and not runs_foreign_code(found.item, found.test, loop.iter)
    )
    return Fix("Use a list comprehension", edits, left if safe else Applicability.UNSAFE)


def _movable(found: Collect, context: Context) -> bool:
    """Whether item and test mean the same inside of a comprehension."""
    variables = bound_names(found.loop.target)
    if contains(found.loop.iter, cst.NamedExpr) or context.flow.introspected(context.scope(found.loop)):
        return False
    old = context.config.target.low < _INLINED
    for node in (node for part in (found.item, found.test) if part is not None for node in walk(part)):
        match node:
            case cst.NamedExpr(target=target) if names_in(target) & variables:
                return False
            case cst.Lambda() | cst.GeneratorExp() if names_in(node) & variables:
                return False
            case cst.Name(value="super" | "__class__") if old:
                return False
    return True
