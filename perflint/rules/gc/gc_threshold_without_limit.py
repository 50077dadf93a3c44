"""The collector is tuned for speed, and nothing keeps the memory in bounds.

`gc.freeze()` takes all that is alive out of every later collection. Called again and again it also keeps
what only lived for one request: the cycles among it are never collected.

Bad:

    import gc

    from fastapi import FastAPI

    app = FastAPI()


    @app.get("/orders")
    def orders(rows):
        found = list(rows)
        gc.collect()
        gc.freeze()
        return found

Good:

    import gc

    from fastapi import FastAPI

    app = FastAPI()
    gc.collect()
    gc.freeze()


    @app.get("/orders")
    def orders(rows):
        return list(rows)

With the option `pedantic` two more are reported, as info: a threshold of 20,000 or more in a file that sets
no limit and looks at no memory (the collector counts containers and knows nothing of bytes, so cycles that
own large buffers pile up), and `gc.freeze()` without a `gc.collect()` before it, which keeps the garbage of
start-up for ever.

Not flagged: a threshold that is computed, or set back in the same file; `gc.freeze()` beside `gc.unfreeze()`,
in a `finally`, in a function that ends things, before a fork, or while the collector is off; tests,
benchmarks, programs that a person starts and that end.

The fixes are unsafe. A lone `gc.freeze()` gets a `gc.collect()` before it: a pause, and finalizers that
run. Where `runtime-fixes` is set, `tune_for_throughput()` takes the place of the threshold: it raises it,
freezes what is alive, and starts a thread that puts the usual thresholds back when memory runs short.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.roles import closes
from perflint.analysis.database.items import is_retry
from perflint.analysis.exposure.values import Call, call_at
from perflint.analysis.garbage import (
    Use,
    asked_for,
    forks,
    function_of,
    in_finally,
    measuring,
    number,
    served,
    short_program,
    throttled,
    uses,
    watched,
)
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.outline import Home
from perflint.analysis.rewrite import indentation
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sizes import Size
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF803",
    name="gc-threshold-without-limit",
    summary="the collector is tuned for speed, and nothing keeps the memory in bounds",
    category="gc",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=("gc.freeze", "gc.set_threshold")),
    doc=__doc__,
    benchmark=None,
    tests=False,
)

_HIGH = 20_000
_GEN0 = 50_000  # what `tune_for_throughput` sets by itself
_FORKS = {"fork", "forkpty", "start", "spawn", "Process"}
_OFF = {"disable", "unfreeze"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    name = context.names.qualified(node.func)
    if name not in ("gc.freeze", "gc.set_threshold"):
        return
    outline, twin = context.facts.outline, call_at(context, node)
    if twin is None or measuring(outline) or asked_for(outline, twin.node):
        return
    if name == "gc.freeze":
        yield from _freeze(node, twin.node, context)
    elif context.config.pedantic and not watched(outline) and not short_program(outline):
        yield from _threshold(node, twin, context)


def _freeze(node: cst.Call, twin: ast.Call, context: Context) -> Iterator[Finding]:
    outline, every = context.facts.outline, uses(context.facts.outline)
    function = function_of(outline, twin)
    ends = in_finally(outline, twin) or (function is not None and closes(function.name))
    if ends or any(item.name in _OFF for item in every):
        return
    where = _again(node, context)
    if where is not None:
        message = (
            f"`{context.tree.shown(node)}` keeps what is alive {where} for ever; call it once, at start-up"
        )
        yield rule.finding(context, node, message, severity=Severity.WARNING)
    elif context.config.pedantic and not forks(outline) and not _collected(every, twin, context):
        message = (
            f"`{context.tree.shown(node)}` without a collection before it keeps the garbage of start-up for ever; "
            "call `gc.collect()` first"
        )
        yield rule.finding(context, node, message, _collect_first(node, context))


def _again(node: cst.Call, context: Context) -> str | None:
    """When the call runs again and again: in a loop that makes no processes, for each request."""
    loop = context.flow.loop(node)
    if loop is not None:
        calls = (part for part in walk_scope(loop) if isinstance(part, cst.Call))
        few = isinstance(loop, cst.For) and context.sizes.repeats(loop) is Size.SMALL
        if few or is_retry(loop) or context.flow.runs_once(node, loop) or throttled(context, node, loop):
            return None
        return None if any(last_name(item.func) in _FORKS for item in calls) else "in each turn of this loop"
    function = served(context, node)
    above = context.tree.function(node)
    if function is None or above is None or throttled(context, node, above):
        return None
    return f"in each call of `{function.name}`"


def _collected(every: tuple[Use, ...], twin: ast.Call, context: Context) -> bool:
    function = function_of(context.facts.outline, twin)
    return any(
        item.name == "collect" and item.function is function and item.node.lineno <= twin.lineno
        for item in every
    )


def _collect_first(node: cst.Call, context: Context) -> Fix | None:
    match node, context.tree.parent(node):
        case cst.Call(func=cst.Attribute(value=cst.Name(value=module))), cst.Expr() if (
            not context.flow.one_line(node)
        ):
            statement = context.tree.statement(node)
            start = context.tree.span(statement).start
            text = f"{module}.collect()\n{indentation(context.tree, statement)}"
            return Fix("Collect before it", (Edit(Span(start, start), text),), Applicability.UNSAFE)
    return None


def _threshold(node: cst.Call, twin: Call, context: Context) -> Iterator[Finding]:
    outline = context.facts.outline
    first = twin.node.args[0] if twin.node.args else None
    count = number(outline, first, twin.home)
    if count is None or count < _HIGH or _set_back(context, count):
        return
    message = (
        f"`{context.tree.shown(node)}` collects rarely however much memory the garbage owns; "
        f"`{context.config.runtime_module}.tune_for_throughput()` does so while there is memory"
    )
    yield rule.finding(context, node, message, _tuned(node, count, context))


def _set_back(context: Context, count: int) -> bool:
    """Whether another call of the file sets another threshold, or one that is computed."""
    outline = context.facts.outline
    others = (item for item in uses(outline) if item.name in ("set_threshold", "get_threshold"))
    for item in others:
        if item.call is None or not item.call.args or number(outline, item.call.args[0], Home()) != count:
            return True
    return False


def _tuned(node: cst.Call, count: int, context: Context) -> Fix | None:
    if not isinstance(context.tree.parent(node), cst.Expr) or context.tree.comments(context.tree.span(node)):
        return None
    found = runtime_import(context.source, context.facts.tree, context.config, "tune_for_throughput")
    if found is None:
        return None
    name, added = found
    text = f"{name}()" if count == _GEN0 else f"{name}(gen0={count:_})"
    edits = (Edit(context.tree.span(node), text), *((added,) if added is not None else ()))
    return Fix("Tune it with a guard for memory", edits, Applicability.UNSAFE)
