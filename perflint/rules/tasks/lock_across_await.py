"""A thread's lock is held while a coroutine waits.

At the `await` other tasks of the same event loop run, in the same thread. The first of them that
wants the lock blocks the thread, and with it the loop: the task that holds the lock never goes on,
so it never lets go. An RLock does not block its own thread; it lets the second task in, and so
keeps nobody out.

Bad:

    import threading


    class Account:
        def __init__(self):
            self._lock = threading.Lock()

        async def pay(self, send, amount):
            with self._lock:
                await send(amount)

Good:

    import threading
    import asyncio


    class Account:
        def __init__(self):
            self._lock = asyncio.Lock()

        async def pay(self, send, amount):
            async with self._lock:
                await send(amount)

Found in `async def` for locks, conditions and semaphores of `threading` and `multiprocessing` that
are held at an `await`, `async for`, `async with` or `yield`; also between `acquire()` and `release()`.
Tests are looked at, too: they hang as well.

Not flagged: locks of asyncio, anyio and trio, locks whose type is not certain, a lock released
before the `await`, an `await` in a nested function, `acquire(blocking=False)`.

The fix makes it an asyncio.Lock, where the lock is private and only `with` in `async def` uses it. It is
unsafe: a lock that other threads share must stay as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import coroutine, suspensions
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, last_name
from perflint.analysis.nodes import children
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch, suspends
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span


def _hopeful(sketch: Sketch) -> bool:
    if not sketch.file_mentions(*library.makers(library.THREAD_LOCKS)) or not sketch.of(ast.AsyncFunctionDef):
        return False
    held = (block.body for block in sketch.of(ast.With) if any(map(_is_place, block.items)))
    acquired = {*sketch.methods("acquire")}.intersection(line.value for line in sketch.of(ast.Expr))
    return bool(acquired) or any(map(suspends, held))


def _is_place(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, (ast.Name, ast.Attribute))


rule = Rule(
    code="PRF310",
    name="lock-across-await",
    summary="a thread's lock held across `await` deadlocks the event loop",
    category="tasks",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"with", b".acquire"),
        within=(b"async",),
        imports=("threading", "multiprocessing"),
        inner=True,
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
)

_REENTRANT = {"RLock", "Condition"}  # a Condition's own lock is an RLock


@rule.visits(cst.With)
def check(node: cst.With, context: Context) -> Iterator[Finding]:
    if node.asynchronous is not None or coroutine(context.tree, node) is None:
        return
    for item in node.items:
        if not isinstance(item.item, (cst.Name, cst.Attribute)):
            continue
        if context.objects.type(item.item) not in library.THREAD_LOCKS or not _held(
            node.body, item.item, context
        ):
            continue
        fix = _fix(item.item, context) if len(node.items) == 1 else None
        yield rule.finding(context, item.item, _message(item.item, context), fix)
        return


@rule.visits(cst.Expr)
def check_acquire(node: cst.Expr, context: Context) -> Iterator[Finding]:
    match node.value:
        case cst.Call(func=cst.Attribute(value=lock, attr=cst.Name(value="acquire")), args=[]):
            pass
        case _:
            return
    if coroutine(context.tree, node) is None or context.objects.type(lock) not in library.THREAD_LOCKS:
        return
    if _held_until_release(node, lock, context):
        yield rule.finding(context, node.value, _message(lock, context))


def _held(body: cst.BaseSuite, lock: cst.BaseExpression, context: Context) -> bool:
    """Whether the body gives way to other tasks before any `release()` of its own."""
    stops = [context.tree.span(item).start for item in suspensions(body, yields=True)]
    releases = [context.tree.span(item).start for item in _releases(body, lock)]
    return bool(stops) and min(stops) < min(releases, default=max(stops) + 1)


def _held_until_release(node: cst.Expr, lock: cst.BaseExpression, context: Context) -> bool:
    """Whether a later statement of the block awaits, and the lock is released at that or after it."""
    waited = False
    for item in context.tree.after(context.tree.statement(node)):
        if isinstance(item, cst.Try) and item.finalbody is not None and [*_releases(item.finalbody, lock)]:
            return waited or _held(item.body, lock, context)
        if [*_releases(item, lock)]:
            return waited
        waited = waited or any(True for _ in suspensions(item, yields=True))
    return False


def _releases(body: cst.CSTNode, lock: cst.BaseExpression) -> Iterator[cst.Call]:
    place = dotted(lock)
    for node in walk_scope(body):
        match node:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="release"))):
                if dotted(owner) == place:
                    yield node


def _message(lock: cst.BaseExpression, context: Context) -> str:
    kind = context.objects.type(lock) or ""
    written = f"`{context.tree.code(lock)}`"
    bare = kind.rpartition(".")[2]
    if bare in _REENTRANT:
        return (
            f"{kind} {written} held across await: a second task on this loop is the same thread and passes "
            "through, so it excludes nobody; use asyncio.Lock"
        )
    use = f"asyncio.{bare}"
    return (
        f"{kind} {written} held across await: a second task on this loop that wants it blocks the loop and "
        f"deadlocks; use {use}, or release it before the await"
    )


def _fix(lock: cst.BaseExpression, context: Context) -> Fix | None:
    """Make it an asyncio.Lock, with every place that the file uses it."""
    if context.objects.type(lock) != "threading.Lock" or context.config.target.low < (3, 10):
        return None  # before 3.10 an asyncio.Lock belongs to the loop that is current where it is made
    name = last_name(lock)
    if not _private(lock, name, context):
        return None
    uses = _uses(name, context)
    imported = import_edit(context.source, context.facts.tree, "asyncio", "Lock")
    if uses is None or imported is None:
        return None
    made, withs = uses
    expression, missing = imported
    if missing is not None and expression == "Lock":  # two kinds of Lock in a file are best told apart
        imported = import_edit(context.source, context.facts.tree, "asyncio", None)
        if imported is None:
            return None
        expression, missing = f"{imported[0]}.Lock", imported[1]
    edits = [missing] if missing is not None else []
    edits.append(Edit(_span(made.func, context), expression))
    for item in withs:
        at = context.source.offset(item.lineno, item.col_offset)
        edits.append(Edit(Span(at, at), "async "))
    return Fix("Use an asyncio.Lock", tuple(edits), Applicability.UNSAFE)


def _private(lock: cst.BaseExpression, name: str, context: Context) -> bool:
    """Whether only this file can use the lock: a local, or a name with an underscore."""
    if name.startswith("_"):
        return True
    owner = context.scope(lock).owner(name) if isinstance(lock, cst.Name) else None
    return owner is not None and owner.kind == "function" and name not in context.scope(lock).declared


def _uses(name: str, context: Context) -> tuple[ast.Call, list[ast.With]] | None:
    """The constructor call and the `with` statements, where these are all that the name is used for."""
    made: list[ast.Call] = []
    withs: list[ast.With] = []
    mentions = 0
    stack: list[tuple[ast.AST, bool]] = [(context.facts.tree, False)]
    while stack:
        node, running = stack.pop()
        match node:
            case ast.Name(id=found) | ast.Attribute(attr=found) | ast.arg(arg=found) if found == name:
                mentions += 1
            case ast.Assign(targets=[target], value=ast.Call(args=[], keywords=[]) as call) if _is(
                target, name
            ):
                made.append(call)
            case ast.AnnAssign():
                if _is(node.target, name):
                    return None
            case ast.With(items=[ast.withitem(context_expr=item, optional_vars=None)]) if running and _is(
                item, name
            ):
                withs.append(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            running = isinstance(node, ast.AsyncFunctionDef)
        stack.extend((child, running) for child in children(node))
    return (made[0], withs) if len(made) == 1 and mentions == 1 + len(withs) else None


def _is(node: ast.expr, name: str) -> bool:
    return getattr(node, "attr", None) == name or getattr(node, "id", None) == name


def _span(node: ast.expr, context: Context) -> Span:
    offset = context.source.offset
    end = offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
    return Span(offset(node.lineno, node.col_offset), end)
