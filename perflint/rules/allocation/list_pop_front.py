"""A loop takes items from the front of a list.

`xs.pop(0)` and `del xs[0]` move all other items by one place, `xs = xs[1:]` copies them into a
new list. So the work grows with the square of the length. The move is one fast copy: below
about a thousand items it hardly matters, the copying slice matters sooner. `popleft` of a
`collections.deque` takes the same time whatever the length; a list that is only read is better
walked over.

Bad:

    def reachable(graph, start):
        seen = {start}
        queue = [start]
        while queue:
            node = queue.pop(0)
            for other in graph[node]:
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return seen

Good:

    from collections import deque


    def reachable(graph, start):
        seen = {start}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for other in graph[node]:
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return seen

Not flagged: receivers that are not known to be lists (parsers cut their text with `data[8:]`,
and `dict.pop(0)` exists), windows that a comparison of `len()` keeps short (a
`deque(maxlen=...)` fits those), lists that begin anew in each turn, code outside of loops.

The fix is unsafe, and offered where all uses of the name are such as a deque knows too: it has no
slices, no `sort` and no `+`, is not equal to a list, and words its errors differently.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal

import libcst as cst

from perflint.analysis.flow import LoopNode
from perflint.analysis.gates import Gate
from perflint.analysis.likely import Likely
from perflint.analysis.match import contains, dotted, names_in
from perflint.analysis.names import Binding, Scope
from perflint.analysis.patterns.containers import few, free_builtin, growing_in
from perflint.analysis.rewrite import element
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.shown import FRONTS
from perflint.analysis.sketch import Sketch, is_constant
from perflint.analysis.tree import walk
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    fronts = [call.func for call in sketch.looped_calls("pop") if call.args and is_constant(call.args[0], 0)]
    deleted = (target for node in sketch.looped(ast.Delete) for target in node.targets)
    fronts += [item for item in deleted if isinstance(item, ast.Subscript) and is_constant(item.slice, 0)]
    sliced = (node.value for node in sketch.looped(ast.Assign) if isinstance(node.value, ast.Subscript))
    fronts += [item for item in sliced if is_constant(getattr(item.slice, "lower", None), 1)]
    likely, owners = sketch.once(Likely), (getattr(item, "value", None) for item in fronts)
    names = {owner.id for owner in owners if isinstance(owner, ast.Name)}
    return any("list" in likely.told(name) or likely.grows_only(name) for name in names)


rule = Rule(
    code="PRF204",
    name="list-pop-front",
    summary="`xs.pop(0)` moves the whole list in each turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(shown=FRONTS, loop=True, sketch=_hopeful),
    doc=__doc__,
    # one node leads to all others: the queue gets long
    benchmark=Benchmark("graph = {0: list(range(n)), **{i: [] for i in range(1, n)}}", "reachable(graph, 0)"),
)

Front = Literal["pop", "del", "slice"]
_SHARED = frozenset({"append", "extend", "pop", "clear", "remove", "count", "reverse"})


@rule.visits(cst.Call, cst.Del, cst.Assign)
def check(node: cst.Call | cst.Del | cst.Assign, context: Context) -> Iterator[Finding]:
    found = _front(node)
    if found is None:
        return
    form, owner = found
    name = owner.value
    loop = growing_in(context, node, owner, lambda part: _slices(part, name))
    if loop is None or not _is_list(owner, context) or _window(node, name, loop, context):
        return
    if isinstance(loop, cst.While) and any(dotted(part) == f"{name}[0]" for part in walk(loop.test)):
        return  # cuts off blank lines and the like: that ends soon
    code = {"pop": f"{name}.pop(0)", "del": f"del {name}[0]", "slice": f"{name} = {name}[1:]"}[form]
    does = "copies" if form == "slice" else "shifts"
    message = f"`{code}` in a loop {does} the whole list; use `collections.deque` (`popleft`) or iterate"
    severity = Severity.WARNING if form == "slice" else Severity.INFO
    yield rule.finding(context, node, message, _fix(name, context.scope(node), context), severity)


def _front(node: cst.CSTNode) -> tuple[Front, cst.Name] | None:
    """How the node takes the first item of a named list."""
    match node:
        case cst.Call(
            func=cst.Attribute(value=cst.Name() as owner, attr=cst.Name(value="pop")),
            args=[cst.Arg(value=cst.Integer(value="0"))],
        ):
            return "pop", owner
        case cst.Del(
            target=cst.Subscript(
                value=cst.Name() as owner,
                slice=[cst.SubscriptElement(slice=cst.Index(value=cst.Integer(value="0")))],
            )
        ):
            return "del", owner
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as owner)]) if _slices(node, owner.value):
            return "slice", owner
    return None


def _slices(node: cst.CSTNode, name: str) -> bool:
    """Whether the node is `name = name[1:]`."""
    match node:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Name(value=bound))],
            value=cst.Subscript(
                value=cst.Name(value=old),
                slice=[
                    cst.SubscriptElement(slice=cst.Slice(lower=cst.Integer(value="1"), upper=None, step=None))
                ],
            ),
        ):
            return bound == old == name
    return False


def _is_list(owner: cst.Name, context: Context) -> bool:
    """Whether every binding of the name gives a list that may be long; `split` gives one whatever it splits."""
    bindings = context.names.bindings(owner)
    if any(few(context, item.value) for item in bindings):
        return False
    if (kind := context.kinds.of(owner)) is not None:
        return kind == "list"
    return bool(bindings) and all(_gives_list(item, owner.value, context) for item in bindings)


def _gives_list(binding: Binding, name: str, context: Context) -> bool:
    match binding.value:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="split")), args=[]):
            return True
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="splitlines" | "readlines"))):
            return True
    return _slices(binding.node, name) or context.kinds.of(binding.value) == "list"


def _window(node: cst.CSTNode, name: str, loop: LoopNode, context: Context) -> bool:
    """Whether a comparison of the length with more than 1 keeps the list short."""
    for above in context.tree.ancestors(node):
        if isinstance(above, (cst.If, cst.While)) and any(_limits(part, name) for part in walk(above.test)):
            return True
        if above is loop:
            return False
    return False


def _limits(part: cst.CSTNode, name: str) -> bool:
    if not isinstance(part, cst.Comparison):
        return False
    sides = [part.left, *(target.comparator for target in part.comparisons)]
    measured = any(
        isinstance(side, cst.Call) and dotted(side.func) == "len" and name in names_in(*side.args)
        for side in sides
    )
    return measured and not any(isinstance(side, cst.Integer) and side.value in ("0", "1") for side in sides)


def _fix(name: str, scope: Scope, context: Context) -> Fix | None:
    """Make the list a deque, if nothing in the function needs it to be a list."""
    tree, bindings = context.tree, scope.bindings.get(name, [])
    if len(bindings) != 1 or not context.flow.private(name, scope):
        return None
    match bindings[0].node:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name())], value=value):
            pass
        case _:
            return None
    if tree.comments(tree.span(value)) or contains(value, cst.Yield, cst.NamedExpr):
        return None
    edits = []
    for read in context.flow.reads(name, scope):
        if (edit := _change(read, context)) is None:
            return None
        edits += [item for item in edit if item not in edits]
    if (written := import_edit(context.source, context.facts.tree, "collections", "deque")) is None:
        return None
    deque, needed = written
    start = Edit(tree.span(value), f"{deque}({_contents(value, context)})")
    return Fix("Use a deque", (*([needed] if needed else ()), start, *edits), Applicability.UNSAFE)


def _change(read: cst.Name, context: Context) -> list[Edit] | None:
    """How one use of the list is written for a deque; None where a deque does not have it."""
    tree = context.tree
    above = tree.parent(read)
    around = tree.parent(above) if above is not None else None
    match above, around:
        case cst.Attribute(attr=cst.Name(value="pop")), cst.Call() as call if (
            call.func is above and call.args
        ):
            first = _front(call) is not None and not tree.comments(tree.span(call))
            return [Edit(tree.span(call), f"{read.value}.popleft()")] if first else None
        case cst.Attribute(attr=cst.Name(value=method)), cst.Call(func=func) if func is above:
            return [] if method in _SHARED else None
        case cst.Subscript(), cst.Del() as statement if _front(statement) is not None:
            return [Edit(tree.span(statement), f"{read.value}.popleft()")]
        case cst.Arg(), cst.Call(func=function) if context.names.builtin(function) == "len":
            return []
        case cst.For(body=body), _ if above.iter is read:
            return [] if read.value not in names_in(body) else None
    while isinstance(above, cst.BooleanOperation) or (
        isinstance(above, cst.UnaryOperation) and isinstance(above.operator, cst.Not)
    ):
        read, above = above, tree.parent(above)  # type: ignore[assignment]
    return [] if isinstance(above, (cst.If, cst.While, cst.IfExp)) and above.test is read else None


def _contents(value: cst.BaseExpression, context: Context) -> str:
    """What the deque is made of."""
    match value:
        case cst.List(elements=[]):
            return ""
        case cst.Call(func=cst.Name(value="list"), args=args) if free_builtin(context, "list", value):
            return element(context.tree, args[0].value) if args else ""
    return element(context.tree, value)
