"""The garbage collector is switched off, and nothing (or not always something) switches it on again.

Without the collector, whatever is in a reference cycle stays: exceptions with their tracebacks, objects with
a parent, closures that name themselves. A process that runs on grows without limit. Where `gc.enable()`
follows, but not in a `finally`, one exception has the same effect.

Bad:

    import gc


    def load(path, read):
        gc.disable()
        rows = read(path)
        gc.enable()
        return rows

Good:

    import gc


    def load(path, read):
        gc.disable()
        try:
            rows = read(path)
        finally:
            gc.enable()
        return rows

`gc.set_threshold(0)` switches it off as well. For speed a higher threshold gains as much and keeps a limit:
`gc.set_threshold(50_000)`, or `perflint.runtime.tune_for_throughput()`, which watches memory too.

Not flagged: pairs in context managers and fixtures; a file in which another function switches it on or
collects, or that watches memory; a function that also freezes, ends the process or measures; what a switch
or the environment asks for; programs that a person starts and that end, benchmarks, MicroPython. In tests
it is info.

The fix puts the lines between the two calls into `try` and `finally`. It is unsafe: after an exception the
collector is on, which is the point.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.roles import closes
from perflint.analysis.connections.wrapping import enclosed
from perflint.analysis.exposure.values import call_at, value
from perflint.analysis.garbage import (
    Use,
    around,
    asked_for,
    function_of,
    in_finally,
    measures,
    measuring,
    microcontroller,
    short_program,
    uses,
    watched,
)
from perflint.analysis.gates import Gate
from perflint.analysis.outline import FunctionNode, Home, Outline, generates, leaf, own_nodes
from perflint.analysis.rule import Context, Rule
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

rule = Rule(
    code="PRF802",
    name="gc-disabled-unguarded",
    summary="the collector is switched off, and cyclic garbage grows without limit",
    category="gc",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=("gc.disable", "gc.set_threshold")),
    doc=__doc__,
    benchmark=None,
    service=True,
)

_ENDS = {"_exit", "abort", "execv", "execve", "execvp", "execvpe", "execl", "execlp"}
_SWITCHES = ("disable", "pause", "suspend", "_off")


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if context.names.qualified(node.func) not in ("gc.disable", "gc.set_threshold"):
        return
    outline, twin = context.facts.outline, call_at(context, node)
    if twin is None or not _switches_off(outline, twin.node) or _tolerable(context, twin.node):
        return
    function = function_of(outline, twin.node)
    every = uses(outline)
    if any(item.function is function and _earlier(item, twin.node, outline) for item in every):
        return
    severity = Severity.INFO if context.in_test else Severity.WARNING
    backs = [item for item in every if _switches_on(outline, item)]
    if not backs:
        if not _collects(outline, every, function) and not watched(outline) and not short_program(outline):
            yield rule.finding(context, node, _for_good(context, node), severity=severity)
        return
    back = _unguarded(outline, twin.node, function, backs)
    if back is not None:
        off, on = context.tree.shown(node), ast.unparse(back)
        message = f"an exception after `{off}` leaves the collector off; put `{on}` in a `finally`"
        yield rule.finding(context, node, message, _fix(context, node, back, backs), severity)


def _for_good(context: Context, node: cst.Call) -> str:
    return (
        f"`{context.tree.shown(node)}` is for good: nothing turns the collector on again or watches memory, and "
        "cyclic garbage grows without limit; raise the threshold, or use "
        f"`{context.config.runtime_module}.tune_for_throughput()`"
    )


def _switches_off(outline: Outline, call: ast.Call) -> bool:
    if outline.qualified(call.func) == "gc.disable":
        return True
    return bool(call.args) and value(outline, call.args[0], Home()) == 0 and _plain(call.args[0])


def _plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, bool)


def _switches_on(outline: Outline, use: Use) -> bool:
    if use.name == "set_threshold" and use.call is not None:
        return not _switches_off(outline, use.call)
    return use.name in ("enable", "set_threshold")


def _earlier(use: Use, call: ast.Call, outline: Outline) -> bool:
    """Whether another call before this one has switched it off already."""
    off = (
        use.call is not None and use.name in ("disable", "set_threshold") and _switches_off(outline, use.call)
    )
    return off and _place(use.node) < _place(call.func)


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _tolerable(context: Context, call: ast.Call) -> bool:
    outline = context.facts.outline
    if (measuring(outline) and not context.in_test) or microcontroller(outline) or asked_for(outline, call):
        return True
    function = function_of(outline, call)
    if function is None:
        return False
    name = function.name.lower()
    ends = any(leaf(item.func) in _ENDS for item in own_nodes(function) if isinstance(item, ast.Call))
    return ends or measures(function) or closes(function.name) or any(word in name for word in _SWITCHES)


def _collects(outline: Outline, every: tuple[Use, ...], function: FunctionNode | None) -> bool:
    """Whether the file collects by hand from time to time: in a loop, in another function, by a callback."""
    for use in every:
        if use.name == "collect":
            loops = (ast.For, ast.AsyncFor, ast.While)
            inside = [item for item in around(outline, use.node) if isinstance(item, (*loops, ast.Lambda))]
            if use.call is None or inside or use.function is not function:
                return True
    return False


def _unguarded(
    outline: Outline, off: ast.Call, function: FunctionNode | None, backs: list[Use]
) -> ast.Call | None:
    """The call that switches it on again in the same function, but not after an exception.

    None also for phases of a program that freeze what they leave: there the process ends with the phase.
    """
    freezes = any(item.function is function and item.name == "freeze" for item in uses(outline))
    if function is None or freezes or generates(function):
        return None
    mine = [item for item in backs if item.function is function]
    calls = [item.call for item in mine if item.call is not None]
    if not calls or len(calls) != len(mine) or min(map(_place, calls)) < _place(off):
        return None
    if any(in_finally(outline, item) or _in_handler(outline, item) for item in calls):
        return None
    between = (
        item for item in own_nodes(function) if isinstance(item, (ast.Call, ast.Await, ast.Return, ast.Raise))
    )
    first = min(calls, key=_place)
    risky = any(_place_of(off) < (item.lineno, item.col_offset) < _place(first) for item in between)
    return first if risky else None


def _place_of(call: ast.Call) -> tuple[int, int]:
    return call.end_lineno or call.lineno, call.end_col_offset or 0


def _in_handler(outline: Outline, node: ast.AST) -> bool:
    return any(isinstance(item, ast.ExceptHandler) for item in around(outline, node))


def _fix(context: Context, off: cst.Call, back: ast.Call, backs: list[Use]) -> Fix | None:
    """`try` and `finally` where both calls are statements of one block, on lines of their own."""
    tree = context.tree
    line = tree.parent(tree.parent(off) or off)
    block = tree.parent(line) if isinstance(line, cst.SimpleStatementLine) else None
    function = function_of(context.facts.outline, back)
    if not isinstance(block, cst.IndentedBlock) or sum(item.function is function for item in backs) > 1:
        return None
    body = list(block.body)
    start = body.index(line) + 1  # type: ignore[arg-type]
    place = context.source.offset(back.lineno, back.col_offset)
    index = next((at for at, item in enumerate(body) if tree.span(item).start == place), None)
    if (
        index is None
        or index <= start
        or len(getattr(body[index], "body", ())) != 1
        or context.flow.one_line(off)
    ):
        return None
    tried = enclosed(context, body[start], body[index - 1], "try:")
    ended = enclosed(context, body[index], body[index], "finally:")
    return Fix("Switch it on in a `finally`", (*tried, *ended), Applicability.UNSAFE)
