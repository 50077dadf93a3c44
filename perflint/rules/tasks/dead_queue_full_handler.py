"""`except QueueFull` around a put that waits instead of raising.

`await q.put(x)` of asyncio, and `q.put(x)` of `queue` and `multiprocessing` without a timeout, wait
until there is room: they never raise, and the handler that was meant to shed load never runs. With a
dead consumer the producer stands still for ever. The same holds for `get` and `Empty`, and for a handler
that names the other module's class: `put_nowait` of asyncio raises `asyncio.QueueFull`, not `queue.Full`.

Bad:

    import asyncio


    class Hub:
        def __init__(self):
            self.events = asyncio.Queue(100)
            self.dropped = 0

        async def publish(self, event):
            try:
                await self.events.put(event)
            except asyncio.QueueFull:
                self.dropped += 1

Good:

    import asyncio


    class Hub:
        def __init__(self):
            self.events = asyncio.Queue(100)
            self.dropped = 0

        async def publish(self, event):
            try:
                self.events.put_nowait(event)
            except asyncio.QueueFull:
                self.dropped += 1

A handler that is merely dead code is reported as info: the queue has no bound, or a worker's endless loop
goes on to the next `get` anyway.

Not flagged: `put(x, timeout=1)`, bodies with several kinds of queue calls or with calls that may raise the
exception themselves, objects that are not known to be queues, handlers that name a wider exception,
`asyncio.wait_for(q.put(x), 1)`.

The fix calls `put_nowait` or `get_nowait`, or names the right class. It is unsafe: the handler starts to run.
There is none for `get` in workers: when they start, the queue may be empty because its work is still to come.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.handlers import caught, is_silent, smalls
from perflint.analysis.concurrency.queueing import EMPTY, FULL, QueueCall, queue_calls, unbounded
from perflint.analysis.gates import Gate
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

_QUEUE_ERRORS = {*FULL, *EMPTY}
_SPELLINGS = library.spellings(_QUEUE_ERRORS)


def _hopeful(sketch: Sketch) -> bool:
    classes = [item.type for item in sketch.of(ast.ExceptHandler) if item.type is not None]
    return (
        bool(sketch.methods("put", "put_nowait", "get", "get_nowait"))
        and sketch.names_any(classes, _SPELLINGS)
        and sketch.file_mentions(*library.makers(library.QUEUES))
    )


rule = Rule(
    code="PRF322",
    name="dead-queue-full-handler",
    summary="`except QueueFull` around a put that waits instead of raising",
    category="tasks",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_TIMEOUTS = {"builtins.TimeoutError", "asyncio.TimeoutError", "asyncio.exceptions.TimeoutError"}


@rule.visits(cst.Try)
def check(node: cst.Try, context: Context) -> Iterator[Finding]:
    every = [caught(context.names, item) for item in node.handlers]
    if any(not _TIMEOUTS.isdisjoint(item) for item in every):
        return  # the wait has an end, and somebody looks at it
    for handler, classes in zip(node.handlers, every, strict=True):
        if not classes <= _QUEUE_ERRORS or handler.type is None:
            continue
        for errors, methods in ((FULL, ("put", "put_nowait")), (EMPTY, ("get", "get_nowait"))):
            named = classes & set(errors)
            calls = queue_calls(context, node.body, methods, classes) if named else None
            if calls:
                yield from _judge(node, handler, named, calls, context)


def _judge(
    node: cst.Try, handler: cst.ExceptHandler, named: set[str], calls: list[QueueCall], context: Context
) -> Iterator[Finding]:
    waits = {item.waits for item in calls}
    if waits == {"forever"}:
        yield _dead(handler, named, calls, context)
    elif "forever" not in waits and isinstance(handler.type, (cst.Name, cst.Attribute)):
        right = {item.error for item in calls}
        known: set[str] = set().union(*(caught(context.names, item) for item in node.handlers))
        if len(right) == 1 and right.isdisjoint(known) and len(named) == 1:
            yield _wrong(handler, right.pop(), calls[0], context)


def _dead(handler: cst.ExceptHandler, named: set[str], calls: list[QueueCall], context: Context) -> Finding:
    first = calls[0]
    written = context.tree.shown(handler.type) if handler.type is not None else ""
    queue, call = context.tree.shown(first.queue), context.tree.shown(first.call.func)
    shown = f"await {call}(...)" if first.awaited else f"{call}(...)"
    if first.method == "put" and any(unbounded(item.made) for item in calls):
        message = (
            f"`{queue}` has no maxsize, so `{shown}` neither waits nor raises and this `{written}` handler "
            "never runs; give the queue a bound, or drop the handler"
        )
        return rule.finding(context, handler, message, severity=Severity.INFO)
    head = f"`{shown}` waits instead of raising, so this `{written}` handler never runs"
    if first.method == "get" and _goes_on(handler, context):
        endless = _endless(context.flow.loop(handler))
        tail = "drop the handler" if endless else "give the wait an end, or send a sentinel to stop the loop"
        severity = Severity.INFO if endless else None
        return rule.finding(context, handler, f"{head}; {tail}", severity=severity)
    harm = "producer blocks when you meant to shed" if first.method == "put" else "consumer blocks for ever"
    if first.method == "get" and _is_worker(handler, context):
        return rule.finding(context, handler, f"{head}: {harm}; send a sentinel when there is no more")
    mend = f"call `{queue}.{first.method}_nowait(...)`" if first.error else "use a queue that can"
    fix = _without_waiting(handler, named, calls, context)
    return rule.finding(context, handler, f"{head}: {harm}; {mend}", fix)


def _wrong(handler: cst.ExceptHandler, right: str, first: QueueCall, context: Context) -> Finding:
    written = context.tree.shown(handler.type) if handler.type is not None else ""
    call = context.tree.shown(first.call.func)
    message = (
        f"`{call}(...)` raises `{right}`, so this `{written}` handler never runs and the error goes on up; "
        "catch the queue's own class"
    )
    edits = _renamed(handler, right, context)
    fix = Fix(f"Catch `{right}`", edits, Applicability.UNSAFE) if edits else None
    return rule.finding(context, handler, message, fix)


def _without_waiting(
    handler: cst.ExceptHandler, named: set[str], calls: list[QueueCall], context: Context
) -> Fix | None:
    """`put_nowait` for each call, and the queue's own class in the handler."""
    edits: list[Edit] = []
    for item in calls:
        whole = context.tree.parent(item.call) if item.awaited else item.call
        arguments = 1 if item.method == "put" else 0
        starred = any(part.star for part in item.call.args)
        if whole is None or not item.error or len(item.call.args) != arguments or starred:
            return None
        span = context.tree.span(whole)
        if context.tree.comments(span) or not isinstance(item.call.func, cst.Attribute):
            return None
        owner, end = context.tree.code(item.queue), context.tree.span(item.call.func).end
        rest = context.source.slice(end, context.tree.span(item.call).end)
        if item.call.lpar or item.call.func.lpar:
            return None
        edits.append(Edit(span, f"{owner}.{item.method}_nowait{rest}"))
    right = {item.error for item in calls}
    if right.isdisjoint(named):
        edits += _renamed(handler, right.pop(), context) or ()
        if len(edits) == len(calls):
            return None
    return Fix(f"Call `{calls[0].method}_nowait`", tuple(edits), Applicability.UNSAFE)


def _renamed(handler: cst.ExceptHandler, right: str, context: Context) -> tuple[Edit, ...] | None:
    """The class in the handler replaced; None where that name cannot be written without doubt."""
    module, _, name = right.rpartition(".")
    found = import_edit(context.source, context.facts.tree, module, name)
    if found is None or not isinstance(handler.type, (cst.Name, cst.Attribute)):
        return None
    text, added = found
    edit = Edit(context.tree.span(handler.type), text)
    return (edit, added) if added is not None else (edit,)


def _goes_on(handler: cst.ExceptHandler, context: Context) -> bool:
    """Whether the handler only leads to the next turn of a loop, which calls `get` again."""
    loop, last = context.flow.loop(handler), list(smalls(handler))[-1]
    if loop is None or not is_silent(handler) or isinstance(last, (cst.Break, cst.Return)):
        return False
    whole = context.tree.parent(handler)
    return isinstance(last, cst.Continue) or loop.body.body[-1] is whole


def _is_worker(handler: cst.ExceptHandler, context: Context) -> bool:
    """Whether the function is started beside others: then an empty queue may mean that work is still to come."""
    return bool(context.roles.starts(context.objects.home(handler).function))


def _endless(loop: cst.CSTNode | None) -> bool:
    match loop:
        case cst.While(test=cst.Name(value="True") | cst.Integer(value="1")):
            return True
    return False
