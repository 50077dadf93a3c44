"""Fan-outs: one task per item of an iterable, by a comprehension that is gathered or by a spawn in a loop."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.admission import LIMITER, admitted, takes_limiter
from perflint.analysis.concurrency.fates import loads
from perflint.analysis.concurrency.origins import assigned
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.match import dotted
from perflint.analysis.outline import FunctionNode, Home, own_nodes
from perflint.analysis.sizes import Size
from perflint.analysis.sketch import Sketch, dotted_text

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

GATHERING = ("asyncio.gather", "asyncio.wait", "asyncio.as_completed")

_TASK_MAKERS = {"asyncio.create_task", "asyncio.ensure_future", "asyncio.wait_for", "asyncio.shield"}
_MAKERS = library.spellings(_TASK_MAKERS)
# Methods that wait for what runs already, or hand the work to a scheduler with a bound of its own.
_EXISTING = re.compile(r"wait(_\w+)?$|join$|result$|exception$|finished$|completed$|done$")
_SCHEDULED = {"spawn", "schedule", "submit", "enqueue", "enqueue_job", "apply_async"}
_LOOKS_UP = {"get", "pop", "setdefault", "popleft"}
_TASKS = re.compile(r"(tasks?|futures?|futs?|jobs?|pending|running|waiters?|in_?flight)$", re.I)


Source = cst.ListComp | cst.SetComp | cst.GeneratorExp | cst.Call | cst.For


class Fan(NamedTuple):
    """A call that gathers one awaitable per item of `source`: a comprehension, a `map(..)`, or a loop that fills a list."""

    call: cst.Call
    function: str  # of GATHERING
    argument: cst.Arg
    source: Source
    element: cst.BaseExpression  # what is called for each item; of `map` the function

    @property
    def iterable(self) -> cst.BaseExpression:
        """What the items come from; the first `for` of a comprehension."""
        match self.source:
            case cst.Call(args=[_, second, *_]):
                return second.value
            case cst.For(iter=iterable) | cst.BaseComp(for_in=cst.CompFor(iter=iterable)):
                return iterable
        raise TypeError(self.source)

    def size(self, context: Context) -> Size:
        """How many tasks there are."""
        source = self.source
        return context.sizes.repeats(source) if isinstance(source, cst.For) else context.sizes.of(source)


def fan(context: Context, call: cst.Call) -> Fan | None:
    """The fan-out that a call of GATHERING is: over new work, one for each item."""
    function = context.objects.function(call.func)
    if function not in GATHERING:
        return None
    for argument in call.args:
        wanted = "*" if function == "asyncio.gather" else ""
        if argument.star != wanted or argument.keyword is not None:
            continue
        source = _source(context, argument.value)
        if source is None:
            continue
        if isinstance(source, cst.Call):
            return Fan(call, function, argument, source, source.args[0].value)
        if isinstance(source, cst.For) and context.flow.inside(call, source):
            continue  # gathered in the turn that fills it
        element = _appended(context, argument.value, source) if isinstance(source, cst.For) else source.elt
        if element is not None and _starts(context, element):
            return Fan(call, function, argument, source, element)
    return None


def may_start(sketch: Sketch, element: ast.expr) -> bool:
    """A gate's question: whether the element may be new work, as `_starts` has it."""
    while isinstance(element, ast.IfExp):
        element = element.body
    match element:
        case ast.Call(func=ast.Attribute(attr=method) as function):
            made = dotted_text(function) in sketch.facts.written(_MAKERS)
            return made or not (_EXISTING.match(method) or method in _SCHEDULED)
    return isinstance(element, ast.Call)


def gathered(context: Context, comp: cst.CSTNode) -> bool:
    """Whether a comprehension is what a call of GATHERING waits for."""
    match context.tree.parent(comp):
        case (
            cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as name)])
            | cst.AnnAssign(target=cst.Name() as name)
        ):
            return any(_gathers(context, read) for read in loads(context.names, name))
    return _gathers(context, comp)


def inner_work(context: Context, node: cst.BaseExpression | None) -> cst.BaseExpression | None:
    """The coroutine call inside `create_task(..)`, `wait_for(..)` and the like; the node itself otherwise."""
    for _ in range(4):
        if isinstance(node, cst.IfExp):
            node = node.body
        if not isinstance(node, cst.Call):
            break
        made = spawn(context.objects, node)
        if made is not None and made.how in ("task", "group"):
            node = made.work
        elif context.objects.function(node.func) in _TASK_MAKERS and node.args:
            node = node.args[0].value
        else:
            break
    return node


def limited(context: Context, work: cst.BaseExpression | None) -> bool:
    """Whether a limiter is handed to the work, or the work waits for one first."""
    return work is not None and (takes_limiter(context.objects, work) or limits_itself(context, work))


def limits_itself(context: Context, work: cst.BaseExpression | None) -> bool:
    """Whether the function of this file that does the work waits for a limiter before anything else."""
    if work is None:
        return False
    function = context.objects.referred(work.func if isinstance(work, cst.Call) else work)
    return function is not None and _limits_itself(context, function)


# Parts


def _source(context: Context, node: cst.BaseExpression) -> Source | None:
    """The comprehension or `map(..)` that the argument is, or that its name was once bound to."""
    match node:
        case cst.ListComp() | cst.SetComp() | cst.GeneratorExp():
            return node
        case cst.Name(value=name):
            owner = context.names.scope(node).owner(name)
            value = assigned(context, node)
            if owner is None or value is node or _bound_in_turn(context, node):
                return None
            reads = _reads(context, node, value)
            first = next((read for read in reads if _gathers(context, read)), None)
            if first is not node or isinstance(value, cst.Name):
                return None
            empty = isinstance(value, cst.List) and not value.elements
            return _filling(context, reads) if empty else _source(context, value)
        case cst.Call(func=function, args=args):
            builtin = context.names.builtin(function)
            if builtin in ("list", "tuple", "set") and len(args) == 1:
                return _source(context, args[0].value)
            if builtin == "map" and len(args) == 2 and not any(item.star for item in args):
                return node if not isinstance(args[0].value, cst.Lambda) else None
    return None


def _bound_in_turn(context: Context, node: cst.Name) -> bool:
    """Whether the loop around binds the name anew, too: `while tasks: done, tasks = await wait(tasks)`."""
    found, loop = context.names.bindings(node), context.flow.loop(node)
    inside = [item for item in found if loop is not None and context.flow.inside(item.node, loop)]
    return 0 < len(inside) < len(found)


def _reads(context: Context, node: cst.Name, value: cst.BaseExpression) -> list[cst.Name]:
    """Where the name is read, in source order; if it is bound again, only from this value up to `node`."""
    start = context.tree.span
    reads = sorted(loads(context.names, node), key=lambda read: start(read).start)
    owner = context.names.scope(node).owner(node.value)
    if owner is not None and len(owner.bindings[node.value]) > 1:
        return [read for read in reads if start(value).start < start(read).start <= start(node).start]
    return reads


def _filling(context: Context, reads: list[cst.Name]) -> cst.For | None:
    """The one loop that fills the list by `append`; None where anything else is done with it."""
    loops = list(dict.fromkeys(loop for read in reads if (loop := _append_loop(context, read)) is not None))
    others = [read for read in reads if _append_loop(context, read) is None and not _gathers(context, read)]
    counted = all(_is_counted(context, read) for read in others)
    return loops[0] if len(loops) == 1 and counted else None


def _append_loop(context: Context, read: cst.Name) -> cst.For | None:
    """The `for` in whose turns `read.append(call)` is made, without a wait for a slot."""
    call = _append(context, read)
    if call is None or spawn(context.objects, call.args[0].value) is not None:
        return None  # a task that is made in the loop is unbounded-task-spawn's
    loop = context.flow.loop(call)
    slot = loop is not None and admitted(context.objects, context.flow, call, loop)
    return loop if isinstance(loop, cst.For) and loop.asynchronous is None and not slot else None


def _append(context: Context, read: cst.Name) -> cst.Call | None:
    attribute = context.tree.parent(read)
    match attribute, context.tree.parent(attribute) if attribute is not None else None:
        case cst.Attribute(attr=cst.Name(value="append")), cst.Call(args=[cst.Arg(star="")]) as call:
            return call
    return None


def _appended(context: Context, name: cst.BaseExpression, loop: cst.For) -> cst.BaseExpression | None:
    reads = loads(context.names, name) if isinstance(name, cst.Name) else []
    calls = (_append(context, read) for read in reads if _append_loop(context, read) is loop)
    return next((call.args[0].value for call in calls if call is not None), None)


def _is_counted(context: Context, read: cst.Name) -> bool:
    """`if tasks:`, `len(tasks)`: looked at, not changed."""
    match context.tree.parent(read):
        case cst.If() | cst.UnaryOperation(operator=cst.Not()) | cst.BooleanOperation() | cst.Comparison():
            return True
        case cst.Arg() as argument:
            call = context.tree.parent(argument)
            return isinstance(call, cst.Call) and context.names.builtin(call.func) in ("len", "bool", "print")
    return False


def _gathers(context: Context, node: cst.CSTNode) -> bool:
    argument = context.tree.parent(node)
    call = context.tree.parent(argument) if isinstance(argument, cst.Arg) else None
    return isinstance(call, cst.Call) and context.objects.function(call.func) in GATHERING


def _starts(context: Context, element: cst.BaseExpression) -> bool:
    """Whether the element is new work, and no task that is there already."""
    work = inner_work(context, element)
    if not isinstance(work, cst.Call):
        return False
    if context.objects.type(work) == library.TASK and spawn(context.objects, work) is None:
        return False
    match work.func:
        case cst.Attribute(value=receiver, attr=cst.Name(value=method)):
            if _EXISTING.match(method) or method in _SCHEDULED:
                return False
            return not (method in _LOOKS_UP and _TASKS.search(dotted(receiver) or ""))
    return True


def _limits_itself(context: Context, function: FunctionNode, depth: int = 0) -> bool:
    """Whether the first thing that the function waits for is a limiter."""
    outline = context.facts.outline
    if any(LIMITER.search(ast.unparse(item)) for item in function.decorator_list):
        return True
    inside = outline.inside(function)
    waits = (
        node for node in own_nodes(function) if isinstance(node, (ast.Await, ast.AsyncWith, ast.AsyncFor))
    )
    match next(waits, None):
        case ast.AsyncWith(items=items):
            return any(_is_limiter(context, item.context_expr, inside) for item in items)
        case ast.Await(value=ast.Call(func=ast.Attribute(value=receiver, attr="acquire"))):
            return _is_limiter(context, receiver, inside)
        case ast.Await(value=ast.Call(func=called, args=args)) if depth < 2:
            if any(_is_limiter(context, item, inside) for item in args):
                return True
            inner = outline.referred(called, inside)
            return inner not in (None, function) and _limits_itself(context, inner, depth + 1)
    return False


def _is_limiter(context: Context, node: ast.expr, home: Home) -> bool:
    if isinstance(node, ast.Call):
        node = node.func
    made = context.objects.elsewhere(node, home)
    if made is not None:
        return made.type in library.LIMITERS
    return isinstance(node, (ast.Name, ast.Attribute)) and LIMITER.search(ast.unparse(node)) is not None
