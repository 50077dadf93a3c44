"""The answer of a call that may say no is thrown away.

`WorkerPool.submit` never blocks: False means that the pool is full or closed, and that the task will not run.
`lock.acquire(timeout=1)` answers False when the time is up, and code that goes on works without the lock; a later
`release()` gives back a permit that was never taken.

Bad:

    from perflint.runtime import WorkerPool

    pool = WorkerPool(workers=4, queue_size=100)


    def accept(order, send):
        pool.submit(send, order)
        return 202

Good:

    from perflint.runtime import WorkerPool

    pool = WorkerPool(workers=4, queue_size=100)


    def accept(order, send):
        if not pool.submit(send, order):
            return 503
        return 202

There are four answers to a rejected `submit`: shed (503 or 429, the default for requests); an external queue for
work that must not be lost; two or three retries with growing pauses (`retry_submit`); a counted drop for what is
stale anyway. To try in a handler until it works is none: it turns overload into a standstill, and is reported too.

As info: `_ = pool.submit(f)` (a drop that nobody counts), `shutdown(timeout=)` of a pool, `Thread.join(timeout)`
without a look at `is_alive()` later in the function, `Event.wait(timeout)` followed by code that relies on it.

Not flagged: results that are tested or kept, executors (their futures are PRF403's), `acquire()` that waits as long
as it takes, waits that only pass the time: in loops, on stop events, at the end of a block; joins of daemon threads
and in clean-up code, which do what they can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.daemons import is_daemon
from perflint.analysis.concurrency.fates import dropped, fate, forgotten
from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.concurrency.waiting import timed, waiting
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, is_name, keyword, sole_small, unawaited
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Finding, Severity

_EVENTS = {"threading.Event", "multiprocessing.Event", "threading.Condition", "multiprocessing.Condition"}
_CHECKED = {"threading.Thread": "is_alive()", "threading.Timer": "is_alive()", library.PROCESS: "exitcode"}


def _hopeful(sketch: Sketch) -> bool:
    """A pool, wherever its class comes from; a call that may wait for a while, and whose answer goes nowhere."""
    if sketch.facts.holds(b"WorkerPool") and sketch.calls("submit", "submit_wait", "shutdown"):
        return True
    waited = timed(sketch, "wait", frozenset(_EVENTS)) | timed(sketch, "join", frozenset(_CHECKED))
    return forgotten(sketch, timed(sketch, "acquire", library.THREAD_LOCKS)) or dropped(sketch, waited)


rule = Rule(
    code="PRF320",
    name="ignored-admission",
    summary="the answer of a call that may say no is thrown away",
    category="tasks",
    severity=Severity.ERROR,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".submit(", b".submit_wait(", b".shutdown(", b".submit (", b".shutdown ("),
        beside=tuple(
            (package, needle)
            for package in ("threading", "multiprocessing")
            for needle in (b".acquire(", b".wait(", b".join(", b".acquire (", b".wait (", b".join (")
        ),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_ANSWERS = "shed (503/429), use an external queue, retry 2-3 times with backoff, or count the drop"
_SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"}
_STOPS = re.compile(
    r"(stop|exit|quit|shut_?down|clos|cancel|terminat|kill|halt|finish|abort|interrupt)", re.I
)
_IGNORED = {"dropped", "underscore", "unread"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(value=owner, attr=cst.Name(value=method)) if method in _JUDGES:
            kind = context.objects.type(owner)
            if kind is not None:
                yield from _JUDGES[method](node, kind, method, context)


@rule.visits(cst.While)
def check_retry(node: cst.While, context: Context) -> Iterator[Finding]:
    """`while not pool.submit(..): sleep(..)` in a handler."""
    match node.test:
        case cst.UnaryOperation(operator=cst.Not(), expression=test):
            call = unawaited(test)
        case _:
            return
    if not isinstance(call, cst.Call) or not _only_waits(node, context):
        return
    found = context.objects.method(call)
    if found is None or found[0] not in library.RUNTIME_POOLS or found[1] not in ("submit", "submit_wait"):
        return
    if context.roles.handler(context.objects.home(node).function):
        written = context.tree.shown(call.func)
        message = f"trying `{written}(...)` until it works turns overload into a standstill; {_ANSWERS}"
        yield rule.finding(context, call, message)


def _submission(node: cst.Call, kind: str, method: str, context: Context) -> Iterator[Finding]:
    if kind not in library.RUNTIME_POOLS:
        return
    end = _fate(node, context)
    if end in _IGNORED:
        written = context.tree.shown(node.func)
        call = "non-blocking " if method == "submit" else ""
        message = f"result of {call}`{written}(...)` ignored: rejection goes unnoticed; {_ANSWERS}"
        yield rule.finding(context, node, message, severity=Severity.INFO if end == "underscore" else None)


def _shutdown(node: cst.Call, kind: str, method: str, context: Context) -> Iterator[Finding]:
    timeout = keyword(node, "timeout")
    limited = timeout is not None and not is_name(timeout, "None")
    if kind in library.RUNTIME_POOLS and limited and _fate(node, context) in _IGNORED:
        written = context.tree.shown(node.func)
        message = f"result of `{written}(timeout=...)` ignored: False means that tasks still run; log it"
        yield rule.finding(context, node, message, severity=Severity.INFO)


def _acquisition(node: cst.Call, kind: str, method: str, context: Context) -> Iterator[Finding]:
    if kind not in library.THREAD_LOCKS or waiting(kind, method, node) not in ("never", "deadline"):
        return
    end = _fate(node, context)
    if end in _IGNORED:
        written = context.tree.shown(node, 80)
        message = (
            f"result of non-blocking `{written}` ignored: rejection goes unnoticed, and what follows runs "
            "without the lock or permit; leave when it answers False"
        )
        yield rule.finding(context, node, message, severity=Severity.INFO if end == "underscore" else None)


def _event(node: cst.Call, kind: str, method: str, context: Context) -> Iterator[Finding]:
    owner = node.func.value if isinstance(node.func, cst.Attribute) else None
    place = dotted(owner)
    if kind not in _EVENTS or place is None or waiting(kind, method, node) != "deadline":
        return
    if _STOPS.search(place) or context.flow.loop(node) is not None or _fate(node, context) != "dropped":
        return
    if not _relied_on(node, context) or _asked(node, place, ("is_set",), context):
        return
    message = (
        f"result of `{context.tree.shown(node.func)}(...)` ignored: after the timeout the code goes on as if it "
        "had happened; test it"
    )
    yield rule.finding(context, node, message, severity=Severity.INFO)


def _joining(node: cst.Call, kind: str, method: str, context: Context) -> Iterator[Finding]:
    if kind not in _CHECKED or waiting(kind, method, node) != "deadline":
        return
    owner = node.func.value if isinstance(node.func, cst.Attribute) else None
    if _fate(node, context) != "dropped" or _asked(node, None, ("is_alive", "exitcode"), context):
        return
    made, home = context.objects.of(owner), context.objects.home(node)
    if made is None or is_cleanup(context.tree, node):
        return
    if is_daemon(made, dotted(owner), home, context.facts.outline):
        return
    message = (
        f"`{context.tree.shown(node.func)}(...)` returns after the timeout whether or not it ended; "
        f"look at `{_CHECKED[kind]}`"
    )
    yield rule.finding(context, node, message, severity=Severity.INFO)


_JUDGES = {
    "submit": _submission,
    "submit_wait": _submission,
    "shutdown": _shutdown,
    "acquire": _acquisition,
    "wait": _event,
    "join": _joining,
}


def _fate(node: cst.Call, context: Context) -> str:
    parent = context.tree.parent(node)
    return fate(context.names, context.flow, parent if isinstance(parent, cst.Await) else node)


def _only_waits(node: cst.While, context: Context) -> bool:
    """Whether the loop's body does nothing, or sleeps."""
    match sole_small(node.body):
        case cst.Pass() | cst.Continue() | cst.Expr(value=cst.Ellipsis()):
            return True
        case cst.Expr(value=value):
            call = unawaited(value)
            return isinstance(call, cst.Call) and context.names.qualified(call.func) in _SLEEPS
    return False


def _relied_on(node: cst.Call, context: Context) -> bool:
    """Whether the next statement of the block does something, and is no test of how it went."""
    after = [*_parts(context.tree.after(context.tree.statement(node)))]
    if not after:
        return False
    small, tests = after[0], any(isinstance(item, (cst.Assert, cst.If, cst.While)) for item in after)
    return not tests and not isinstance(small, (cst.Return, cst.Raise, cst.Continue, cst.Break, cst.Pass))


def _parts(body: list[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    for item in body:
        yield from item.body if isinstance(item, cst.SimpleStatementLine) else (item,)


def _asked(node: cst.Call, place: str | None, names: tuple[str, ...], context: Context) -> bool:
    """Whether the function asks the object (any object, where `place` is None) later on."""
    around = own_function(context.tree, node) or context.tree.root
    start = context.tree.span(node).end
    for item in walk(around):
        match item:
            case cst.Attribute(value=owner, attr=cst.Name(value=name)) if name in names:
                if place in (None, dotted(owner)) and context.tree.span(item).start >= start:
                    return True
    return False
