"""Loops that do the same work for item after item: not retries, not polls, not workers that wait for messages."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.flow import bound_names
from perflint.analysis.match import last_name, names_in, root
from perflint.analysis.patterns.invariance import repeats
from perflint.analysis.sizes import Size
from perflint.analysis.tree import Comprehension, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Items = cst.For | cst.While | cst.ListComp | cst.SetComp | cst.DictComp | cst.GeneratorExp

_ATTEMPT = re.compile(r"(^|_)(attempts?|retry|retries|tries|trial|backoff)(_|$)", re.I)
_PAUSES = {"sleep", "wait", "wait_for", "pause", "backoff"}
_RECEIVES = {
    "recv",
    "recvfrom",
    "accept",
    "receive",
    "get_message",
    "listen",
    "poll",
    "blpop",
    "brpop",
    "lpop",
    "rpop",
    "spop",
    "zpopmin",
    "rpoplpush",
    "xread",
}
_ACKNOWLEDGES = {
    "ack",
    "nack",
    "acknowledge",
    "basic_ack",
    "basic_nack",
    "task_done",
    "delete_message",
    "commit_offsets",
}
_STREAM = re.compile(
    r"(^|_)(consumer|queue|inbox|mailbox|subscription|subscriber|pubsub|listener|websocket|ws|socket|sock|topic|"
    r"channel|notifies|notifications|watcher|watch|stream_messages|messages_iter|tail|follow|listen|subscribe|consume|poll)$",
    re.I,
)  # fmt: skip
_CONSUMERS = {"list", "tuple", "set", "frozenset", "dict", "sum", "any", "all", "min", "max", "sorted"}
_BATCH = re.compile(r"(chunk|batch|page|block|bucket|slice|group|partition|window)(s|es|ed)?(_|\d|$)", re.I)
_BULK = re.compile(
    r"^(executemany|execute_batch|execute_values|add_all|bulk_.*|copy.*|insert_many|bulk|save_all)$"
)


def per_item(context: Context, node: cst.CSTNode, pause: float = 0) -> Items | None:
    """The loop or comprehension that runs `node` once per item, within its own function.

    None for what runs once, a few times, or is no loop over items: retries, polls, workers, and
    loops that the branch around `node` ends. A short inner loop passes the question outwards.
    Sleeping for less than `pause` seconds, by a literal, makes no poll.
    """
    for loop in repeats(context.flow, node):
        if isinstance(loop, cst.GeneratorExp) and not _consumed(context, loop):
            return None
        if isinstance(loop, (cst.For, cst.While)) and (
            context.flow.runs_once(node, loop) or is_retry(loop) or is_worker(context, loop, pause)
        ):
            return None
        if isinstance(loop, cst.While) or context.sizes.repeats(loop) is not Size.SMALL:
            return loop  # type: ignore[return-value]
    return None


def is_retry(loop: cst.For | cst.While) -> bool:
    """Whether the loop repeats one thing until it works."""
    words = names_in(loop.target if isinstance(loop, cst.For) else loop.test)
    counts = isinstance(loop, cst.While) or isinstance(
        loop.iter, cst.Call
    )  # `for attempt_id in attempt_ids` does not
    if any((_ATTEMPT.search if counts else _ATTEMPT.fullmatch)(word) for word in words):
        return True
    if isinstance(loop, cst.For) and _counts(loop.iter) and words == {"_"}:
        return True
    return any(isinstance(item, cst.Try) and _once(item) for item in loop.body.body)


def is_worker(context: Context, loop: cst.For | cst.While, pause: float = 0) -> bool:
    """Whether each turn is a unit of work of its own: the loop waits, receives, acknowledges, or follows a stream."""
    if isinstance(loop, cst.For) and _streams(loop.iter):
        return True
    for part in walk_scope(loop.body):
        if isinstance(part, cst.Call) and not _sleeps_less(part, pause):
            name = last_name(part.func)
            if name in _PAUSES | _RECEIVES | _ACKNOWLEDGES:
                return True
            if name in ("get", "get_nowait") and (context.objects.type(_owner(part)) or "").endswith("Queue"):
                return True
            owner = last_name(_owner(part) or part)
            if name == "get" and re.search(r"(^|_)(queue|q|inbox)\d?$", owner):
                return True
            if name == "select" and re.search(r"(^|_)(select|selectors?|sel)$", owner):  # none of SQL's
                return True
    return False


def _sleeps_less(call: cst.Call, pause: float) -> bool:
    match call:
        case cst.Call(args=[cst.Arg(value=cst.Integer(value=text) | cst.Float(value=text))]):
            return last_name(call.func) == "sleep" and float(ast.literal_eval(text)) < pause
    return False


def in_batches(loop: Items) -> bool:
    """Whether an item is a batch already: by its name, or because the body writes many rows at once."""
    targets = bound_names(loop.target) if isinstance(loop, cst.For) else set()
    if isinstance(loop, Comprehension):
        targets = bound_names(loop.for_in.target)
    if any(_BATCH.search(name) for name in targets) or _strides(loop):
        return True
    calls = (part for part in walk_scope(loop) if isinstance(part, cst.Call))
    return any(_BULK.match(last_name(part.func)) for part in calls)


def written_out(context: Context, loop: cst.CSTNode) -> bool:
    """Whether the source spells out the items: those of a short list, or what the items of such a list hold."""
    while isinstance(loop, cst.For) and isinstance(loop.iter, (cst.Name, cst.Attribute, cst.Subscript)):
        if context.sizes.of(loop.iter) is Size.SMALL:
            return isinstance(loop.iter, cst.Name)
        name = root(loop.iter)
        owner = context.scope(loop).owner(name) if name is not None else None
        bindings = owner.bindings[name] if owner is not None and name is not None else []
        loops = {item.node for item in bindings if item.kind == "loop"}
        if len(loops) != len(bindings) or len(loops) != 1 or loop in loops:
            return False
        (loop,) = loops
    return False


def _strides(loop: Items) -> bool:
    """`for i in range(0, len(rows), size)`."""
    match loop:
        case cst.For(iter=cst.Call(func=cst.Name(value="range"), args=[_, _, cst.Arg(value=step)])):
            return isinstance(step, (cst.Name, cst.Attribute)) or (
                isinstance(step, cst.Integer) and step.value != "1"
            )
    return False


def _owner(call: cst.Call) -> cst.BaseExpression | None:
    return call.func.value if isinstance(call.func, cst.Attribute) else None


def _consumed(context: Context, loop: cst.GeneratorExp) -> bool:
    """Whether a builtin takes the items at once."""
    argument = context.tree.parent(loop)
    call = context.tree.parent(argument) if isinstance(argument, cst.Arg) else None
    return isinstance(call, cst.Call) and context.names.builtin(call.func) in _CONSUMERS


def _counts(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Call) and last_name(node.func) == "range"


def _once(item: cst.Try) -> bool:
    """Whether success leaves the loop and an error goes round again."""
    success = [*item.body.body, *(item.orelse.body.body if item.orelse is not None else ())]
    last = success[-1] if success else None
    small = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None
    return isinstance(small, (cst.Break, cst.Return)) and bool(item.handlers)


def _streams(iterable: cst.BaseExpression) -> bool:
    match iterable:
        case cst.Call(func=cst.Name(value="iter"), args=[_, _]):
            return True
        case cst.Call(func=function):
            return bool(_STREAM.search(last_name(function)))
        case cst.Name() | cst.Attribute():
            return bool(_STREAM.search(last_name(iterable)))
    return False
