"""`gather()` fails, the error is handled, and the other awaitables go on behind the handler's back.

`asyncio.gather` raises the first exception and leaves the rest running. Where a handler then logs,
answers or tries again, the stragglers still write, send and hold connections, and in a retry loop they
run beside the next round.

Bad:

    import asyncio


    async def publish(post, page, feed, log):
        try:
            await asyncio.gather(post(page), post(feed))
        except Exception as error:
            log(error)

Good:

    import asyncio


    async def publish(post, page, feed, log):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(post(page))
                group.create_task(post(feed))
        except Exception as error:
            log(error)

Found only where an `except` clause takes the error in and does not raise it again.

Not flagged: a gather outside of such a `try`, `return_exceptions=True`, handlers that cancel, closing code, a single
awaitable, functions of the same file that catch every exception themselves, tasks and futures that
somebody else made, a few awaitables that only read, handlers of CancelledError or TimeoutError alone (there
gather is cancelled with all that it waits for).

The fix is unsafe, because the siblings are cancelled: a TaskGroup where all targets have it (3.11),
the handlers catch every Exception and the coroutines are functions of the same file; otherwise
`bounded_gather` of the runtime, which raises the first error itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency import handlers
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.gathering import repair
from perflint.analysis.concurrency.guarded import called, guarded
from perflint.analysis.concurrency.roles import at_work, is_cleanup
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, walk_scope
from perflint.model.diagnostics import Finding, Severity

_GATHER = library.spellings(("asyncio.gather",))


def _hopeful(sketch: Sketch) -> bool:
    awaited = {node.value for node in sketch.of(ast.Await)}
    calls = [call for call in sketch.calls_to(*_GATHER) if call in awaited and not call.keywords]
    tries = [node for node in sketch.of(ast.Try) if node.handlers]
    tried = {part for node in tries for item in node.body for part in ast.walk(item)}
    return any(call in tried and _several(call) for call in at_work(sketch, calls))


def _several(call: ast.Call) -> bool:
    """Whether it may wait for several that are all made there: the others' owner may look after them."""
    starred = any(isinstance(item, ast.Starred) for item in call.args)
    return (starred or len(call.args) > 1) and all(map(_made, call.args))


def _made(argument: ast.expr) -> bool:
    match argument:
        case ast.Starred(value=ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items)):
            return all(isinstance(item, (ast.Call, ast.Starred)) for item in items)
        case ast.Starred(value=ast.ListComp(elt=made) | ast.SetComp(elt=made) | ast.GeneratorExp(elt=made)):
            return isinstance(made, ast.Call)
        case ast.Starred(value=made) | made:
            return isinstance(made, ast.Call)


rule = Rule(
    code="PRF406",
    name="gather-strands-siblings",
    summary="after the first failure of a gather the other awaitables keep running",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_GATHER, inner=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

# A failure of these does not come from an awaitable, or ends the others too.
_OUTSIDE = handlers.CANCELLED | {
    *(
        "builtins.TimeoutError",
        "asyncio.TimeoutError",
        "asyncio.exceptions.TimeoutError",
        "builtins.KeyboardInterrupt",
    ),
    *(
        "builtins.SystemExit",
        "builtins.GeneratorExit",
        "builtins.ExceptionGroup",
        "builtins.BaseExceptionGroup",
    ),
    *("builtins.StopAsyncIteration", "builtins.ImportError"),
}
_READS = re.compile(
    r"_*((a|async_)?(get|fetch|read|load|list|find|query|search|select|count|is|has|check|resolve|lookup|describe|head|peek|sleep|wait|join|ping|poll|probe|exists|download|retrieve|collect|compute|calculate|parse|describe|scan|stat))(_|$|(?=[A-Z]))",
    re.I,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, (cst.Name, cst.Attribute)):
        return
    if context.objects.function(node.func) != "asyncio.gather" or not isinstance(
        context.tree.parent(node), cst.Await
    ):
        return
    if any(item.keyword is not None or item.star == "**" for item in node.args) or is_cleanup(
        context.tree, node
    ):
        return
    function = own_function(context.tree, node)
    catchers = list(_catchers(node, function, context)) if function is not None else []
    if not catchers or not _strands(node, context) or _cancels(node, function, context):
        return
    group = context.config.target.low >= (3, 11)
    cure = "use asyncio.TaskGroup" if group else "cancel and await them in the handler"
    message = f"after the first failure gather() returns but the other awaitables keep running; {cure}"
    yield rule.finding(context, node, message, repair(context, node, catchers))


def _catchers(node: cst.Call, function: cst.CSTNode, context: Context) -> Iterator[cst.ExceptHandler]:
    """The clauses that take a failure of the gather in, without raising it again."""
    for item in handlers.covering(context.tree, node, function):
        for handler in item.handlers:
            caught = handlers.caught(context.names, handler)
            if caught <= _OUTSIDE:
                continue
            if not handlers.raises(handler):
                yield handler
            elif not caught.isdisjoint(handlers.WIDE):
                return


def _cancels(node: cst.Call, function: cst.CSTNode | None, context: Context) -> bool:
    """Whether the function cancels anything after (or around) the gather."""
    start = context.tree.span(node).start
    return function is not None and any(
        isinstance(part, cst.Call)
        and isinstance(part.func, cst.Attribute)
        and part.func.attr.value.startswith("cancel")
        and context.tree.span(part).start > start
        for part in walk_scope(function)
    )


def _strands(node: cst.Call, context: Context) -> bool:
    """Whether one awaitable may fail while another one is at work that changes something."""
    if len(node.args) < 2 and not any(item.star for item in node.args):
        return False
    works = [part for item in node.args for part in _works(item)]
    if not works or any(not isinstance(item, cst.Call) for item in works):
        return False  # made elsewhere: their owner may look after them
    if any(_other_owner(item, context) for item in works):
        return False
    functions = [called(context.objects, item) for item in works]
    outline = context.objects.outline
    if all(function is not None and guarded(function, outline) for function in functions):
        return False
    return not all(_reads(item) for item in works)


def _works(argument: cst.Arg) -> Iterator[cst.BaseExpression]:
    """What is awaited, one for each item of a display and one for all of a comprehension."""
    value = argument.value
    if not argument.star:
        yield value
    elif isinstance(value, (cst.List, cst.Tuple, cst.Set)):
        yield from (item.value for item in value.elements)
    elif isinstance(value, Comprehension) and not isinstance(value, cst.DictComp):
        yield value.elt
    else:
        yield value


def _other_owner(work: cst.BaseExpression, context: Context) -> bool:
    return isinstance(work, cst.Call) and context.objects.function(work.func) in (
        *("asyncio.shield", "asyncio.wrap_future", "asyncio.sleep", "builtins.map"),
        *("asyncio.create_task", "asyncio.ensure_future"),
    )


def _reads(work: cst.BaseExpression) -> bool:
    """Whether the name of what is called says that it only reads."""
    return isinstance(work, cst.Call) and _READS.match(last_name(work.func)) is not None
