"""Which coroutine runs a node itself, and where it gives way to other tasks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.objects import Objects
from perflint.analysis.outline import leaf
from perflint.analysis.tree import Function, Tree, walk_scope

_RUNS = re.compile(r"(^|_)run(_until_complete)?$")
_STARTS = {
    "create_task",
    "ensure_future",
    "gather",
    "TaskGroup",
    "start_soon",
    "start_server",
    "as_completed",
}
_BINDS_TIGHTER = (cst.Attribute, cst.Subscript, cst.Call, cst.Await)


def coroutine(tree: Tree, node: cst.CSTNode) -> cst.FunctionDef | None:
    """The `async def` whose own code holds `node`; None in nested functions, lambdas and sync code."""
    function = own_function(tree, node)
    return function if isinstance(function, cst.FunctionDef) and function.asynchronous is not None else None


def own_function(tree: Tree, node: cst.CSTNode) -> cst.FunctionDef | cst.Lambda | None:
    """The function or lambda whose own code holds `node`: its decorators, defaults and annotations do not count."""
    below = node
    for above in tree.ancestors(node):
        if isinstance(above, Function) and above.body is below:
            return above
        if isinstance(above, cst.ClassDef):
            return None
        below = above
    return None


def entry(objects: Objects, function: cst.FunctionDef) -> bool:
    """Whether the file hands the coroutine to `asyncio.run` or the like, which cancels what is left at its end."""
    node = objects.definition(function)
    for call, home in objects.outline.calls:
        match call:
            case ast.Call(
                func=ast.Attribute(attr=name) | ast.Name(id=name), args=[ast.Call(func=called), *_]
            ):
                if _RUNS.search(name) and objects.outline.referred(called, home) is node:
                    return True
    return False


def alone(objects: Objects) -> bool:
    """Whether the file runs its own loop and starts nothing in it: no other task is there to be held up."""
    called = {objects.outline.qualified(call.func) for call, _ in objects.outline.calls}
    last = {leaf(call.func) for call, _ in objects.outline.calls}
    return "asyncio.run" in called and last.isdisjoint(_STARTS)


def suspensions(body: cst.CSTNode, *, yields: bool = False) -> Iterator[cst.CSTNode]:
    """The nodes of `body`'s own code at which other tasks may run; with `yields`, those of a generator too."""
    for node in walk_scope(body):
        match node:
            case cst.Await():
                yield node
            case cst.For(asynchronous=cst.Asynchronous()) | cst.With(asynchronous=cst.Asynchronous()):
                yield node
            case cst.CompFor(asynchronous=cst.Asynchronous()):
                yield node
            case cst.Yield() if yields:
                yield node


def awaiting(tree: Tree, node: cst.BaseExpression, text: str) -> str:
    """`await text` as it may stand where `node` stands, in parentheses if need be."""
    parent = tree.parent(node)
    inner = parent.func if isinstance(parent, cst.Call) else getattr(parent, "value", None)
    if isinstance(parent, cst.Await):
        inner = parent.expression
    tight = (isinstance(parent, _BINDS_TIGHTER) and inner is node) or (
        isinstance(parent, cst.BinaryOperation) and isinstance(parent.operator, cst.Power)
    )
    return f"(await {text})" if tight and not node.lpar else f"await {text}"
