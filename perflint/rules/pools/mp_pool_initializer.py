"""An exception in the initializer of a `multiprocessing.Pool` respawns its workers for ever.

The worker dies, the pool starts another one, which dies as well, and so on; who waits for a result
waits for ever. ProcessPoolExecutor raises BrokenProcessPool at once.

Bad:

    from multiprocessing import Pool


    def connect():
        global connection
        connection = open_connection()


    def load_all(rows):
        with Pool(initializer=connect) as pool:
            return pool.map(load, rows)

Good:

    from concurrent.futures import ProcessPoolExecutor


    def connect():
        global connection
        connection = open_connection()


    def load_all(rows):
        with ProcessPoolExecutor(initializer=connect) as executor:
            return list(executor.map(load, rows))

Off by default: an audit for initializers that connect, read files or load models.

Not flagged: initializers that catch every Exception, that call nothing, or that are defined in
another file; `signal.signal`; thread pools; `initializer=None`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.guarded import guarded
from perflint.analysis.gates import Gate
from perflint.analysis.objects import argument
from perflint.analysis.outline import FunctionNode
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_SPELLINGS = library.spellings({library.PROCESS_POOL})


def _hopeful(sketch: Sketch) -> bool:
    made = [*sketch.calls("Pool"), *sketch.calls_to(*_SPELLINGS, *library.WRAPPERS)]
    return any(call.args or call.keywords for call in made)


rule = Rule(
    code="PRF416",
    name="mp-pool-initializer",
    summary="an exception in a Pool's initializer respawns workers for ever",
    category="pools",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".Pool",),
        names=_SPELLINGS,
        imports=("multiprocessing",),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not node.args:
        return
    made = context.objects.of(node)
    if made is None or made.type != library.PROCESS_POOL or len(made.calls) != 1:
        return
    given = argument(made.calls[0], "initializer", 1)
    function = (
        context.facts.outline.referred(given, context.objects.home(node)) if given is not None else None
    )
    if function is None or guarded(function) or not _may_fail(function, context):
        return
    message = (
        "an exception in this Pool initializer respawns workers for ever and callers hang; "
        f"use ProcessPoolExecutor(initializer=...), which fails fast, or catch it in `{function.name}`"
    )
    yield rule.finding(context, node, message)


def _may_fail(function: FunctionNode, context: Context) -> bool:
    """Whether the initializer calls anything but `signal.signal` and what a decorator hides."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return any(not (context.facts.outline.qualified(call.func) or "").startswith("signal.") for call in calls)
