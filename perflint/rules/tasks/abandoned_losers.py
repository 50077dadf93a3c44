"""The first of several tasks has answered, and the others are left to run.

`asyncio.wait` with a timeout or FIRST_COMPLETED cancels nothing: what is still pending goes on, with
its side effects and its connections, and its failure is seen by nobody. Leaving a loop over
`as_completed` early does the same.

Bad:

    import asyncio


    async def fastest(mirrors, fetch):
        races = [asyncio.create_task(fetch(mirror)) for mirror in mirrors]
        done, _ = await asyncio.wait(races, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

Good:

    import asyncio


    async def fastest(mirrors, fetch):
        races = [asyncio.create_task(fetch(mirror)) for mirror in mirrors]
        done, pending = await asyncio.wait(races, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return done.pop().result()

Found where the tasks are made in the same function and nothing else is done with them.

Not flagged: the pending ones are cancelled, awaited, kept or passed on, be it by their own names;
tasks that come from a parameter or an attribute (their owner is elsewhere) or belong to a TaskGroup;
`wait_for`, which cancels what it waits for; a coroutine that the file hands to `asyncio.run`, which
cancels what is left; waiting for one task, which may go on when the time is over. For `concurrent.futures.wait` it is only noted, and not
inside `with` of the executor, which waits for all.

The fix cancels what is pending. It is unsafe: the tasks no longer run to their end.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import coroutine, entry
from perflint.analysis.concurrency.fates import loads
from perflint.analysis.concurrency.races import EARLY, WAITS, made_here, may_lose
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.gates import Gate
from perflint.analysis.names import Scope
from perflint.analysis.rewrite import indentation, insert_after
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, Function, Loop, children
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

_COMPLETED = library.spellings(("asyncio.as_completed",))
_INLINE = (ast.List, ast.Set, ast.Tuple, ast.ListComp, ast.SetComp, ast.GeneratorExp)


def _hopeful(sketch: Sketch) -> bool:
    completed = {call for call in sketch.calls_to(*_COMPLETED) if isinstance(call.args[0], _INLINE)}
    return may_lose(sketch) or any(getattr(loop, "iter", None) in completed for loop in sketch.loops)


rule = Rule(
    code="PRF312",
    name="abandoned-losers",
    summary="tasks that lost a race or missed a deadline are left running",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=library.spellings(WAITS) + _COMPLETED, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)  # fmt: skip


@rule.visits(cst.Call)
def check_wait(node: cst.Call, context: Context) -> Iterator[Finding]:
    function = (
        context.objects.function(node.func) if isinstance(node.func, (cst.Name, cst.Attribute)) else None
    )
    how = _early(node, context) if function in WAITS and node.args and not node.args[0].star else None
    if how is None or function is None or not _second_dropped(node, function, context):
        return
    function_around = coroutine(context.tree, node)
    if _single(node.args[0].value) or not made_here(context, node.args[0].value, node):
        return
    if function_around is not None and entry(context.objects, function_around):
        return
    message = (
        f"tasks left pending by `{function}({how})` are neither cancelled nor awaited; "
        "cancel each one in the second set that it returns"
    )
    threads = function == "concurrent.futures.wait"
    fix = None if threads else _fix(node, context)
    yield rule.finding(context, node, message, fix, Severity.INFO if threads else None)


@rule.visits(cst.For)
def check_as_completed(node: cst.For, context: Context) -> Iterator[Finding]:
    match node.iter:
        case cst.Call(func=function, args=[cst.Arg(value=tasks, star="", keyword=None), *_]):
            pass
        case _:
            return
    if context.objects.function(function) != "asyncio.as_completed" or not _inline(tasks, context):
        return
    leaving = next(_exits(node), None)
    if leaving is not None:
        yield rule.finding(
            context,
            leaving,
            "tasks left pending by leaving `asyncio.as_completed` early are neither cancelled nor awaited; "
            "name the tasks before the loop and cancel them after it",
        )


def _early(node: cst.Call, context: Context) -> str | None:
    """How the wait may end before all tasks have."""
    for word, item in zip(("timeout", "return_when"), node.args[1:], strict=False):
        name = item.keyword.value if item.keyword is not None else word
        written = context.tree.code(item.value)
        if name == "timeout" and written != "None":
            return f"timeout={written}" if len(written) < 40 and "\n" not in written else "timeout=.."
        if name == "return_when" and written.rpartition(".")[2] in EARLY:
            return f"return_when={written.rpartition('.')[2]}"
    return None


def _single(tasks: cst.BaseExpression) -> bool:
    """Whether it waits for one task: that one may well go on when the time is over."""
    match tasks:
        case cst.List(elements=[item]) | cst.Set(elements=[item]) | cst.Tuple(elements=[item]):
            return isinstance(item, cst.Element) and not isinstance(item.value, cst.Call)
    return False


def _second_dropped(node: cst.Call, function: str, context: Context) -> bool:
    """Whether nothing reads the second of the two sets that the wait returns."""
    tree = context.tree
    value: cst.CSTNode = node
    if function == "asyncio.wait":
        value = tree.parent(node) or node
        if not isinstance(value, cst.Await):
            return False
    parent = tree.parent(value)
    match parent:
        case cst.Expr():
            return True
        case cst.Assign(
            targets=[
                cst.AssignTarget(target=cst.Tuple(elements=[_, cst.Element(value=cst.Name() as second)]))
            ]
        ):
            return _unread(second, context)
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as both)]):
            return _unread(both, context)
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.Integer(value="0")))]):
            return True
        case cst.Attribute(attr=cst.Name(value="done")):
            return True
    return False


def _unread(name: cst.Name, context: Context) -> bool:
    owner = context.scope(name).owner(name.value)
    if owner is None or owner.kind != "function" or context.flow.introspected(owner):
        return False
    return not loads(context.names, name)


def _inline(tasks: cst.BaseExpression, context: Context) -> bool:
    """Whether the tasks are made in the call, so that nothing else can refer to them."""
    match tasks:
        case cst.List(elements=elements) | cst.Set(elements=elements) | cst.Tuple(elements=elements):
            return len(elements) > 1 and all(_fresh(item.value, context) for item in elements)
    return (
        isinstance(tasks, Comprehension)
        and not isinstance(tasks, cst.DictComp)
        and _fresh(tasks.elt, context)
    )


def _fresh(work: cst.BaseExpression, context: Context) -> bool:
    started = spawn(context.objects, work)
    if started is not None:
        return started.how in ("task", "loop-executor")
    if not isinstance(work, cst.Call) or context.objects.function(work.func) in (
        "asyncio.shield",
        "asyncio.wrap_future",
    ):
        return False
    return not isinstance(work.func, cst.Attribute) or work.func.attr.value not in (
        "create_task",
        "submit",
        "start_soon",
        "spawn",
    )


def _exits(loop: cst.For) -> Iterator[cst.CSTNode]:
    """The `break` and `return` statements that leave the loop early."""
    stack: list[tuple[cst.CSTNode, bool]] = [(loop.body, True)]
    while stack:
        node, own = stack.pop()
        if isinstance(node, cst.Return) or (isinstance(node, cst.Break) and own):
            yield node
        if isinstance(node, (*Function, cst.ClassDef)):
            continue
        own = own and not isinstance(node, Loop)
        stack.extend((child, own) for child in reversed(children(node)))


def _fix(node: cst.Call, context: Context) -> Fix | None:
    """Name the second set, and cancel what is in it."""
    tree = context.tree
    line = tree.statement(node)
    if not isinstance(line, cst.SimpleStatementLine) or context.flow.one_line(node):
        return None
    match line.body[0]:
        case cst.Assign(
            targets=[
                cst.AssignTarget(target=cst.Tuple(elements=[_, cst.Element(value=cst.Name() as second)]))
            ]
        ):
            pass
        case _:
            return None
    name = second.value if second.value != "_" else _free("pending", context.scope(node))
    if name is None or _free("task", context.scope(node)) is None:
        return None
    margin = indentation(tree, line)
    step = "\t" if margin.endswith("\t") else "    "
    cancel = insert_after(tree, line, f"for task in {name}:\n{margin}{step}task.cancel()")
    edits = (cancel,) if name == second.value else (Edit(tree.span(second), name), cancel)
    return Fix("Cancel the tasks that are still pending", edits, Applicability.UNSAFE)


def _free(name: str, scope: Scope) -> str | None:
    words = (scope, *scope.within())
    used = any(name in item.bindings or name in item.reads or name in item.declared for item in words)
    return None if used else name
