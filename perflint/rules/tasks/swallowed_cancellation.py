"""An `except` clause catches the cancellation of its own task, and goes on.

`task.cancel()`, a timeout and the end of a TaskGroup all work by raising CancelledError at an `await`.
A bare `except`, `except BaseException` or `except CancelledError` that does not raise it again makes
the task go on as if nothing were. In a loop the task cannot be stopped at all.

Bad:

    import asyncio


    async def poll(fetch, log):
        while True:
            try:
                await fetch()
            except BaseException as error:
                log(error)

Good:

    import asyncio


    async def poll(fetch, log):
        while True:
            try:
                await fetch()
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                log(error)

It is an error in a loop that the clause does not leave, otherwise a warning.

Not flagged: `except Exception` (cancellation passes it by), a clause that raises on every path or
follows one that does, a `try` without `await`, waiting for a task that the function has just
cancelled or that comes out of a queue, closing functions, `except CancelledError` that ends the loop or stands in none, an
exception that is kept to be raised or delivered later, a `main` that ends.

The fix lets CancelledError through before a bare or BaseException clause. It is unsafe: the task ends
when it is cancelled.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency import handlers
from perflint.analysis.concurrency.cancellation import deferred, reaps
from perflint.analysis.concurrency.coroutines import coroutine, entry, suspensions
from perflint.analysis.concurrency.roles import closes, is_cleanup
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, last_name, names_in
from perflint.analysis.outline import callee
from perflint.analysis.rewrite import indentation
from perflint.analysis.rule import Context, Rule
from perflint.analysis.shown import BARE_EXCEPT
from perflint.analysis.sketch import Sketch, dotted_text, suspends
from perflint.analysis.tree import Loop, walk, walk_scope
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_ANY = {"", "builtins.BaseException"}
_NAMED = handlers.CANCELLED - {"concurrent.futures.CancelledError"}  # which is another class, an Exception

_LEAVES = {ast.Break, ast.Return, ast.Raise}
_NESTED = {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
_SPELLINGS = ("builtins.BaseException", *sorted(_NAMED))


def _hopeful(sketch: Sketch) -> bool:
    return bool(sketch.of(ast.AsyncFunctionDef)) and any(
        suspends(node.body) and any(_may_swallow(item, node, sketch) for item in node.handlers)
        for node in sketch.of(ast.Try)
    )


def _may_swallow(handler: ast.ExceptHandler, node: ast.Try, sketch: Sketch) -> bool:
    """Whether the clause may catch a cancellation and go on; a clause that names it must be in a loop for that."""
    if any(isinstance(item, ast.Raise) for item in handler.body):
        return False
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {dotted_text(callee(item)) for item in types if item}
    if handler.type is None or not names.isdisjoint(("BaseException", *sketch.facts.written(_SPELLINGS[:1]))):
        return True
    parts = {type(part) for part in ast.walk(handler)}
    leaves = not parts.isdisjoint(_LEAVES) and parts.isdisjoint(_NESTED)
    return (
        not leaves
        and node in sketch.looped(ast.Try)
        and not names.isdisjoint(sketch.facts.written(_SPELLINGS))
    )


rule = Rule(
    code="PRF314",
    name="swallowed-cancellation",
    summary="an `except` that swallows CancelledError makes a task that cannot be cancelled",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"BaseException",),
        shown=(BARE_EXCEPT,),
        within=(b"async",),
        names=_SPELLINGS,
        inner=True,
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_MAIN = re.compile(r"(^|_)main($|_)|^(__main__|cli|amain)$")
_ENDS = {"sys.exit", "os._exit", "os.abort", "builtins.exit", "builtins.quit"}


@rule.visits(cst.Try)
def check(node: cst.Try, context: Context) -> Iterator[Finding]:
    if not node.handlers:
        return
    function = coroutine(context.tree, node)
    if function is None or next(suspensions(node.body), None) is None:
        return
    handler = _catcher(node, context)
    if handler is None or _raised_again(handler, context):
        return
    what = handlers.caught(context.names, handler)
    explicit = what.isdisjoint(_ANY)
    endless = _in_loop(node, handler, context)
    if (explicit and (not endless or _leaves_somewhere(handler))) or closes(function.name.value):
        return
    if reaps(context, node, function) or deferred(context, node, handler, function, endless):
        return
    if endless or not _ends_anyway(node, function, context):
        yield _finding(handler, what, explicit, endless, context)


def _leaves_somewhere(handler: cst.ExceptHandler) -> bool:
    """Whether some path through the clause ends the loop: then the others are a decision."""
    return any(isinstance(part, (cst.Break, cst.Return, cst.Raise)) for part in walk_scope(handler.body))


def _ends_anyway(node: cst.Try, function: cst.FunctionDef, context: Context) -> bool:
    """Whether the task is at its end: in clean-up, in what `asyncio.run` runs, or in a task's own last statement."""
    if is_cleanup(context.tree, node) or _MAIN.search(function.name.value):
        return True
    if entry(context.objects, function):
        return True
    return _last(node, function, context) and bool(context.roles.starts(context.objects.definition(function)))


def _last(node: cst.Try, function: cst.FunctionDef, context: Context) -> bool:
    """Whether nothing comes after the `try`, nor after the blocks around it."""
    below: cst.CSTNode = node
    for above in context.tree.ancestors(node):
        if isinstance(above, cst.BaseSuite) and above.body[-1] is not below:
            return False
        if above is function:
            return True
        if isinstance(above, Loop):
            return False  # the next turn comes after it
        below = above
    return False


def _finding(
    handler: cst.ExceptHandler, what: set[str], explicit: bool, endless: bool, context: Context
) -> Finding:
    clause = "bare `except`" if "" in what else "`except BaseException`" if not explicit else "this `except`"
    cure = "raise it again, or leave the loop" if explicit else "let `CancelledError` through before it"
    if endless:
        message = f"{clause} swallows CancelledError in a loop: the task cannot be cancelled; {cure}"
    else:
        message = f"{clause} swallows CancelledError: a cancel that arrives at this await is lost; {cure}"
    span = context.tree.span(handler)
    first = Span(span.start, context.source.line_span(context.source.line_of(span.start))[1])
    fix = None if explicit else _fix(handler, context)
    return rule.finding(context, first, message, fix, Severity.ERROR if endless else None)


def _catcher(node: cst.Try, context: Context) -> cst.ExceptHandler | None:
    """The first clause that catches a cancellation."""
    for handler in node.handlers:
        if not handlers.caught(context.names, handler).isdisjoint(_ANY | _NAMED):
            return handler
    return None


def _raised_again(handler: cst.ExceptHandler, context: Context) -> bool:
    if handlers.always_raises(handler):
        return True
    return any(
        isinstance(part, cst.Call)
        and (context.names.qualified(part.func) in _ENDS or last_name(part.func) in ("uncancel", "reraise"))
        for part in walk_scope(handler.body)
    )


def _in_loop(node: cst.Try, handler: cst.ExceptHandler, context: Context) -> bool:
    """Whether the function comes back to the `try` after the clause."""
    loop = context.flow.loop(node)
    if loop is None or handlers.leaves(handler) or context.flow.runs_once(node, loop):
        return False
    if isinstance(loop, cst.For) and loop.asynchronous is None:
        return False  # it ends by itself
    test = names_in(loop.test) if isinstance(loop, cst.While) else set()
    places = {dotted(part) for part in walk(loop.test)} if isinstance(loop, cst.While) else set()
    for part in walk_scope(handler.body):  # `running = False`, `self._closed = True`
        if isinstance(part, cst.AssignTarget) and dotted(part.target) in places | test:
            return False
    return True


def _fix(handler: cst.ExceptHandler, context: Context) -> Fix | None:
    """Let CancelledError through in a clause of its own."""
    tree, source = context.tree, context.source
    if (
        any(line.comment is not None for line in handler.leading_lines)
        or "asyncio" not in context.facts.packages
    ):
        return None
    try_ = tree.parent(handler)
    if not isinstance(try_, cst.Try) or any(
        not handlers.caught(context.names, item).isdisjoint(_NAMED) for item in try_.handlers
    ):
        return None
    imported = import_edit(source, context.facts.tree, "asyncio", None)
    if imported is None:
        return None
    name, missing = imported
    start = tree.span(handler).start
    at = source.line_starts[source.line_of(start) - 1]
    margin = indentation(tree, try_)
    if source.slice(at, start) != margin:
        return None
    step = "\t" if margin.endswith("\t") else "    "
    edit = Edit(Span(at, at), f"{margin}except {name}.CancelledError:\n{margin}{step}raise\n")
    return Fix(
        "Let CancelledError through", (edit,) if missing is None else (missing, edit), Applicability.UNSAFE
    )
