"""A request handler waits for room in a queue, or for a permit, without a deadline.

A bounded queue is only half of backpressure: somebody must say no. Where a handler waits until there is room,
the requests pile up in front of the queue instead, each with its connection and memory, and once the consumer
is dead every one of them waits for ever.

Bad:

    import asyncio

    jobs = asyncio.Queue(maxsize=100)


    @app.post("/jobs")
    async def enqueue(job):
        await jobs.put(job)
        return 202

Good:

    import asyncio

    jobs = asyncio.Queue(maxsize=100)


    @app.post("/jobs")
    async def enqueue(job):
        try:
            jobs.put_nowait(job)
        except asyncio.QueueFull:
            return 503
        return 202

Handlers are functions with a route decorator, with a request as first parameter, `do_GET` and the like.

Not flagged: queues without a bound (PRF307), waits with a timeout, code under `asyncio.timeout` or `wait_for`,
functions that no server calls. Waiting in a batch job is backpressure, and right.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.queueing import bounded
from perflint.analysis.concurrency.waiting import waiting
from perflint.analysis.gates import Gate
from perflint.analysis.match import keyword
from perflint.analysis.rule import Context, Rule
from perflint.model.diagnostics import Finding, Severity

rule = Rule(
    code="PRF323",
    name="blocking-put-in-handler",
    summary="a request handler waits for queue space or a permit without a deadline",
    category="tasks",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".submit_wait",),
        beside=tuple(
            (package, needle)
            for package in ("asyncio", "anyio", "trio", "threading", "multiprocessing", "queue")
            for needle in (b".put", b".acquire", b"with")
        ),
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
    service=True,
)

_DEADLINES = {
    *("asyncio.timeout", "asyncio.timeout_at", "async_timeout.timeout", "async_timeout.timeout_at"),
    *("anyio.fail_after", "anyio.move_on_after", "anyio.CancelScope"),
    *("trio.fail_after", "trio.move_on_after", "trio.fail_at", "trio.move_on_at", "trio.CancelScope"),
}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(attr=cst.Name(value="put" | "acquire" | "submit_wait" as method)):
            if _in_handler(node, context) and _waits(node, method, context):
                yield _finding(node, f"{context.tree.shown(node.func)}(...)", context)


@rule.visits(cst.With)
def check_with(node: cst.With, context: Context) -> Iterator[Finding]:
    if not _in_handler(node, context):
        return
    for item in node.items:
        kind = context.objects.type(item.item)
        asynchronous = node.asynchronous is not None
        if kind not in library.LIMITERS or asynchronous != (kind in library.ASYNC_LOCKS):
            continue
        if not _has_deadline(node, context) and not _deadline_item(node, context):
            word = "async with" if asynchronous else "with"
            yield _finding(item.item, f"{word} {context.tree.shown(item.item)}", context)


def _finding(node: cst.CSTNode, written: str, context: Context) -> Finding:
    message = (
        f"handler waits in `{written}` without a deadline: requests pile up behind it; "
        "shed (503/429) or bound the wait"
    )
    return rule.finding(context, node, message)


def _in_handler(node: cst.CSTNode, context: Context) -> bool:
    for above in context.tree.ancestors(node):
        if isinstance(above, cst.Lambda):
            return False
        if isinstance(above, cst.FunctionDef):
            return context.roles.handler(context.objects.definition(above))
    return False


def _waits(node: cst.Call, method: str, context: Context) -> bool:
    """Whether the call may wait for ever for a bounded thing."""
    owner = node.func.value if isinstance(node.func, cst.Attribute) else None
    made = context.objects.of(owner)
    if made is None:
        return False
    awaited = isinstance(context.tree.parent(node), cst.Await)
    if made.type in library.RUNTIME_POOLS:
        return method == "submit_wait" and _for_ever(node) and not _has_deadline(node, context)
    limited = made.type in library.LIMITERS if method == "acquire" else bounded(made)
    asynchronous = made.type in library.ASYNC_QUEUES | library.ASYNC_LOCKS
    if not limited or asynchronous != awaited or waiting(made.type, method, node) != "forever":
        return False
    return not _has_deadline(node, context)


def _for_ever(node: cst.Call) -> bool:
    """`timeout=math.inf`, `timeout=float("inf")`: the parameter is mandatory, and this is the way around it."""
    match keyword(node, "timeout"):
        case cst.Attribute(attr=cst.Name(value="inf")):
            return True
        case cst.Call(func=cst.Name(value="float"), args=[cst.Arg(value=cst.SimpleString(value=text))]):
            return "inf" in text.lower()
    return False


def _has_deadline(node: cst.CSTNode, context: Context) -> bool:
    """Whether a `with asyncio.timeout(..)` of the same function holds the node."""
    for above in context.tree.ancestors(node):
        if isinstance(above, cst.With) and _deadline_item(above, context):
            return True
        if isinstance(above, cst.FunctionDef):
            return False
    return False


def _deadline_item(node: cst.With, context: Context) -> bool:
    return any(
        isinstance(item.item, cst.Call) and context.names.qualified(item.item.func) in _DEADLINES
        for item in node.items
    )
