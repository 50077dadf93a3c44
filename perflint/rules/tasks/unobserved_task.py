"""A task is kept on an object, and nothing ever looks at how it ended.

While a reference to a failed task lives, asyncio prints nothing: it still expects somebody to ask.
Kept in an attribute or a list that is only cancelled or emptied, the failure stays silent for as
long as the object lives, and a finished task holds its result in memory.

Bad:

    import asyncio


    class Feed:
        def start(self, pull):
            self._task = asyncio.create_task(pull())

        def stop(self):
            self._task.cancel()

Good:

    import asyncio


    class Feed:
        def start(self, pull):
            self._task = asyncio.create_task(pull())

        async def stop(self):
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

Found in a class that stores a task in `self.x`, or adds one to a container there, and in the whole
file only cancels it, tests it, or adds and discards it.

Not flagged: the attribute is awaited, gathered, handed to any call, returned, or read in a way that
is not known to look away; a done callback other than `discard` or `remove`; the task's function
catches every exception itself. Off by default: frameworks may look at the attribute elsewhere.

The fix adds a callback of the runtime that logs a failure. It is unsafe because it adds output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fates import bound_name, loads
from perflint.analysis.concurrency.guarded import called, guarded
from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.concurrency.supervision import watched
from perflint.analysis.gates import Gate
from perflint.analysis.rewrite import insert_after
from perflint.analysis.rule import Context, Rule
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

rule = Rule(
    code="PRF309",
    name="unobserved-task",
    summary="a task that is kept but never looked at hides its failure while the reference lives",
    category="tasks",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"create_task", b"ensure_future"),
        names=library.spellings(("asyncio.create_task", "asyncio.ensure_future")),
        imports=("asyncio",),
        inner=True,
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
    service=True,
)

_FORGETS = {"discard", "remove", "pop"}


class _Kept(NamedTuple):
    """A task that an attribute of the class holds."""

    attribute: str
    container: bool
    name: str | None  # how the spawning function may write the task


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, (cst.Name, cst.Attribute)):
        return
    started = spawn(context.objects, node)
    if started is None or started.how != "task" or started.name == "asyncio.run_coroutine_threadsafe":
        return
    if not isinstance(started.work, cst.Call) or is_cleanup(context.tree, started.work, started.work):
        return
    kept = _kept(node, context)
    if (
        kept is None
        or context.objects.home(node).owner is None
        or watched(context.facts.outline, kept.attribute)
    ):
        return
    function = called(context.objects, started.work)
    if function is not None and guarded(function, context.objects.outline):
        return
    message = (
        f"the task kept in `self.{kept.attribute}` never has its result read: a failure stays silent while "
        "the reference lives; await it, or log it in a done callback"
    )
    yield rule.finding(context, node, message, _fix(node, kept, context))


def _kept(node: cst.Call, context: Context) -> _Kept | None:
    """Where the class keeps the task: `self.x = task`, `self.x.add(task)`, `self.x[k] = task`."""
    parent = context.tree.parent(node)
    match parent:
        case cst.Assign(targets=[cst.AssignTarget(target=target)]) | cst.AnnAssign(target=target):
            if (attribute := _own(target)) is not None:
                return _Kept(attribute, False, f"self.{attribute}")
            if isinstance(target, cst.Subscript) and (attribute := _own(target.value)) is not None:
                return _Kept(attribute, True, None)
            return _through_local(node, context)
        case cst.Arg():
            attribute = _collects(context.tree.parent(parent))
            return _Kept(attribute, True, None) if attribute is not None else None
    return None


def _through_local(node: cst.Call, context: Context) -> _Kept | None:
    """`task = create_task(..)`, then `self.x.add(task)`; None where the local is used in any other way."""
    name = bound_name(context.names, node)
    found: set[str] = set()
    tree = context.tree
    for read in loads(context.names, name) if name is not None else ():
        parent = tree.parent(read)
        match parent:
            case cst.Arg() if (attribute := _collects(tree.parent(parent))) is not None:
                found.add(attribute)
            case cst.Attribute(attr=cst.Name(value="add_done_callback")) if _forgets(tree.parent(parent)):
                continue
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Subscript(value=value))]) if (
                parent.value is read and (attribute := _own(value)) is not None
            ):
                found.add(attribute)
            case _:
                return None
    return _Kept(found.pop(), True, name.value) if name is not None and len(found) == 1 else None


def _own(target: cst.CSTNode) -> str | None:
    match target:
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=attribute)):
            return attribute
    return None


def _collects(call: cst.CSTNode | None) -> str | None:
    """The attribute whose `add` or `append` a call is."""
    match call:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="add" | "append" | "appendleft"))):
            return _own(owner)
    return None


def _forgets(call: cst.CSTNode | None) -> bool:
    """`t.add_done_callback(self.x.discard)`, also as a lambda."""
    match call:
        case cst.Call(args=[cst.Arg(value=cst.Attribute(attr=cst.Name(value=method)))]):
            return method in _FORGETS
        case cst.Call(
            args=[cst.Arg(value=cst.Lambda(body=cst.Call(func=cst.Attribute(attr=cst.Name(value=method)))))]
        ):
            return method in _FORGETS
    return False


def _fix(node: cst.Call, kept: _Kept, context: Context) -> Fix | None:
    """Log the failure in a done callback, where the task has a name to say so."""
    line = context.tree.statement(node)
    if kept.name is None or not isinstance(line, cst.SimpleStatementLine) or context.flow.one_line(node):
        return None
    if context.scope(node).kind != "function":
        return None
    imported = runtime_import(context.source, context.facts.tree, context.config, "log_task_exception")
    if imported is None:
        return None
    expression, edit = imported
    added = insert_after(context.tree, line, f"{kept.name}.add_done_callback({expression})")
    edits: tuple[Edit, ...] = (added,) if edit is None else (edit, added)
    return Fix("Log the task's failure", edits, Applicability.UNSAFE)
