"""A loop copies items one by one into a list or set.

`for x in it: xs.append(x)` looks up and calls `append` once for each item. `xs.extend(it)` does
the whole loop in C, `list(it)` makes the list in the right size at once where its length is known.

Bad:

    def lines_of(source):
        lines = []
        for line in source:
            lines.append(line)
        return lines

Good:

    def lines_of(source):
        lines = list(source)
        return lines

Not flagged: receivers that are not known to be a plain list or set (a `deque` may have a limit,
a subclass its own `append`), receivers that depend on the loop variable, loops over the list
itself, items that are changed or chosen (manual-list-comprehension), and
`for a, b in it: xs.append((a, b))`, which makes new tuples.

The fix keeps `extend` or `update` where the container holds items already, is started elsewhere,
or a `try` could show what an exception left of it. It is safe in a function that makes the
container itself and shows it to nobody before the loop ends. It is unsafe in modules and classes,
whose loop variable stays behind, and for sets unless the items come from a sequence: a set that
takes in another set at once may list its items in another order. There is none where the loop
variable is read afterwards, where a nested function uses the container, and for `async for`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.likely import Likely
from perflint.analysis.marks import Mark
from perflint.analysis.match import contains
from perflint.analysis.patterns.collectors import (
    Collect,
    adjacent,
    collect,
    collecting,
    commented,
    fuse,
    trace,
)
from perflint.analysis.patterns.containers import Life, exact, free_builtin, life
from perflint.analysis.rewrite import element
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

_KINDS = {"append": "list", "add": "set"}


def _hopeful(sketch: Sketch) -> bool:
    return any(copies and _may_hold(call, sketch) for _, call, copies in collecting(sketch))


def _may_hold(call: ast.Call, sketch: Sketch) -> bool:
    """Whether the receiver may be a list for `append`, a set for `add`."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=name), attr=method):
            likely = sketch.once(Likely)
            return _KINDS[method] in likely.told(name) or likely.grows_only(name)
    return False


rule = Rule(
    code="PRF206",
    name="elementwise-copy-loop",
    summary="a loop copies items one by one into a list or set",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.COLLECT}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="source = ['x' * 7] * n", call="lines_of(source)"),
)

_BULK = {"append": "extend", "add": "update"}
_ORDERED = ("range", "zip", "map", "filter", "enumerate", "reversed", "sorted", "list", "tuple", "str")
_LONG = 40  # an iterable with a longer text is not repeated in the message


@rule.visits(cst.For)
def check(loop: cst.For, context: Context) -> Iterator[Finding]:
    found = collect(loop)
    if found is None or not found.copies:
        return
    born = life(context, found.owner, loop)
    target = cst.Name(found.owner)
    known = born.kind if born else exact(context, found.owner, loop) or _annotated(found.owner, context, loop)
    if known != _KINDS[found.method]:
        return
    source = _argument(loop.iter, context)
    shown = source if len(source) <= _LONG and "\n" not in source else "..."
    fresh = born is not None and _fresh(found, born, context)
    bulk = f"{target.value}.{_BULK[found.method]}"
    advice = f"{target.value} = {known}({shown})" if fresh else f"{bulk}({shown})"
    fix = _fix(found, born, f"{known}({source})" if fresh else None, f"{bulk}({source})", context)
    yield rule.finding(context, loop, f"loop only copies items; use `{advice}`", fix)


def _argument(iterable: cst.BaseExpression, context: Context) -> str:
    """The text of the iterable as the sole argument of a call, without brackets that the call has already."""
    text = element(context.tree, iterable)
    needs_none = not isinstance(iterable, (cst.Tuple, cst.NamedExpr, cst.Yield))
    return text[1:-1].strip() if needs_none and len(iterable.lpar) == 1 else text


def _annotated(name: str, context: Context, loop: cst.For) -> str | None:
    """The type of a receiver that is known by its annotation or by all its bindings."""
    return context.kinds.name(name, context.scope(loop))


def _fresh(found: Collect, born: Life, context: Context) -> bool:
    """Whether the loop makes the whole container, and nobody can see half of it."""
    if not adjacent(context, born) or born.loop is not found.loop or context.flow.guarded(found.loop):
        return False
    return free_builtin(context, _KINDS[found.method], found.loop)


def _fix(found: Collect, born: Life | None, whole: str | None, bulk: str, context: Context) -> Fix | None:
    tree, loop = context.tree, found.loop
    scope = context.scope(loop)
    left = trace(context, loop)
    if left is None or loop.asynchronous is not None or commented(tree, loop):
        return None
    if context.flow.captured(found.owner, scope) or contains(loop.iter, cst.Yield):
        return None
    edits = fuse(context, born, loop, whole) if whole and born else None
    if edits is None:
        edits = (Edit(tree.span(loop), bulk),)
    safe = born is not None and born.secret and (found.method == "append" or _ordered(loop.iter, context))
    return Fix("Copy all items at once", edits, left if safe else Applicability.UNSAFE)


def _ordered(iterable: cst.BaseExpression, context: Context) -> bool:
    """Whether the items certainly come one by one, not from another set or dict."""
    if isinstance(iterable, (cst.GeneratorExp, cst.ListComp)):
        return True
    if isinstance(iterable, cst.Call) and context.names.builtin(iterable.func) in _ORDERED:
        return True
    return context.kinds.of(iterable, strict=True) in ("list", "tuple", "str", "bytes")
