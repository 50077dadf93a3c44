"""`gc.collect()` runs once per item or per request.

A full collection visits every container that is alive, whatever there is to free: with a heap of some
hundred thousand objects that takes far longer than the work of most turns. What is in no cycle is freed
without it, at once, and for cycles the collector runs by itself.

Bad:

    import gc


    def handle_all(jobs, handle):
        for job in jobs:
            handle(job)
            gc.collect()

Good:

    def handle_all(jobs, handle):
        for job in jobs:
            handle(job)

Looked at are loops over items, functions that a server calls for each request or message, its middleware,
`__del__`, and `__exit__` of connections and sessions. `gc.collect(1)` leaves old objects alone and is info. Only
with the option `pedantic`, as info: loops beside torch, pandas and the like, over batches or without an end,
handlers that let go of what these made, and tasks of a queue; there a turn takes long, and somebody has mostly thought about it.

Not flagged: tests and code that measures; collections that a counter, a clock, the memory in use or an error
lets through; `gc.collect(0)`; a result that is used; `while gc.collect(): pass`; before `gc.freeze()` or a
fork; loops that wait, poll, do nothing else or make a few turns; handlers whose name or path says that they free memory;
MicroPython, where nothing is freed without it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.fates import forgotten
from perflint.analysis.database.items import per_item
from perflint.analysis.exposure.guards import guarded
from perflint.analysis.exposure.routes import routes
from perflint.analysis.exposure.values import call_at
from perflint.analysis.garbage import (
    long_turn,
    may_be_served,
    measuring,
    microcontroller,
    reads_gauges,
    served,
    throttled,
    waits,
)
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.outline import FunctionNode, decorators
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Function, walk_scope
from perflint.model.diagnostics import Finding, Severity


def _hopeful(sketch: Sketch) -> bool:
    calls = set(sketch.calls_to("gc.collect"))
    listed = [node.elt for node in sketch.of(ast.ListComp)] + [node.elt for node in sketch.of(ast.SetComp)]
    if calls.isdisjoint(listed) and not forgotten(sketch, calls):
        return False
    return not calls.isdisjoint(sketch.repeated(ast.Call)) or may_be_served(sketch, *_AT_THE_END)


rule = Rule(
    code="PRF801",
    name="gc-collect-in-loop",
    summary="`gc.collect()` per item or request walks the whole heap each time",
    category="gc",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(names=("gc.collect",), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(
        setup="""
        heap = [[i] for i in range(n)]  # what is alive beside the loop
        jobs = range(20)


        def handle(job):  # work of about a millisecond
            return [str(number) for number in range(10_000)]
        """,
        call="handle_all(jobs, handle)",
        sizes=(1_000, 10_000, 100_000),
    ),
    tests=False,
)

_HEAVY = {
    *(
        "torch",
        "tensorflow",
        "keras",
        "jax",
        "cupy",
        "paddle",
        "mxnet",
        "transformers",
        "diffusers",
        "sklearn",
    ),
    *("pandas", "polars", "numpy", "matplotlib", "cv2", "PIL", "xarray", "rasterio", "h5py", "onnxruntime"),
}
_RELEASES = {"empty_cache", "clear_session", "close", "clf", "clear_cache", "reset_default_graph", "reset"}
_PURPOSE = re.compile(
    r"(gc|garbage|collect|mem(ory)?|free|clean|purge|flush|clear|reset|unload|release|evict|shutdown|stop|reload|"
    r"restart|admin|debug|profil|diag|maintenance|heap|dump|leak|trim|teardown)",
    re.I,
)
_TASKS = {"task", "shared_task", "actor", "job", "db_task"}
_PERIODIC = {"periodic_task", "db_periodic_task", "on_after_configure", "scheduled_job", "repeat_every"}
_POOLED = re.compile(r"(conn(ection)?|session|cursor|lease|pooled\w*)$", re.I)
_AT_THE_END = ("__del__", "__exit__", "__aexit__")
_NEXT = {"freeze", "fork", "forkpty"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if context.names.qualified(node.func) != "gc.collect" or not _discarded(node, context):
        return
    generation = _generation(node)
    if generation is None or generation == 0 or _special(node, context):
        return
    found = _in_loop(node, context) or _in_function(node, context)
    if found is None:
        return
    where, severity = found
    if severity is Severity.INFO and not context.config.pedantic:
        return
    whole = generation > 1
    heap = "the whole heap" if whole else "the young objects"
    message = f"`{context.tree.shown(node)}` walks {heap} {where}; drop it, or run it once between jobs"
    yield rule.finding(context, node, message, severity=severity if whole else Severity.INFO)


def _discarded(node: cst.Call, context: Context) -> bool:
    match context.tree.parent(node):
        case cst.Expr():
            return True
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="_"))]):
            return True
    return isinstance(context.tree.parent(node), (cst.ListComp, cst.SetComp))


def _generation(node: cst.Call) -> int | None:
    """The oldest generation that the call collects; None where the text does not tell."""
    match node.args:
        case []:
            return 2
        case [cst.Arg(value=cst.Integer(value=text), star="")]:
            return int(text, 0)
    return None


def _special(node: cst.Call, context: Context) -> bool:
    """Whether the collection is wanted: measurements, a switch, a fork, another Python."""
    outline = context.facts.outline
    twin = call_at(context, node)
    if measuring(outline) or microcontroller(outline) or (twin is None or guarded(outline, twin.node)):
        return True
    block = context.tree.parent(context.tree.statement(node))
    after = [
        item
        for item in getattr(block, "body", ())
        if context.tree.span(item).start > context.tree.span(node).end
    ]
    calls = (part for item in after for part in walk_scope(item) if isinstance(part, cst.Call))
    return any(last_name(part.func) in _NEXT for part in calls)


def _in_loop(node: cst.Call, context: Context) -> tuple[str, Severity] | None:
    loop = per_item(context, node)
    if loop is None or throttled(context, node, loop) or reads_gauges(loop) or waits(loop):
        return None
    large = _heavy(context) or long_turn(context, node, loop)
    return "in each turn of this loop", Severity.INFO if large else Severity.WARNING


def _in_function(node: cst.Call, context: Context) -> tuple[str, Severity] | None:
    above = next((item for item in context.tree.ancestors(node) if isinstance(item, Function)), None)
    if not isinstance(above, cst.FunctionDef) or throttled(context, node, above) or reads_gauges(above.body):
        return None
    if context.flow.repeated(node) is not None:
        return None
    name = above.name.value
    tracks = "weakref" in context.facts.packages  # objects that die are what such a file is about
    if (name == "__del__" and not tracks) or (name in ("__exit__", "__aexit__") and _pooled(above, context)):
        where, large = f"each time `{name}` runs", False
    else:
        function = served(context, node)
        if function is None or _wanted(function, context):
            return None
        where, large = f"for each call of `{name}`", _is_task(function)
    large = large or _lets_go(above.body, context)
    return where, Severity.INFO if large else Severity.WARNING


def _heavy(context: Context) -> bool:
    return not context.facts.packages.isdisjoint(_HEAVY)


def _lets_go(part: cst.CSTNode, context: Context) -> bool:
    """Whether arrays, figures or models are let go there: `del`, `x = None`, `empty_cache()`."""
    if not _heavy(context):
        return False
    for item in walk_scope(part):
        match item:
            case cst.Del() | cst.Assign(value=cst.Name(value="None")):
                return True
            case cst.Call(func=function) if last_name(function) in _RELEASES:
                return True
    return False


def _pooled(function: cst.FunctionDef, context: Context) -> bool:
    owner = next((item for item in context.tree.ancestors(function) if isinstance(item, cst.ClassDef)), None)
    definition = context.objects.definition(function)
    name = owner.name.value if owner is not None else ""
    if not name and definition is not None:
        held = context.facts.outline.homes[definition].owner
        name = held.name if held is not None else ""
    return bool(_POOLED.search(name))


def _wanted(function: FunctionNode, context: Context) -> bool:
    """Whether freeing memory is what the handler is for, or a clock calls it."""
    route = routes(context.facts.outline).get(function)
    path = route.path if route is not None else None
    named = _PURPOSE.search(function.name) or _PURPOSE.search(path or "")
    return bool(named or decorators(function) & _PERIODIC)


def _is_task(function: FunctionNode) -> bool:
    return bool(decorators(function) & _TASKS)
