"""`gather(return_exceptions=True)` is awaited and its result thrown away.

With `return_exceptions=True` a failure is no longer raised: it is an item of the returned list. Nobody
reads the list, so a hundred failures leave no trace at all, not even when the tasks are collected.

Bad:

    import asyncio


    async def notify(users, send):
        await asyncio.gather(*[send(user) for user in users], return_exceptions=True)

Good:

    import asyncio
    import logging


    async def notify(users, send):
        results = await asyncio.gather(*[send(user) for user in users], return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                logging.error("a user was not told", exc_info=error)

Note that `isinstance(result, Exception)` misses CancelledError.

Not flagged: closing functions, `finally` and `except` bodies, after a `cancel()` in the same function,
functions of the same file that catch every exception themselves, tasks whose names are read
later, or that come from a parameter or an attribute: their owner may look at them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fates import fate, forgotten, loads
from perflint.analysis.concurrency.guarded import called, guarded
from perflint.analysis.concurrency.roles import at_work, closes, is_cleanup
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.gates import Gate
from perflint.analysis.match import is_name, keyword, last_name
from perflint.analysis.outline import FunctionNode
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch, is_constant
from perflint.analysis.tree import Comprehension, walk_scope
from perflint.model.diagnostics import Finding, Severity

_GATHER = library.spellings(("asyncio.gather",))


def _hopeful(sketch: Sketch) -> bool:
    gathers = [call for call in sketch.calls_to(*_GATHER) if any(map(_returned, call.keywords))]
    taken: set[ast.expr] = {*at_work(sketch, gathers)}
    count = 0
    while len(taken) > count:  # `run(wait_for(gather(..), 5))`
        count = len(taken)
        taken.update(call for call in sketch.of(ast.Call) if not taken.isdisjoint(_first(call)))
    awaits = [node for node in sketch.of(ast.Await) if node.value in taken]
    return forgotten(sketch, [*taken, *awaits])


def _first(call: ast.Call) -> list[ast.expr]:
    given = [*call.args, *(word.value for word in call.keywords)]
    return [item.value if isinstance(item, ast.Starred) else item for item in given[:1]]


def _returned(word: ast.keyword) -> bool:
    return word.arg == "return_exceptions" and is_constant(word.value, True)


rule = Rule(
    code="PRF407",
    name="gather-exceptions-ignored",
    summary="the failures that `gather(return_exceptions=True)` returns are thrown away",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(names=_GATHER, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_MESSAGE = (
    "`gather(return_exceptions=True)` result ignored: failures are neither raised nor logged; "
    "look at what it returns"
)
_RUNS = {"asyncio.run", "asyncio.wait_for", "asyncio.shield"}
_OTHERS = {"asyncio.wrap_future", "asyncio.shield"}  # what they take runs already
# Work that only waits, or ends something, has no failure worth telling.
_WAITS = {"wait", "join", "sleep", "wait_closed", "cancel_and_wait"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, (cst.Name, cst.Attribute)):
        return
    if context.objects.function(node.func) != "asyncio.gather" or not _returns_exceptions(node):
        return
    if not _ignored(node, context) or is_cleanup(context.tree, node) or _after_cancel(node, context):
        return
    work = [item for item in node.args if item.keyword is None]
    if work and not all(_harmless(item.value, node, context) for item in work):
        yield rule.finding(context, node, _MESSAGE)


def _returns_exceptions(node: cst.Call) -> bool:
    return is_name(keyword(node, "return_exceptions"), "True")


def _ignored(node: cst.Call, context: Context) -> bool:
    """Whether nothing looks at the list: awaited as a statement, or run by one."""
    tree = context.tree
    value: cst.BaseExpression = node
    while True:
        parent = tree.parent(value)
        if isinstance(parent, cst.Await):
            return fate(context.names, context.flow, parent) in ("dropped", "underscore", "unread")
        taker = tree.parent(parent) if isinstance(parent, cst.Arg) else None
        if not isinstance(taker, cst.Call) or taker.args[0] is not parent:
            return False
        if _runs(taker, context):
            return fate(context.names, context.flow, taker) in ("dropped", "underscore", "unread")
        if context.objects.function(taker.func) not in _RUNS:
            return False
        value = taker


def _runs(taker: cst.Call, context: Context) -> bool:
    """`asyncio.run(..)`, `loop.run_until_complete(..)`."""
    if context.objects.function(taker.func) == "asyncio.run":
        return True
    match taker.func:
        case cst.Attribute(attr=cst.Name(value="run_until_complete")):
            return True
    return False


def _after_cancel(node: cst.Call, context: Context) -> bool:
    """Whether the function cancels something before: what comes back are the cancellations."""
    start = context.tree.span(node).start
    return any(
        isinstance(part, cst.Call)
        and isinstance(part.func, cst.Attribute)
        and part.func.attr.value.startswith("cancel")
        and context.tree.span(part).start < start
        for part in walk_scope(context.scope(node).node)
    )


def _harmless(work: cst.BaseExpression, node: cst.Call, context: Context) -> bool:
    """Whether an awaitable's failure is no news: it cannot fail, only waits, or has another owner."""
    if isinstance(work, Comprehension) and not isinstance(work, cst.DictComp):
        return _harmless(work.elt, node, context)
    if isinstance(work, (cst.List, cst.Tuple, cst.Set)):
        return all(_harmless(item.value, node, context) for item in work.elements)
    if isinstance(work, cst.Name):
        return _owned_elsewhere(work, node, context)
    if not isinstance(work, cst.Call) or context.objects.function(work.func) in _OTHERS:
        return True
    started = spawn(context.objects, work)
    if started is not None and isinstance(started.work, cst.Call):
        work = started.work
    name = last_name(work.func)
    if name in _WAITS or closes(name):
        return True
    function = called(context.objects, work)
    if is_cleanup(context.tree, work, work):
        return True
    return function is not None and (_keeps(function) or guarded(function, context.objects.outline))


def _keeps(function: FunctionNode) -> bool:
    """Whether it is no coroutine but makes a task and keeps it: the task has an owner."""
    if isinstance(function, ast.AsyncFunctionDef):
        return False
    parts = list(ast.walk(function))
    made = any(
        isinstance(part, ast.Attribute) and part.attr in ("create_task", "ensure_future") for part in parts
    )
    stores = (part for part in parts if isinstance(part, (ast.Attribute, ast.Subscript)))
    return made and any(isinstance(part.ctx, ast.Store) for part in stores)


def _owned_elsewhere(name: cst.Name, node: cst.Call, context: Context) -> bool:
    """Whether a name holds work that this function did not make, or that it looks at apart from the gather."""
    owner = context.scope(name).owner(name.value)
    if owner is None or owner.kind != "function":
        return True
    bindings = owner.bindings[name.value]
    values = [item.value for item in bindings if item.kind == "assign"]
    if len(values) != len(bindings) or not all(_collection(item) for item in values):
        return True
    added: list[cst.BaseExpression] = []
    for read in loads(context.names, name):
        if context.flow.inside(read, node):
            continue
        item = _appended(read, context)
        if item is None:
            return True
        added.append(item)
    made = [item for item in values if item is not None and not _empty(item)]
    return all(_harmless(item, node, context) for item in (*made, *added))


def _collection(value: cst.BaseExpression | None) -> bool:
    return isinstance(
        value, (cst.List, cst.Set, cst.Tuple, cst.ListComp, cst.SetComp, cst.GeneratorExp, cst.Call)
    )


def _empty(value: cst.BaseExpression) -> bool:
    return isinstance(value, (cst.List, cst.Tuple)) and not value.elements


def _appended(read: cst.Name, context: Context) -> cst.BaseExpression | None:
    """What `tasks.append(item)` adds; None for any other use."""
    attribute = context.tree.parent(read)
    call = context.tree.parent(attribute) if attribute is not None else None
    match attribute, call:
        case cst.Attribute(attr=cst.Name(value="append" | "add")), cst.Call(args=[cst.Arg(value=item)]):
            return item
    return None
