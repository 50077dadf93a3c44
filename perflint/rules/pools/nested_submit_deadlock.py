"""A task waits for another task of the same bounded pool: a deadlock once all workers do so.

Each waiting task holds a worker. When the last one waits, nobody is left to run what they wait
for, and the pool stands still for ever, with no error.

Bad:

    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(max_workers=4)


    def page(url):
        images = [executor.submit(image, link) for link in links(url)]
        return [future.result() for future in images]


    def crawl(urls):
        return list(executor.map(page, urls))

Good:

    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(max_workers=4)
    image_executor = ThreadPoolExecutor(max_workers=4)


    def page(url):
        images = [image_executor.submit(image, link) for link in links(url)]
        return [future.result() for future in images]


    def crawl(urls):
        return list(executor.map(page, urls))

Found for pools kept in a module's variable or in an attribute, in the submitted function itself and
in what it calls in this file, two calls deep.

Not flagged: tasks of another pool, futures that are returned or get a callback, coroutines, pools
in local variables, work that only the main thread waits for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.carriers import carriers, carries
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.gates import Gate
from perflint.analysis.match import is_name
from perflint.analysis.outline import FunctionNode, Home
from perflint.analysis.possible import calls_on, own
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, walk_scope
from perflint.model.diagnostics import Finding, Severity

_FUTURES = {"submit", "apply_async", "map_async", "starmap_async"}
_LAZY = {"imap", "imap_unordered"}
_BLOCKING = {"apply", "starmap"}
_SUBMITS = {*_FUTURES, *_LAZY, *_BLOCKING, "map"}
_POOLS = library.EXECUTORS | library.POOLS


def _hopeful(sketch: Sketch) -> bool:
    if not sketch.of(ast.FunctionDef):
        return False
    ended = [call for call in calls_on(sketch, library.POOLS, "join") if not call.args]
    ended += calls_on(sketch, library.EXECUTORS, "shutdown")
    pools = (call.func for call in (*ended, *calls_on(sketch, _POOLS, *_SUBMITS)))
    return any(isinstance(item, ast.Attribute) and _kept(item.value, sketch) for item in pools)


def _kept(pool: ast.expr, sketch: Sketch) -> bool:
    """Whether the place may be known to other functions."""
    match pool:
        case ast.Name(id=name):
            return not own(sketch, name)
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return True
    return False


rule = Rule(
    code="PRF413",
    name="nested-submit-deadlock",
    summary="a task that waits for another task of its own pool: a deadlock when all workers wait",
    category="pools",
    severity=Severity.ERROR,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".submit", b".map", b".starmap", b".imap", b".apply", b".join()", b".shutdown("),
        imports=("concurrent", "multiprocessing"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
)

_ENDS = {"result", "exception", "get", "wait", "as_completed"}
_DEPTH = 2  # calls between the submitted function and the one that waits


class _Place(NamedTuple):
    """A module's variable, or an attribute of a class: what two functions mean by the same name."""

    owner: ast.ClassDef | None
    name: str


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(attr=cst.Name(value=method)) if method in _SUBMITS | {"join", "shutdown"}:
            pass
        case _:
            return
    kind = context.objects.type(node.func.value)
    if kind not in library.EXECUTORS | library.POOLS:
        return
    function = own_function(context.tree, node)
    if not isinstance(function, cst.FunctionDef) or function.asynchronous is not None:
        return
    place, definition = _place(node.func.value, context), context.objects.definition(function)
    if place is None or definition is None or not _waits(node, method, kind, function, context):
        return
    task = _task(definition, place, context)
    if task is not None:
        pool = context.tree.code(node.func.value)
        yield rule.finding(
            context,
            node,
            f"task `{task.name}` waits for another task of its own pool `{pool}`: deadlock when all workers do so; "
            "use a second pool, or return the future",
        )


def _place(receiver: cst.BaseExpression, context: Context) -> _Place | None:
    match receiver:
        case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
            owner = context.objects.home(receiver).owner
            return _Place(owner, name) if owner is not None else None
        case cst.Name(value=name) if context.scope(receiver).owner(name) in (None, context.names.top):
            return _Place(None, name)
    return None


def _waits(node: cst.Call, method: str, kind: str, function: cst.FunctionDef, context: Context) -> bool:
    """Whether the function waits for the work that the call starts."""
    executor = kind in library.EXECUTORS
    if method == "shutdown":
        return executor and not any(is_name(item.value, "False") for item in node.args)
    if method == "join":
        return not executor and not node.args
    if method in _BLOCKING or (method == "map" and not executor):
        return not executor
    if method == "map" or method in _LAZY:
        return _iterated(node, context)
    starts = lambda part: part is node  # noqa: E731
    places = carriers(function.body, starts)
    return any(_asks(part, places, node) for part in walk_scope(function.body))


def _asks(part: cst.CSTNode, places: set[str], start: cst.Call) -> bool:
    starts = lambda node: node is start  # noqa: E731
    match part:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=name)), args=args) if (
            name in _ENDS
        ):
            return carries(receiver, places, starts) or any(
                carries(item.value, places, starts) for item in args
            )
        case cst.Call(func=cst.Name(value=name), args=args) if name in _ENDS:
            return any(carries(item.value, places, starts) for item in args)
    return False


def _iterated(node: cst.Call, context: Context) -> bool:
    """Whether the results are taken here, and not handed on."""
    parent = context.tree.parent(node)
    if isinstance(parent, (cst.For, cst.CompFor, cst.StarredElement, *Comprehension)):
        return True
    call = context.tree.parent(parent) if isinstance(parent, cst.Arg) else None
    return isinstance(call, cst.Call) and context.names.builtin(call.func) is not None


def _task(waiter: FunctionNode, place: _Place, context: Context) -> FunctionNode | None:
    """The function submitted to the pool that is the waiter, or that calls it."""
    outline = context.facts.outline
    submitted = [task for call, home in outline.calls if (task := _submitted(call, home, place, context))]
    for task in submitted:
        reached = [task]
        for _ in range(_DEPTH + 1):
            if any(item is waiter for item in reached):
                return task
            reached = [
                inner
                for call, home in outline.calls
                if home.function is not None and home.function in reached
                if (inner := outline.referred(call.func, home)) is not None
            ]
    return None


def _submitted(call: ast.Call, home: Home, place: _Place, context: Context) -> FunctionNode | None:
    """The function of this file that the call hands to the pool."""
    match call:
        case ast.Call(func=ast.Attribute(value=receiver, attr=method), args=[first, *_]) if (
            method in _SUBMITS
        ):
            if _same(receiver, home, place):
                return context.facts.outline.referred(first, home)
        case ast.Call(func=ast.Attribute(attr="run_in_executor"), args=[pool, first, *_]):
            if _same(pool, home, place):
                return context.facts.outline.referred(first, home)
    return None


def _same(receiver: ast.expr, home: Home, place: _Place) -> bool:
    match receiver:
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            return place == _Place(home.owner, name) and home.owner is not None
        case ast.Name(id=name):
            return place == _Place(None, name) and name not in home.bound
    return False
