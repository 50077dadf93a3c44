"""A coroutine waits in a way that stops the whole event loop.

`Queue.get()`, `Thread.join()` or `Future.result()` wait for another thread. Called in `async def` they
park the thread of the event loop: no other task, timer or connection is served until the wait is
over. A future of `run_coroutine_threadsafe` on the same loop never ends at all.

Bad:

    import asyncio
    import queue


    async def next_order(orders: queue.Queue):
        return orders.get()

Good:

    import asyncio
    import queue


    async def next_order(orders: queue.Queue):
        return await asyncio.to_thread(orders.get)

Found for queues, threads, processes, futures, events, conditions, barriers, locks and pools of the
standard library whose type is certain, also as items of a list, in the coroutine's own code. It is only
noted in a file that runs its own loop and starts no task in it.

Not flagged: `get_nowait()`, `block=False`, `timeout=0`, `put()` on a queue without a bound, a future that
is known to be done, a thread joined in `finally`, a lock that the coroutine made or releases itself, tasks
and queues of asyncio, functions handed to a thread. Sleeping, reading files and HTTP calls are left to the
ASYNC rules of ruff.

The fix waits in a thread, or wraps the future. It is unsafe: other tasks run meanwhile, and cancelling
the coroutine does not free the thread that waits.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import alone, awaiting, coroutine
from perflint.analysis.concurrency.elements import receiver as object_of
from perflint.analysis.concurrency.elements import receives
from perflint.analysis.concurrency.queueing import bounded
from perflint.analysis.concurrency.readiness import brief, checked, known_done
from perflint.analysis.concurrency.waiting import BLOCKING, ENDING, LOCKS, waiting
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted
from perflint.analysis.possible import calls_on
from perflint.analysis.rewrite import replace
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_FUNCTIONS = {"concurrent.futures.wait", "concurrent.futures.as_completed"}
_NEEDLES = tuple(
    (package, b"." + method)
    for package, methods in {
        "queue": (b"get", b"put", b"join"),
        "threading": (b"join", b"wait", b"acquire"),
        "multiprocessing": (b"get", b"put", b"join", b"wait", b"acquire", b"map", b"starmap", b"apply"),
        "concurrent": (b"result", b"exception", b"map"),
        "asyncio": (b"result", b"exception"),  # of run_coroutine_threadsafe
    }.items()
    for method in methods
)
_SPELLINGS = library.spellings(_FUNCTIONS)


def _hopeful(sketch: Sketch) -> bool:
    if not sketch.of(ast.AsyncFunctionDef):
        return False
    if sketch.calls_to(*_SPELLINGS) or calls_on(sketch, library.EXECUTORS, "map"):
        return True
    waits = ((call.func, kinds) for name, kinds in BLOCKING.items() for call in sketch.methods(name))
    return any(
        isinstance(item, ast.Attribute) and receives(sketch, item.value, kinds) for item, kinds in waits
    )


rule = Rule(
    code="PRF311",
    name="blocking-wait-in-async",
    summary="waiting for a thread in a coroutine stops the event loop",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, beside=_NEEDLES, within=(b"async",), inner=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_CONSUMERS = {f"builtins.{name}" for name in ("list", "tuple", "set", "dict", "sum", "sorted")}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(value=receiver, attr=cst.Name(value=method)) if method in BLOCKING:
            if coroutine(context.tree, node) is not None and _blocks(node, receiver, method, context):
                yield _finding(node, context, _wraps(receiver, method, node, context))
                return
    function = (
        context.objects.function(node.func) if isinstance(node.func, (cst.Name, cst.Attribute)) else None
    )
    if function in _FUNCTIONS and coroutine(context.tree, node) is not None:
        if not _at_once(node):
            yield _finding(node, context, None)
    elif _consumed_map(node, context):
        yield _finding(node, context, None)


def _finding(node: cst.Call, context: Context, wrapped: str | None) -> Finding:
    function = context.objects.function(node.func)
    written = dotted(node.func) or ""
    name = written if 0 < len(written) < 60 else f"..{_method(node)}"
    if wrapped is not None:
        instead = "await asyncio.wrap_future(..)"
    elif function == "concurrent.futures.as_completed":
        instead = "asyncio.as_completed of wrapped futures"
    elif _needs_its_thread(node, context):
        instead = "an asyncio.Condition"
    elif _consumed_map(node, context) or context.config.target.low < (3, 9):
        instead = "loop.run_in_executor"
    else:
        instead = f"await {_to_thread(context)}({'..' if name != written else name})"
    message = f"`{name}()` blocks the event loop; use `{instead}`"
    level = Severity.INFO if alone(context.objects) else None
    return rule.finding(context, node, message, _fix(node, wrapped, context), level)


def _method(node: cst.Call) -> str:
    return node.func.attr.value if isinstance(node.func, cst.Attribute) else ""


def _to_thread(context: Context) -> str:
    packages = context.facts.packages
    if "asyncio" not in packages:
        for name in ("anyio", "trio"):
            if name in packages:
                return f"{name}.to_thread.run_sync"
    return "asyncio.to_thread"


def _blocks(node: cst.Call, receiver: cst.BaseExpression, method: str, context: Context) -> bool:
    made = object_of(context.objects, receiver)
    if made is None or made.type not in BLOCKING[method] or _at_once(node, method):
        return False
    if waiting(made.type, method, node) in ("never", "unknown") or any(item.star for item in node.args):
        return False
    if method == "put":
        return bounded(made)
    if made.type in LOCKS:
        return not brief(context, receiver, node)
    if made.type in ENDING:
        return not known_done(context, receiver, node) and not _finally(node, method, context)
    return method != "get" or not checked(context, receiver, node)


def _finally(node: cst.Call, method: str, context: Context) -> bool:
    """Whether the join comes last, behind an await that has told that the thread is at its end."""
    return method == "join" and any(isinstance(above, cst.Finally) for above in context.tree.ancestors(node))


def _at_once(node: cst.Call, method: str = "") -> bool:
    """Whether the timeout is zero."""
    return any(getattr(item.value, "value", None) in ("0", "0.0") for item in node.args[method == "put" :])


def _consumed_map(node: cst.Call, context: Context) -> bool:
    """`for r in ex.map(..)` and `list(ex.map(..))` of an executor."""
    if _method(node) != "map" or coroutine(context.tree, node) is None:
        return False
    found = context.objects.method(node)
    if found is None or found[0] not in library.EXECUTORS:
        return False
    parent = context.tree.parent(node)
    match parent:
        case cst.For(iter=iterable) | cst.CompFor(iter=iterable):
            return iterable is node
        case cst.Arg():
            call = context.tree.parent(parent)
            return isinstance(call, cst.Call) and context.names.qualified(call.func) in _CONSUMERS
    return False


def _wraps(receiver: cst.BaseExpression, method: str, node: cst.Call, context: Context) -> str | None:
    """The text of a future that can be awaited."""
    made = object_of(context.objects, receiver) if method == "result" and not node.args else None
    return context.tree.code(receiver) if made is not None and made.type == library.FUTURE else None


def _fix(node: cst.Call, wrapped: str | None, context: Context) -> Fix | None:
    """Wait in a thread, or for the wrapped future."""
    tree, config = context.tree, context.config
    span = tree.span(node)
    if tree.comments(span) or node.lpar or _to_thread(context) != "asyncio.to_thread":
        return None
    function = context.objects.function(node.func)
    if function == "concurrent.futures.as_completed" or _method(node) in ("acquire", "exception"):
        return None
    if (
        _needs_its_thread(node, context)
        or _consumed_map(node, context)
        or (wrapped is None and config.target.low < (3, 9))
    ):
        return None
    if any(isinstance(above, (cst.GeneratorExp, cst.Lambda)) for above in _until_statement(node, context)):
        return None  # it would become an asynchronous generator
    imported = import_edit(context.source, context.facts.tree, "asyncio", None)
    if imported is None:
        return None
    name, missing = imported
    if wrapped is not None:
        text = f"{name}.wrap_future({wrapped})"
    else:
        given = [tree.code(node.func), *(tree.code(item).rstrip().rstrip(",") for item in node.args)]
        text = f"{name}.to_thread({', '.join(given)})"
    edit = replace(tree, node, awaiting(tree, node, text))
    edits = (edit,) if missing is None else (missing, edit)
    return Fix("Let other tasks run meanwhile", edits, Applicability.UNSAFE)


def _needs_its_thread(node: cst.Call, context: Context) -> bool:
    """A condition is waited for by the thread that holds it."""
    found = context.objects.method(node)
    return found is not None and found[0].endswith(".Condition")


def _until_statement(node: cst.Call, context: Context) -> Iterator[cst.CSTNode]:
    for above in context.tree.ancestors(node):
        if isinstance(above, cst.BaseStatement):
            return
        yield above
