"""A full queue is caught, and nothing is done about it.

Overload must end somewhere: an item that finds no room is shed, handed on, or dropped and counted. Where
`queue.Full` is passed over, items vanish, and neither a log nor a metric says how many.

Bad:

    import queue


    class Metrics:
        def __init__(self):
            self.pending = queue.Queue(maxsize=1000)
            self.dropped = 0

        def record(self, sample):
            try:
                self.pending.put_nowait(sample)
            except queue.Full:
                pass

Good:

    import queue


    class Metrics:
        def __init__(self):
            self.pending = queue.Queue(maxsize=1000)
            self.dropped = 0

        def record(self, sample):
            try:
                self.pending.put_nowait(sample)
            except queue.Full:
                self.dropped += 1

A comment that says the drop is meant ("lossy", "best effort", "drop") makes it info.

Not flagged: handlers that do anything, a wake-up token or sentinel (`put_nowait(None)`: one in the queue is as
good as two), drop-oldest (`get_nowait` on the same queue), a queue of one slot, loops that try the same item again, code that tells
its caller whether the item went in. A blocking `put` with such a handler is PRF322's.

The fix writes a warning to the module's logger, where it has one. It is unsafe: under load it logs once per
item; a counter is better.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.handlers import caught, ends, is_silent, may_be_silent
from perflint.analysis.concurrency.loggers import module_logger
from perflint.analysis.concurrency.queueing import FULL, never_full, one_slot
from perflint.analysis.concurrency.waiting import waiting
from perflint.analysis.flow import bound_names
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, is_name, names_in, sole_small
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk, walk_scope
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

_FULL = {*FULL, "anyio.WouldBlock", "trio.WouldBlock"}
_SPELLINGS = library.spellings(_FULL)


def _hopeful(sketch: Sketch) -> bool:
    classes = [item.type for item in may_be_silent(sketch) if item.type is not None]
    classes += [part for item in sketch.entered if isinstance(item, ast.Call) for part in item.args]
    return bool(sketch.methods("put", "put_nowait", "send_nowait")) and sketch.names_any(classes, _SPELLINGS)


rule = Rule(
    code="PRF321",
    name="swallowed-queue-full",
    summary="a full queue is caught and ignored: items vanish with no trace",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_MEANT = re.compile(
    r"#.*\b(drop|loss|lossy|best[- ]effort|discard|shed|skip|slow|deliberate|intention|on purpose)", re.I
)
_TOKEN = re.compile(
    r"(^|_|\.)(sentinel|stop|wake(_?up)?|poison(_pill)?|quit|shutdown|exit|eof|(stop|end)_event)(_|$)|^_?(done|end)$",
    re.I,
)
_TAKES = {"get_nowait", "get", "popleft", "receive_nowait"}
_TELLS = (cst.Return, cst.Break, cst.Raise, cst.Assign, cst.AugAssign)


@rule.visits(cst.Try)
def check(node: cst.Try, context: Context) -> Iterator[Finding]:
    for handler in node.handlers:
        if handler.type is None or not is_silent(handler) or ends(handler, cst.Break):
            continue
        if caught(context.names, handler).isdisjoint(_FULL) or node.orelse is not None:
            continue
        put = _lost_put(node.body, node, context)
        if put is None or (ends(handler, cst.Return) and _answers(node, context)):
            continue
        yield _finding(handler, put, _comments(node, handler, context), _fix(handler, context), context)


@rule.visits(cst.With)
def check_suppress(node: cst.With, context: Context) -> Iterator[Finding]:
    for item in node.items:
        match item.item:
            case cst.Call(func=function, args=args) if (
                context.names.qualified(function) == "contextlib.suppress"
            ):
                classes = {context.objects.function(part.value) for part in args}
                put = None if classes.isdisjoint(_FULL) else _lost_put(node.body, node, context)
                if put is not None:
                    yield _finding(item.item, put, _comments(node, node, context), None, context)


def _finding(at: cst.CSTNode, put: cst.Call, comments: str, fix: Fix | None, context: Context) -> Finding:
    written = context.tree.shown(put.func)
    message = f"full queue ignored: what `{written}(...)` cannot place vanishes with no trace; count or log the drop"
    if _MEANT.search(comments):
        return rule.finding(context, at, message, severity=Severity.INFO)
    return rule.finding(context, at, message, fix)


def _lost_put(body: cst.BaseSuite, around: cst.Try | cst.With, context: Context) -> cst.Call | None:
    """The put whose item is lost when the queue is full; None where something makes up for it."""
    puts = [item for item in walk_scope(body) if isinstance(item, cst.Call) and _puts(item, context)]
    if not puts or any(_is_token(item) for item in puts):
        return None
    if _told(body, puts[-1], context) or _in_answer_to_full(around, context):
        return None
    if any(_takes_from(item, context) or _tried_again(item, around, context) for item in puts):
        return None
    return puts[0]


def _puts(node: cst.Call, context: Context) -> bool:
    """Whether the call puts without waiting for ever, into what may be full."""
    match node.func:
        case cst.Attribute(value=queue, attr=cst.Name(value="put_nowait" | "send_nowait" | "put" as method)):
            made = context.objects.of(queue)
            if never_full(context, made) or one_slot(context, made):
                return False
            kind = made.type if made is not None else "queue.Queue"
            return method != "put" or waiting(kind, method, node) in ("never", "deadline", "unknown")
    return False


def _is_token(put: cst.Call) -> bool:
    """Whether what is put carries nothing: one in the queue does as well as two."""
    item = put.args[0].value if put.args else None
    match item:
        case None | cst.Integer() | cst.SimpleString() | cst.Ellipsis() | cst.Tuple(elements=[]):
            return True
        case cst.Call(func=cst.Name(value="object"), args=[]):
            return True
        case cst.Name(value=name) if name in ("True", "False", "None") or name.isupper():
            return True
    place = dotted(item)
    return place is not None and (_TOKEN.search(place) is not None or place.rpartition(".")[2].isupper())


def _told(body: cst.BaseSuite, put: cst.Call, context: Context) -> bool:
    """Whether the body says after the put that it went well: whoever reads that knows of the drop."""
    last = context.tree.span(put).end
    for node in walk_scope(body):
        if isinstance(node, _TELLS) and context.tree.span(node).start >= last:
            return True
    return any(
        isinstance(above, _TELLS) for above in context.tree.ancestors(put) if context.flow.inside(above, body)
    )


def _in_answer_to_full(node: cst.CSTNode, context: Context) -> bool:
    """Whether another handler of a full queue holds the node: a second attempt after room was made."""
    return any(
        isinstance(above, cst.ExceptHandler) and not caught(context.names, above).isdisjoint(_FULL)
        for above in context.tree.ancestors(node)
    )


def _takes_from(put: cst.Call, context: Context) -> bool:
    """Drop-oldest: whether the function takes from the same queue."""
    place = dotted(put.func.value) if isinstance(put.func, cst.Attribute) else None
    for node in walk(own_function(context.tree, put) or context.tree.root):
        match node:
            case cst.Call(func=cst.Attribute(value=queue, attr=cst.Name(value=name))) if name in _TAKES:
                if place is not None and dotted(queue) == place:
                    return True
    return False


def _tried_again(put: cst.Call, around: cst.CSTNode, context: Context) -> bool:
    """Whether the next turn of a `while` puts the same item."""
    loop = context.flow.loop(around)
    if not isinstance(loop, cst.While):
        return False
    bound: set[str] = set()
    for node in walk_scope(loop):
        match node:
            case cst.Assign(targets=targets):
                bound.update(*(bound_names(item.target) for item in targets))
            case cst.AnnAssign(target=target) | cst.NamedExpr(target=target) | cst.For(target=target):
                bound |= bound_names(target)
            case cst.WithItem(asname=cst.AsName(name=name)):
                bound |= bound_names(name)
    fresh = any(isinstance(node, (cst.Call, cst.Await)) for item in put.args for node in walk(item))
    return not fresh and names_in(*put.args).isdisjoint(bound)


def _answers(node: cst.CSTNode, context: Context) -> bool:
    """Whether the function returns a value elsewhere, so that a bare `return` is an answer."""
    return any(
        isinstance(item, cst.Return) and item.value is not None and not is_name(item.value, "None")
        for item in walk_scope(own_function(context.tree, node) or context.tree.root)
    )


def _comments(node: cst.Try | cst.With, part: cst.CSTNode, context: Context) -> str:
    """The comments on the lines of `part`, and above the statement."""
    span, source = context.tree.span(part), context.source
    end = source.line_span(source.line_of(span.end))[1]
    above = [line.comment.value for line in node.leading_lines if line.comment is not None]
    return "\n".join([*above, source.slice(span.start, end)])


def _fix(handler: cst.ExceptHandler, context: Context) -> Fix | None:
    passed, logger = sole_small(handler.body), module_logger(context.names, handler)
    if not isinstance(passed, cst.Pass) or logger is None:
        return None
    text = f'{logger}.warning("queue full, item dropped")'
    edit = Edit(context.tree.span(passed), text)
    return Fix("Log the drop", (edit,), Applicability.UNSAFE)
