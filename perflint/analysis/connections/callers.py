"""Who calls what, how often: functions of the file that are called once per item, calls that run in a row."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.roles import may_handle
from perflint.analysis.connections import clients
from perflint.analysis.connections.clients import CALLS
from perflint.analysis.connections.hosts import names_a_place
from perflint.analysis.outline import Definition, FunctionNode, leaf, own_nodes
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

MAPS = {"map", "imap", "imap_unordered", "starmap", "map_async"}
RUNNERS = MAPS | {"submit", "apply_async", "to_thread", "run_in_executor", "run_sync"}
_CALLING = MAPS - {"map_async"}
_ATTEMPT = re.compile(r"(^_$|attempt|retry|retries|tries|trial)")


def asking(*functions: str) -> Callable[[Sketch], bool]:
    """A gate's question: whether one of the functions is called in a loop, or by what it is handed to.

    Where the library has sessions, calls outside of loops count too, in what may be a handler.
    """
    elsewhere = tuple(name for name in functions if CALLS.get(name) is not clients.URLLIB)

    def hopeful(sketch: Sketch) -> bool:
        if not set(sketch.calls_to(*functions)).isdisjoint(sketch.repeated(ast.Call)):
            return True
        work = (item for call in sketch.calls(*RUNNERS) for item in call.args[:2])
        parts = [part for item in work for part in ast.walk(item) if isinstance(part, ast.expr)]
        if sketch.names_any(parts, functions):
            return True
        return bool(sketch.calls_to(*elsewhere)) and may_handle(sketch)

    return hopeful


def called_per_item(context: Context, function: FunctionNode, hosts: bool = True) -> bool:
    """Whether a `for` or comprehension calls the function with its variable, or `map` does for each item.

    Without `hosts`, loops over what stands for a host of its own, `for server in servers`, do not count.
    """
    outline = context.facts.outline
    homes = dict(outline.calls)
    if any(
        _mapped(call) and outline.referred(call.args[0], home) is function for call, home in outline.calls
    ):
        return True
    for names, parts in _loops(context.facts.tree):
        if not hosts and names_a_place(names):
            continue
        for part in parts:
            for node in (part, *own_nodes(part)) if not isinstance(part, Definition) else ():
                if isinstance(node, ast.Call) and node in homes and names & _names(_given(node)):
                    called = (node.func, *node.args[:2])  # `submit(f, x)`, `run_in_executor(None, f, x)`
                    if any(outline.referred(item, homes[node]) is function for item in called):
                        return True
    return False


def plain_calls(context: Context, body: cst.CSTNode) -> Iterator[cst.Call]:
    """The calls in a function that run one after the other each time: in no branch and no loop."""
    branches = (cst.If, cst.IfExp, cst.ExceptHandler, cst.MatchCase, cst.For, cst.While, cst.BaseComp)
    for part in walk_scope(body):
        if isinstance(part, cst.Call):
            above = context.tree.ancestors(part)
            held = next((item for item in above if item is body or isinstance(item, branches)), None)
            if held is body:
                yield part


def handed_function(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """The function that a `partial` or a `lambda` calls."""
    match node:
        case cst.Call(func=function, args=[cst.Arg(value=first), *_]):
            return first if context.names.qualified(function) == "functools.partial" else node
        case cst.Lambda(body=cst.Call() as call):
            while isinstance(call.func, cst.Attribute) and isinstance(call.func.value, cst.Call):
                call = call.func.value  # `requests.get(u).json()`
            return call.func
    return node


def _mapped(call: ast.Call) -> bool:
    return leaf(call.func) in _CALLING and bool(call.args)


def _loops(tree: ast.Module) -> Iterator[tuple[set[str], Iterable[ast.AST]]]:
    """What each `for` and comprehension binds in its turns, and the code that runs in them."""
    for node in ast.walk(tree):
        match node:
            case ast.For(target=target, body=body) | ast.AsyncFor(target=target, body=body):
                parts: list[ast.AST] = list(body)
                bound = _names([target])
            case ast.ListComp(elt=elt, generators=clauses) | ast.SetComp(elt=elt, generators=clauses):
                parts, bound = [elt], _names([item.target for item in clauses])
            case ast.GeneratorExp(elt=elt, generators=clauses) | ast.DictComp(value=elt, generators=clauses):
                parts, bound = [elt], _names([item.target for item in clauses])
            case _:
                continue
        if not any(_ATTEMPT.search(name) for name in bound):
            yield bound | _assigned(parts), parts


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(item.value for item in call.keywords)]


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def _assigned(parts: Iterable[ast.AST]) -> set[str]:
    stored = (part for item in parts for part in ast.walk(item) if isinstance(part, ast.Name))
    return {part.id for part in stored if isinstance(part.ctx, ast.Store)}
