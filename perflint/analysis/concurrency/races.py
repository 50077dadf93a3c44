"""Whether tasks are made in a function, and nothing there but the one wait takes care of them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.fates import loads, unread
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.library import spellings
from perflint.analysis.match import dotted
from perflint.analysis.outline import is_none, leaf
from perflint.analysis.sketch import Sketch

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

WAITS = ("asyncio.wait", "concurrent.futures.wait")
EARLY = ("FIRST_COMPLETED", "FIRST_EXCEPTION")
_SPELLED = spellings(WAITS)
# What one may ask a task without taking care of it.
_ASKS = {"result", "exception", "done", "cancelled", "get_name", "set_name", "add_done_callback"}


def made_here(context: Context, tasks: cst.BaseExpression, wait: cst.Call) -> bool:
    """Whether all of `tasks` are made in the function of `wait`, and every other use of them only looks."""
    match tasks:
        case cst.List(elements=elements) | cst.Set(elements=elements) | cst.Tuple(elements=elements):
            return bool(elements) and all(made_here(context, item.value, wait) for item in elements)
        case cst.Call():
            return _makes(tasks, context)
        case cst.Name():
            return _local_tasks(tasks, wait, context)
    if isinstance(tasks, (cst.ListComp, cst.SetComp, cst.GeneratorExp)):
        return _makes(tasks.elt, context)
    return False


def _makes(work: cst.BaseExpression, context: Context) -> bool:
    """Whether the expression starts a task (or future) that only its result refers to."""
    started = spawn(context.objects, work)
    if started is None or started.name == "asyncio.run_coroutine_threadsafe":
        return False
    if started.how == "executor" and isinstance(started.call.func, cst.Attribute):
        return not _in_with(started.call.func.value, context)
    if started.name == "asyncio.ensure_future" and not isinstance(started.work, cst.Call):
        return False
    return started.how in ("task", "loop-executor")


def _in_with(executor: cst.BaseExpression, context: Context) -> bool:
    """Whether a `with` opens the executor: leaving it waits for all."""
    name = executor.value if isinstance(executor, cst.Name) else ""
    owner = context.scope(executor).owner(name)
    return owner is not None and any(isinstance(item.node, cst.WithItem) for item in owner.bindings[name])


def _local_tasks(name: cst.Name, wait: cst.Call, context: Context) -> bool:
    """Whether a local is bound once, to tasks made there, and every other use of it only looks."""
    owner = context.scope(name).owner(name.value)
    if owner is None or owner.kind != "function" or own_function(context.tree, wait) is not owner.node:
        return False
    bindings = owner.bindings[name.value]
    if len(bindings) != 1 or bindings[0].value is None or name.value in owner.declared:
        return False
    if not made_here(context, bindings[0].value, wait):
        return False
    return all(_only_looks(read, wait, context) for read in loads(context.names, name))


def _only_looks(read: cst.Name, wait: cst.Call, context: Context) -> bool:
    """Whether a read of the tasks leaves them as they are; the wait itself is one."""
    tree = context.tree
    if context.flow.inside(read, wait):
        return True
    parent = tree.parent(read)
    match parent:
        case cst.Attribute(attr=cst.Name(value=method)):
            threads = context.objects.function(wait.func) == "concurrent.futures.wait"
            return method in (
                _ASKS - {"result", "exception"} if threads else _ASKS
            )  # those wait for a thread
        case cst.Comparison() | cst.ComparisonTarget() | cst.Subscript():
            return True
        case cst.Arg():
            call = tree.parent(parent)
            return isinstance(call, cst.Call) and context.names.qualified(call.func) == "builtins.len"
        case cst.Element():
            return _bound_to_the_wait(parent, wait, context)
    return False


def _bound_to_the_wait(element: cst.CSTNode, wait: cst.Call, context: Context) -> bool:
    """`pair = [a, b]`, where `pair` is what is waited for."""
    display = context.tree.parent(element)
    match context.tree.parent(display) if display is not None else None:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            return dotted(wait.args[0].value) == name
    return False


def may_lose(sketch: Sketch) -> bool:
    """Whether a wait may end before all tasks have, and nothing in the region reads which are left."""
    early: set[ast.expr] = {call for call in sketch.calls_to(*_SPELLED) if _may_end_early(call)}
    early |= {node for node in sketch.of(ast.Await) if node.value in early}
    bound = (node.targets[0] for node in sketch.of(ast.Assign) if node.value in early)
    second = (item.elts[-1] if isinstance(item, ast.Tuple) else item for item in bound)
    parts = {node.value for node in sketch.of(ast.Expr)} | {node.value for node in sketch.of(ast.Subscript)}
    parts |= {node.value for node in sketch.of(ast.Attribute)}
    return not early.isdisjoint(parts) or any(
        isinstance(item, ast.Name) and unread(sketch, item.id) for item in second
    )


def _may_end_early(call: ast.Call) -> bool:
    for option in call.keywords:
        match option:
            case ast.keyword(arg=None):
                return True
            case ast.keyword(arg="timeout", value=value) if not is_none(value):
                return True
            case ast.keyword(arg="return_when", value=value) if leaf(value) in EARLY:
                return True
    return len(call.args) > 1
