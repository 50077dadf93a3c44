"""A loop puts items in front of a list with `insert(0, x)`.

Each insertion moves all items of the list by one place, so the work grows with the square of the
number of items. Up to some hundreds it hardly matters, as the move is one fast copy. `append` and
one `reverse()` at the end give the same list; a `collections.deque` grows at both ends.

Bad:

    def latest_first(events):
        found = []
        for event in events:
            found.insert(0, event.upper())
        return found

Good:

    def latest_first(events):
        found = []
        for event in events:
            found.append(event.upper())
        found.reverse()
        return found

Not flagged: receivers that are not known to be lists (`strict-types = false` reports them too),
attributes such as `sys.path`, loops that also index the list, walk over it, pop from it or hand it
on, lists that start with the items of another, loops over a few items (known ones, the parts of a
path or version, the digits of a number), code outside of loops.

The fix is always unsafe: until the loop ends the list is in another order. It is offered where
the list starts empty and nothing looks at it before the loop has ended.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.flow import LoopNode
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, plain_args
from perflint.analysis.patterns.containers import escapes, few, growing_in, life, made
from perflint.analysis.patterns.turns import shortened
from perflint.analysis.rewrite import element, insert_after
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch, is_constant
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    calls = (call for call in sketch.looped_calls("insert") if len(call.args) == 2)
    return any(is_constant(call.args[0], 0) for call in calls)


rule = Rule(
    code="PRF203",
    name="list-insert-front",
    summary="`xs.insert(0, x)` moves the whole list in each turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b".insert(",), loop=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="events = ['x' * 7] * n", call="latest_first(events)"),
)


@rule.visits(cst.Expr)
def check(node: cst.Expr, context: Context) -> Iterator[Finding]:
    match node.value:
        case cst.Call(func=cst.Attribute(value=cst.Name() as owner, attr=cst.Name(value="insert"))) as call:
            pass
        case _:
            return
    args = plain_args(call, 2)
    if args is None or not (isinstance(args[0], cst.Integer) and args[0].value == "0"):
        return
    loop = growing_in(context, node, owner)
    if loop is None or not _known(owner, loop, context) or _looked_at(owner, loop, context):
        return
    if shortened(loop) or _brief(args[1], loop, context):
        return
    message = (
        f"`{owner.value}.insert(0, ...)` in a loop is quadratic; "
        "append then `reverse()`, or use `collections.deque.appendleft`"
    )
    yield rule.finding(context, node, message, _fix(node, owner.value, args[1], loop, context))


def _known(owner: cst.Name, loop: LoopNode, context: Context) -> bool:
    """Whether the receiver is known to be a list, or of unknown type where the user wants those too."""
    born = life(context, owner.value, loop)
    if born is not None and not isinstance(born.value, cst.List) and not born.empty:
        return False  # a list of other things gets its title or the like
    if born is not None and not born.empty and isinstance(loop, cst.While):
        return False  # goes back from a first item for a few steps
    kind = made(context.names, born.value) if born else None
    kind = kind or context.kinds.of(owner)
    return kind == "list" or (kind is None and not context.config.strict_types and born is None)


def _brief(item: cst.BaseExpression, loop: LoopNode, context: Context) -> bool:
    """Whether the loop goes through the parts of a path, a version or the like."""
    header = loop.iter if isinstance(loop, cst.For) else loop.test
    parts = (
        part for node in (header, item) for part in walk(node) if isinstance(part, (cst.Name, cst.Attribute))
    )
    if any(few(context, part) for part in parts):
        return True
    calls = (part for part in walk(loop.body) if isinstance(part, cst.Call))
    return any(context.names.qualified(call.func) in ("os.path.split", "os.path.dirname") for call in calls)


def _looked_at(owner: cst.Name, loop: LoopNode, context: Context) -> bool:
    """Whether the loop uses the places of the list, which must then be right in every turn."""
    flow, tree = context.flow, context.tree
    for read in flow.reads(owner.value, context.scope(owner)):
        if not flow.inside(read, loop):
            continue
        match tree.parent(read):
            case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
                if not isinstance(index, (cst.Integer, cst.UnaryOperation)):
                    return True
            case cst.Subscript() | cst.For() | cst.CompFor() | cst.ComparisonTarget():
                return True
            case cst.Attribute(attr=cst.Name(value="pop")):
                return True  # a queue that takes an item back
            case cst.Assign():
                return True  # another name takes it over
        if escapes(context, read) and not _measured(read, context):
            return True
    return False


def _measured(read: cst.Name, context: Context) -> bool:
    argument = context.tree.parent(read)
    call = context.tree.parent(argument) if isinstance(argument, cst.Arg) else None
    return isinstance(call, cst.Call) and context.names.builtin(call.func) == "len"


def _fix(node: cst.Expr, name: str, item: cst.BaseExpression, loop: LoopNode, context: Context) -> Fix | None:
    tree, flow = context.tree, context.flow
    born, scope = life(context, name, loop), context.scope(node)
    if born is None or not born.empty or flow.guarded(born.loop) or flow.captured(name, scope):
        return None
    if contains(born.loop, cst.Return, cst.Yield, cst.Try, cst.TryStar) or tree.comments(tree.span(node)):
        return None
    reads = [
        read for read in flow.reads(name, scope) if born.span.start <= tree.span(read).start < born.span.end
    ]
    if len(reads) != 1 or flow.introspected(scope):
        return None
    append = Edit(tree.span(node), f"{name}.append({element(tree, item)})")
    reverse = insert_after(tree, born.loop, f"{name}.reverse()")
    return Fix("Append, and reverse once", (append, reverse), Applicability.UNSAFE)
