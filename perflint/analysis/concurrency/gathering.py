"""What to write instead of a gather that leaves its siblings behind."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency import handlers
from perflint.analysis.concurrency.guarded import called
from perflint.analysis.rewrite import indentation, replace
from perflint.fixing.imports import import_edit, runtime_import
from perflint.model.diagnostics import Applicability, Fix

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context


def repair(context: Context, node: cst.Call, catchers: list[cst.ExceptHandler]) -> Fix | None:
    """A TaskGroup where nobody can tell its ExceptionGroup apart, else the runtime's gather."""
    if context.tree.comments(context.tree.span(node)):
        return None
    return _task_group(node, catchers, context) or _bounded(node, context)


def _task_group(node: cst.Call, catchers: list[cst.ExceptHandler], context: Context) -> Fix | None:
    tree = context.tree
    wide = all(handlers.is_wide(context.names, item) for item in catchers)
    if context.config.target.low < (3, 11) or not wide:
        return None
    line = tree.statement(node)
    works = [item.value for item in node.args if not item.star]
    if (
        not isinstance(line, cst.SimpleStatementLine)
        or context.flow.one_line(node)
        or len(works) < len(node.args)
    ):
        return None
    if not all(_coroutine(item, context) for item in works):
        return None
    targets = _targets(line.body[0], node, context)
    if targets is None or (targets and len(targets) != len(works)):
        return None
    names = [f"{item}_task" for item in targets]
    scope = context.scope(node)
    words = [scope, *scope.within()]
    taken = {"group", *names} & {
        name for item in words for name in (*item.bindings, *item.reads, *item.declared)
    }
    imported = import_edit(context.source, context.facts.tree, "asyncio", None)
    if taken or imported is None:
        return None
    expression, missing = imported
    margin = indentation(tree, line)
    step = "\t" if margin.endswith("\t") else "    "
    calls = [f"group.create_task({tree.code(item)})" for item in works]
    rows = [f"{name} = {call}" for name, call in zip(names, calls, strict=True)] if names else calls
    text = f"async with {expression}.TaskGroup() as group:" + "".join(
        f"\n{margin}{step}{row}" for row in rows
    )
    if names:
        text += f"\n{margin}{', '.join(targets)} = {', '.join(f'{name}.result()' for name in names)}"
    edit = replace(tree, line.body[0], text)
    edits = (edit,) if missing is None else (missing, edit)
    return Fix("Use a TaskGroup, which cancels the others", edits, Applicability.UNSAFE)


def _targets(small: cst.CSTNode, node: cst.Call, context: Context) -> list[str] | None:
    """The plain names that the results go to, none for a bare statement; None for anything else."""
    match small:
        case cst.Expr(value=cst.Await(expression=call)) if call is node:
            return []
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Tuple(elements=elements))], value=cst.Await(expression=call)
        ) if call is node:
            names = [item.value.value for item in elements if isinstance(item.value, cst.Name)]
            return names if len(names) == len(elements) == len(set(names)) and "_" not in names else None
    return None


def _coroutine(work: cst.BaseExpression, context: Context) -> bool:
    """Whether the call makes a coroutine of this file: a TaskGroup takes no other awaitable."""
    function = called(context.objects, work)
    return isinstance(function, ast.AsyncFunctionDef) and not function.decorator_list


def _bounded(node: cst.Call, context: Context) -> Fix | None:
    imported = runtime_import(context.source, context.facts.tree, context.config, "bounded_gather")
    if imported is None:
        return None
    expression, missing = imported
    code = context.tree.code
    match node.args:
        case [cst.Arg(star="*", value=cst.ListComp() as value)]:
            source, limit = f"({code(value)[1:-1]})", context.config.default_limit
        case [cst.Arg(star="*", value=value)]:
            source, limit = code(value), context.config.default_limit
        case args if not any(item.star for item in args):
            source, limit = f"({', '.join(code(item.value) for item in args)})", len(args)
        case _:
            return None
    edit = replace(context.tree, node, f"{expression}({source}, limit={limit})")
    edits = (edit,) if missing is None else (missing, edit)
    return Fix("Use bounded_gather, which cancels the others", edits, Applicability.UNSAFE)
