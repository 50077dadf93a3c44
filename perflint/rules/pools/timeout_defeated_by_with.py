"""A timeout inside `with ThreadPoolExecutor()` that cannot take effect.

The call gives up in time, but leaving the block calls `shutdown(wait=True)`, which waits for every
task. The caller is kept for as long as the slowest task takes.

Bad:

    from concurrent.futures import ThreadPoolExecutor


    def fetch_soon(url):
        with ThreadPoolExecutor() as executor:
            return executor.submit(fetch, url).result(timeout=5)

Good:

    from concurrent.futures import ThreadPoolExecutor


    def fetch_soon(url):
        executor = ThreadPoolExecutor()
        try:
            return executor.submit(fetch, url).result(timeout=5)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

Found for `result`, `exception`, `wait`, `as_completed` and `Executor.map` on work of that executor.
A thread goes on to its end in any case; pass the deadline to what it waits for, too.

Not flagged: no timeout or None (also a parameter whose default is None), polling in a `while`,
futures that `as_completed` gave, blocks that end the work (`shutdown(wait=False)`, `terminate()`,
`kill()`, `event.set()`), executors that the block did not open. Where the task takes the same
timeout itself, this is info.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.carriers import carriers, carries
from perflint.analysis.concurrency.guarded import referred
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, is_name
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk, walk_scope
from perflint.model.diagnostics import Finding, Severity

_SPELLINGS = library.spellings(library.EXECUTORS)
_WAITS = {"concurrent.futures.wait": 1, "concurrent.futures.as_completed": 1}  # the timeout's position


def _hopeful(sketch: Sketch) -> bool:
    made = sketch.calls_to(*_SPELLINGS, *library.WRAPPERS)
    if set(sketch.entered).isdisjoint(made):
        return False
    asks, waits = sketch.calls("result", "exception"), sketch.calls_to(*library.spellings(_WAITS))
    named = (word.arg for call in (*asks, *waits, *sketch.calls("map")) for word in call.keywords)
    return "timeout" in named or any(call.args for call in asks) or any(call.args[1:] for call in waits)


rule = Rule(
    code="PRF411",
    name="timeout-defeated-by-with",
    summary="leaving `with ThreadPoolExecutor()` waits for every task, whatever the timeout",
    category="pools",
    severity=Severity.ERROR,
    since="0.1",
    fix="never",
    gate=Gate(names=_SPELLINGS, imports=("concurrent",), sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
)

_ENDS = {
    "terminate",
    "kill",
    "set",
    "stop",
    "abort",
    "interrupt",
    "_exit",
    "terminate_workers",
    "kill_workers",
}


@rule.visits(cst.With)
def check(node: cst.With, context: Context) -> Iterator[Finding]:
    if node.asynchronous is not None:
        return
    for item in node.items:
        kind = context.objects.type(item.item) if isinstance(item.item, cst.Call) else None
        place = dotted(item.asname.name) if item.asname is not None else None
        if kind in library.EXECUTORS and place is not None and not _ends_the_work(node):
            yield from _defeated(node, place, kind.rpartition(".")[2], context)


def _defeated(block: cst.With, place: str, kind: str, context: Context) -> Iterator[Finding]:
    starts = partial(_starts, place=place)
    if not any(starts(node) for node in walk_scope(block.body)):
        return
    pending = carriers(block.body, starts, lambda iterable: not _finished(iterable, context))
    message = (
        f"leaving `with {kind}` waits for every task, so this timeout cannot take effect; "
        "use try/finally with `shutdown(wait=False, cancel_futures=True)`"
    )
    if context.config.target.low < (3, 9):
        message = message.replace(", cancel_futures=True", "")
    for call in walk_scope(block.body):
        timeout = _timeout(call, place, pending, context)
        if timeout is None or _maybe_none(timeout, context) or _polls(call, block, context):
            continue
        text = context.tree.code(timeout)
        shared = any(starts(node) and _takes(node, text, call, context) for node in walk_scope(block.body))
        yield rule.finding(context, call, message, severity=Severity.INFO if shared else None)


def _starts(node: cst.CSTNode, place: str) -> bool:
    match node:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value="submit" | "map"))):
            return dotted(receiver) == place
        case cst.Call(
            func=cst.Attribute(attr=cst.Name(value="run_in_executor")), args=[cst.Arg(value=first), *_]
        ):
            return dotted(first) == place
    return False


def _timeout(call: cst.CSTNode, place: str, pending: set[str], context: Context) -> cst.BaseExpression | None:
    """The timeout of a call that waits for work of the executor."""
    starts = partial(_starts, place=place)
    match call:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value="result" | "exception"))):
            if carries(receiver, pending, starts) and not isinstance(receiver, cst.Await):
                return _argument(call, 0)
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="map"))) if starts(call):
            return _argument(call, None)
        case cst.Call(args=[cst.Arg(value=first), *_]):
            position = _WAITS.get(context.objects.function(call.func) or "")
            if position is not None and carries(first, pending, starts):
                return _argument(call, position)
    return None


def _argument(call: cst.Call, position: int | None) -> cst.BaseExpression | None:
    for index, item in enumerate(call.args):
        if item.keyword is not None:
            if item.keyword.value == "timeout":
                return item.value
        elif item.star:
            return None
        elif index == position:
            return item.value
    return None


def _maybe_none(timeout: cst.BaseExpression, context: Context) -> bool:
    """Whether the timeout is None, or a parameter that is None unless somebody sets it."""
    if not isinstance(timeout, cst.Name):
        return False
    if timeout.value == "None":
        return True
    for binding in context.names.bindings(timeout):
        match binding.node:
            case cst.Param(default=cst.Name(value="None")):
                return True
            case cst.Param(annotation=cst.Annotation(annotation=kind)):
                return any(
                    isinstance(part, cst.Name) and part.value in ("None", "Optional") for part in walk(kind)
                )
    return False


def _polls(call: cst.CSTNode, block: cst.With, context: Context) -> bool:
    """Whether the call is asked again and again until the work is done."""
    return any(isinstance(above, cst.While) for above in context.tree.ancestors(call, block))


def _finished(iterable: cst.CSTNode, context: Context) -> bool:
    """Whether the iterable gives only futures that are done."""
    return any(
        isinstance(node, cst.Call)
        and context.objects.function(node.func) == "concurrent.futures.as_completed"
        for node in walk(iterable)
    )


def _ends_the_work(block: cst.With) -> bool:
    """Whether the block does something to end its tasks, or the program."""
    for node in walk_scope(block.body):
        match node:
            case cst.Call(func=cst.Attribute(attr=cst.Name(value="shutdown")), args=args):
                if any(is_name(item.value, "False") for item in args):
                    return True
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=method))) if method in _ENDS:
                return True
    return False


def _takes(start: cst.CSTNode, timeout: str, call: cst.CSTNode, context: Context) -> bool:
    """Whether the task itself is given the timeout, or looks at the same name for its own."""
    if not isinstance(start, cst.Call):
        return False
    given = start.args[1:] if start is not call else ()
    if any(context.tree.code(item.value) == timeout for item in given):
        return True
    function = referred(context.objects, start.args[0].value) if start.args else None
    return function is not None and any(
        isinstance(node, ast.Name) and node.id == timeout for item in function.body for node in ast.walk(item)
    )
