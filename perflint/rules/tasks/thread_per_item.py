"""One thread or process per item, or per request: their number follows the load.

Each thread takes a stack and a slot of the system's table, each process a copy of the interpreter.
Under load the next start fails with "can't start new thread", in the middle of the batch. A pool of
fixed size runs the same work, and its queue takes the rest.

Bad:

    import threading


    def work_all(work, items):
        threads = []
        for item in items:
            thread = threading.Thread(target=work, args=(item,))
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

Good:

    from concurrent.futures import ThreadPoolExecutor


    def work_all(work, items):
        with ThreadPoolExecutor(max_workers=16) as pool:
            for _ in pool.map(work, items):
                pass

A service that must answer when it is full hands its work to a `WorkerPool` of `perflint.runtime`,
whose `submit` says whether there was room.

Not flagged: a few known items; as many threads as a name such as `n_workers` says; a fixed crew of
worker loops; a thread that is joined in the same turn; a slot taken first; clean-up; an object's
own parts that it starts once.

There is no fix: names, daemon flags and the order of joins all change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.admission import admitted
from perflint.analysis.concurrency.piles import few, one_at_a_time, piles, starts_up
from perflint.analysis.concurrency.roles import is_cleanup, may_handle
from perflint.analysis.concurrency.settled import settled
from perflint.analysis.concurrency.spawns import Spawn, spawn, starters
from perflint.analysis.gates import Gate
from perflint.analysis.library import PROCESS, THREADS, spellings
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_STARTS = b".start("


def _hopeful(sketch: Sketch) -> bool:
    started = starters(sketch)
    return bool(started) and (not started.isdisjoint(sketch.repeated(ast.Call)) or may_handle(sketch))


rule = Rule(
    code="PRF305",
    name="thread-per-item",
    summary="one thread or process per item, as many as there are items",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(_STARTS, b".Process("),
        names=(*spellings(THREADS | {PROCESS}), "_thread.start_new_thread"),
        imports=("threading", "multiprocessing", "_thread"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    found = spawn(context.objects, node)
    if found is None or found.how not in ("thread", "process"):
        return
    if found.made is not None and found.made.subclass is not None and not _started_near(node, context):
        return
    pile = next(piles(context, found), None)
    if pile is not None and not few(context, found, pile):
        level = Severity.INFO if pile.crowd(context, found) != "many" else None
        yield rule.finding(context, node, _message(found, "item"), severity=level)
    elif pile is None and context.flow.repeated(node) is None and _per_request(found, context):
        yield rule.finding(context, node, _message(found, "request"))


def _message(found: Spawn, what: str) -> str:
    kind = found.name.rpartition(".")[2] if found.how != "thread" or found.made else "thread"
    plural = "processes" if found.how == "process" else "threads"
    return f"one `{kind}` per {what}, with no limit to the number of {plural}; use a pool of fixed size"


def _started_near(node: cst.Call, context: Context) -> bool:
    """Whether the outermost function around starts something: an object of a class may be no more than kept."""
    at = context.tree.span(node).start
    around = (region for region in context.facts.regions if region.span.start <= at < region.span.end)
    parts = next(around, context.facts.module).parts
    return any(context.source.data.find(_STARTS, *part) >= 0 for part in parts)


def _per_request(found: Spawn, context: Context) -> bool:
    """Whether each call of a request handler starts it, and goes on without it."""
    node = found.call
    function = context.tree.function(node)
    if function is None or not context.roles.handler(context.objects.definition(function)):
        return False
    if starts_up(context, node) or is_cleanup(context.tree, node) or one_at_a_time(context, node, function):
        return False
    objects, flow = context.objects, context.flow
    return not settled(objects, flow, node, function) and not admitted(objects, flow, node, function)
