"""A future that nobody looks at: an exception in its task is lost without any output.

An executor stores what the task raises in the future, for the one who asks for the result. Nobody
asks, so nothing is logged, not even at exit. `wait()` does not raise either.

Bad:

    from concurrent.futures import ThreadPoolExecutor


    def send_all(mails):
        with ThreadPoolExecutor() as executor:
            for mail in mails:
                executor.submit(send, mail)

Good:

    from concurrent.futures import ThreadPoolExecutor


    def send_all(mails):
        with ThreadPoolExecutor() as executor:
            futures = [executor.submit(send, mail) for mail in mails]
            for future in futures:
                future.result()

Found: a statement, `_ = ...`, a local or a list of futures that is never read, or only by
`wait()`, `len()` and loops over `as_completed()` whose variable is not used; for executors,
`run_coroutine_threadsafe` and `asyncio.to_thread` (which does not even run unless awaited).
The future of `loop.run_in_executor` is asyncio's, which reports the exception once the future is
collected, and a coroutine handed to another thread often reports by itself: both are info.

Not flagged: futures that are returned, stored or handed on, `add_done_callback`, functions of the
file that catch every Exception themselves, cannot fail or are decorated, coroutines of other
objects, clean-up (`submit(conn.close)`), objects that are not known to be executors.

Under `runtime-fixes` a future that is dropped at once gets a callback that logs the exception.
The fix is unsafe because it adds output.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fates import droppable, forsaken, loads
from perflint.analysis.concurrency.guarded import catches, decorated, may_fail, referred
from perflint.analysis.concurrency.roles import closes, is_cleanup
from perflint.analysis.concurrency.spawns import Spawn, spawn
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted
from perflint.analysis.possible import calls_on
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_FUNCTIONS = ("asyncio.to_thread", "asyncio.run_coroutine_threadsafe")
_METHODS = {"submit", "run_in_executor"}

_SPELLINGS = library.spellings(_FUNCTIONS)


def _hopeful(sketch: Sketch) -> bool:
    calls = [*sketch.calls_to(*_SPELLINGS), *calls_on(sketch, library.EXECUTORS, "submit")]
    return droppable(sketch, [*calls, *calls_on(sketch, frozenset({library.LOOP}), "run_in_executor")])


rule = Rule(
    code="PRF403",
    name="discarded-future",
    summary="an exception in a task whose future is dropped is lost without any output",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b".submit", b".run_in_executor"),
        names=_SPELLINGS,
        imports=("concurrent", "asyncio"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    made = _made(node, context)
    if made is None:
        return
    what = forsaken(context.names, context.flow, node, lambda read: _idle(read, context))
    if what is None or _harmless(made, context):
        return
    fix = _fix(node, made, context) if what in ("dropped", "underscore") else None
    text = context.tree.code(node.func)
    if made.name == "asyncio.to_thread":
        message = f"`{text}(...)` is never awaited, so the function does not run; await it"
        yield rule.finding(context, node, message)
    elif made.how == "loop-executor":
        message = (
            f"nobody waits for this `{text}(...)`: asyncio reports an exception in it only when the future "
            "is collected; await it or add a done callback"
        )
        yield rule.finding(context, node, message, fix, Severity.INFO)
    else:
        message = (
            f"future of `{text}(...)` dropped: an exception in the task is lost without any output; "
            "ask for its result or add a done callback"
        )
        # a coroutine of another thread often reports by itself
        yield rule.finding(context, node, message, fix, Severity.INFO if made.how == "task" else None)


def _made(node: cst.Call, context: Context) -> Spawn | None:
    match node.func:
        case cst.Attribute(attr=cst.Name(value=method)) if method in _METHODS:
            pass
        case _ if context.objects.function(node.func) not in _FUNCTIONS:
            return None
    made = spawn(context.objects, node)
    if made is None or made.how not in ("executor", "loop-executor", "task"):
        return None
    return made


def _harmless(made: Spawn, context: Context) -> bool:
    """Whether the task has no failure to tell: it catches all, or only closes something."""
    work = made.work
    if made.name == "asyncio.to_thread":
        return False
    if work is None or isinstance(work, cst.Lambda):
        return work is None
    call = work if isinstance(work, cst.Call) else cst.Call(func=work)
    place = dotted(call.func) or ""
    closing = closes(place.rpartition(".")[2])
    if is_cleanup(context.tree, made.call, call) or (closing and made.how == "task"):
        return True
    function = referred(context.objects, call.func)
    if function is not None:
        return decorated(function) or catches(function) or not may_fail(function)
    if closing:
        return True
    # what another object's coroutine does with its errors is its own matter
    return made.how == "task" and "." in place


def _idle(read: cst.Name, context: Context) -> bool:
    """Whether this use of the futures waits for them, but looks at none."""
    names, tree = context.names, context.tree
    parent = tree.parent(read)
    call = tree.parent(parent) if isinstance(parent, cst.Arg) else None
    if not isinstance(call, cst.Call):
        return False
    function = context.objects.function(call.func)
    if function == "concurrent.futures.wait":
        return isinstance(tree.parent(call), cst.Expr)
    while isinstance(tree.parent(call), cst.Arg):  # `for _ in tqdm(as_completed(futures))`
        outer = tree.parent(tree.parent(call) or call)
        if not isinstance(outer, cst.Call):
            return False
        call = outer
    loop = tree.parent(call)
    if function != "concurrent.futures.as_completed" or not isinstance(loop, cst.For):
        return False
    return isinstance(loop.target, cst.Name) and not loads(names, loop.target)


def _fix(node: cst.Call, made: Spawn, context: Context) -> Fix | None:
    """Log what the task raises when it is done."""
    name = "log_task_exception" if made.how == "loop-executor" else "log_future_exception"
    found = runtime_import(context.source, context.facts.tree, context.config, name)
    if found is None or not isinstance(context.tree.parent(node), (cst.Expr, cst.Assign)) or node.lpar:
        return None
    expression, added = found
    end = context.tree.span(node).end
    edits = [Edit(Span(end, end), f".add_done_callback({expression})"), *([added] if added else [])]
    return Fix("Log the exception of the task", tuple(edits), Applicability.UNSAFE)
