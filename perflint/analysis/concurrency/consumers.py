"""Loops that take items from a queue and work on them: what may raise there, and who would notice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.carriers import carriers, carries
from perflint.analysis.concurrency.guarded import BINDING, called, catches
from perflint.analysis.concurrency.handlers import (
    CANCELLED,
    always_raises,
    caught,
    covering,
    is_wide,
    isolated,
    leaves,
    mentions_name,
)
from perflint.analysis.concurrency.roles import Start
from perflint.analysis.concurrency.supervision import observed
from perflint.analysis.flow import bound_names
from perflint.analysis.match import dotted, last_name
from perflint.analysis.objects import Objects
from perflint.analysis.outline import FunctionNode, leaf
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# How an item is taken from a queue, as it is written: a dictionary's `get` always has a key.
TAKES = tuple(
    f".{call}"
    for call in (
        *("get()", "get(timeout", "get(block", "get(True", "get(False"),
        *("get_nowait()", "recv()", "receive()"),
    )
)
_QUEUE = re.compile(r"(^|[._])(\w*queue|q|\w+_q|inbox|mailbox)$", re.I)
# What items are called: a dictionary of them is never asked without a key.
_ITEMS = re.compile(r"(^|[._])(\w*(box|work|pending|todo)|\w*[a-z]{2}[^\Wsu]s)$", re.I)
_STREAM = re.compile(r"(^|[._])(\w*queue|q|\w+_q|receive_stream|receive_channel|inbox)$", re.I)
PACKAGES = frozenset(
    {"asyncio", "anyio", "trio", "threading", "_thread", "multiprocessing", "concurrent", "queue"}
)
# Calls that hand on, look up, count or log: they do not fail because of one item.
_CALM_METHODS = frozenset(
    {
        "append", "appendleft", "add", "extend", "discard", "clear", "copy", "items", "keys", "values", "get", "update",
        "put", "put_nowait", "task_done", "qsize", "empty", "full", "get_nowait", "set", "is_set", "wait", "is_alive",
        "set_result", "set_exception", "done", "cancelled", "cancel", "release", "acquire", "locked", "notify",
        "notify_all", "submit", "create_task", "ensure_future", "start_soon", "run_in_executor", "call_soon",
        "call_soon_threadsafe", "apply_async", "add_callback", "add_done_callback", "start", "sleep", "debug", "info",
        "warning", "warn", "error", "exception", "critical", "log", "isEnabledFor", "time", "monotonic",
        "perf_counter", "inc", "dec", "observe", "current_thread", "get_running_loop", "get_event_loop",
        "startswith", "endswith", "strip", "lower", "upper", "format",
    }
)  # fmt: skip
_CALM_NAMES = frozenset(
    {
        "print", "len", "isinstance", "issubclass", "type", "id", "repr", "str", "bool", "getattr", "hasattr",
        "callable", "range", "enumerate", "list", "tuple", "set", "dict", "max", "min", "sum", "zip", "super",
        "sleep", "safe_run", "safe_await", "partial", "sorted", "reversed", "time", "cast",
    }
)  # fmt: skip


_LOGS = re.compile(r"(^|[._])log(ger|ging)?$", re.I)
_CANCELS = CANCELLED | {"builtins.KeyboardInterrupt", "builtins.SystemExit", "builtins.GeneratorExit"}
_HANDS_ON = {
    "put",
    "put_nowait",
    "append",
    "add",
    "set_exception",
    "set_result",
    "send",
    "set",
    "call_soon_threadsafe",
}


class Consumer(NamedTuple):
    """A loop that takes one item per turn from `queue`. `take` is the call, or the iterable of a `for`."""

    loop: cst.For | cst.While
    queue: str
    take: cst.BaseExpression


def consumer(context: Context, loop: cst.For | cst.While, known: str | None = None) -> Consumer | None:
    """What the loop takes its items from, if it is a queue (`known` to be one) or named like one."""
    if isinstance(loop, cst.For):
        queue = _iterated(context.objects, loop, known)
        return Consumer(loop, queue, loop.iter) if queue else None
    heads = (node for node in walk_scope(loop.test) if isinstance(node, cst.Call))
    turns = (node for node in walk_scope(loop.body) if context.flow.loop(node) is loop)
    for node in (*heads, *turns):
        queue = taken_from(context.objects, node, known)
        if queue:
            return Consumer(loop, queue, cst.ensure_type(node, cst.Call))
    return None


def taken_from(objects: Objects, node: cst.CSTNode, known: str | None = None) -> str | None:
    """The place of the queue that a call such as `self.jobs.get()` takes an item from."""
    match node:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=method))):
            place = dotted(receiver)
            if place is None or method not in ("get", "get_nowait", "recv", "receive"):
                return None
            text = objects.tree.code(node)[len(objects.tree.code(node.func)) - len(method) - 1 :]
            sure = place == known or _is_queue(objects, receiver, place, method.startswith("get"))
            return place if text.startswith(TAKES) and sure else None
    return None


def endless(loop: cst.For | cst.While) -> bool:
    """Whether the loop runs until it is told to stop, and not until the queue is empty."""
    if isinstance(loop, cst.For):
        return True
    calls = (node for node in walk_scope(loop.test) if isinstance(node, cst.Call))
    names = {item.func.attr.value for item in calls if isinstance(item.func, cst.Attribute)}
    plain = not any(isinstance(node, cst.Comparison) for node in walk_scope(loop.test))
    return plain and names.isdisjoint({"empty", "qsize", "get", "get_nowait", "full"})


def _goes_on(context: Context, item: Consumer) -> bool:
    """Whether the loop is endless by its head, and by what it does where the queue is empty."""
    if isinstance(item.loop, cst.While) and context.flow.inside(item.take, item.loop.test):
        return not context.tree.code(item.take).endswith(
            "get_nowait()"
        )  # `while (item := q.get()) is not None`
    return endless(item.loop) and not _drains(context, item)


def _drains(context: Context, item: Consumer) -> bool:
    """Whether the loop ends where the queue is empty, and no other loop around it comes back to the queue."""
    if not context.tree.code(item.take).endswith("get_nowait()") or any(_outer(context, item.loop)):
        return False
    within = covering(context.tree, item.take, item.loop)
    return any(leaves(handler) for found in within for handler in found.handlers)


def _outer(context: Context, loop: cst.CSTNode) -> Iterator[cst.CSTNode]:
    return (outer for outer in context.flow.loops(loop) if outer is not loop)


def exposed(context: Context, item: Consumer) -> list[cst.CSTNode]:
    """The calls whose exception ends the loop; none where any call on the item is isolated."""
    start = context.tree.span(item.take).start if isinstance(item.loop, cst.While) else -1
    found = []
    for node in walk_scope(item.loop.body):
        if not may_raise(node, item.queue) or node is item.take:
            continue
        around = any(part is item.take for part in walk_scope(node))
        if around and not _uses(node, item.take):
            continue
        if (context.tree.span(node).end < start and not around) or _handling(context, node, item.loop):
            continue
        if isolated(context.names, node, item.loop):
            if _on_item(context, item, node):
                return []
        elif not _harmless(context, node):
            found.append(node)
    return found if any(_on_item(context, item, node) for node in found) else []


def _on_item(context: Context, item: Consumer, node: cst.CSTNode) -> bool:
    """Whether the call works on what was taken."""
    starts = partial(_is, item.take)
    places = carriers(item.loop, starts)
    if isinstance(item.loop, cst.For):
        places |= bound_names(item.loop.target)
    return carries(node, places, starts)


def _is(one: cst.CSTNode, other: cst.CSTNode) -> bool:
    return one is other


def fatal(context: Context, item: Consumer) -> list[Start]:
    """Who starts the loop's function as a worker, where one bad item ends it and nobody is told."""
    function = context.tree.function(item.loop)
    if function is None or not all(map(_binds, function.decorators)) or not _goes_on(context, item):
        return []
    if context.facts.packages.isdisjoint(PACKAGES) or _stops_on_purpose(context, item):
        return []
    definition = context.objects.definition(function)
    starts = context.roles.starts(definition)
    if not starts or context.roles.handler(definition) or not exposed(context, item):
        return []
    if any(isolated(context.names, item.loop, outer) for outer in context.flow.loops(item.loop)):
        return []
    if _told(context, item.loop):
        return []
    waits = joined(context, item.queue)
    return [start for start in starts if not observed(context.facts, start, waits)]


def _binds(decorator: cst.Decorator) -> bool:
    """Whether the decorator only says how a method is bound."""
    return (dotted(decorator.decorator) or "").rpartition(".")[2] in BINDING


def outer_handlers(context: Context, loop: cst.CSTNode) -> Iterator[cst.ExceptHandler]:
    """The clauses of the function that see what leaves the loop, but for those that wait for cancellation."""
    for item in covering(context.tree, loop, context.tree.root):
        for handler in item.handlers:
            if not caught(context.names, handler) <= _CANCELS:
                yield handler


def _told(context: Context, loop: cst.CSTNode) -> bool:
    """Whether handlers around the loop tell one way of ending from another, keep the exception, or log it
    and raise it again."""
    found = list(outer_handlers(context, loop))
    wide = [item for item in found if is_wide(context.names, item)]
    return bool(wide) and (
        len(wide) < len(found)
        or any(_keeps(item) or always_raises(item) for item in wide)
        or any(_ends_waiting(item) for item in covering(context.tree, loop, context.tree.root))
    )


def _ends_waiting(item: cst.Try) -> bool:
    """Whether the `finally` tells somebody that the worker has ended: it sets a result or an event, puts a mark."""
    calls = (
        (node.func for node in walk_scope(item.finalbody) if isinstance(node, cst.Call))
        if item.finalbody
        else ()
    )
    names = (function.attr.value for function in calls if isinstance(function, cst.Attribute))
    return any(name in _HANDS_ON for name in names)


def _keeps(handler: cst.ExceptHandler) -> bool:
    """Whether the clause stores the exception or hands it on, other than to a log."""
    return mentions_name(handler) and any(
        isinstance(node, cst.AssignTarget)
        or (
            isinstance(node, cst.Call)
            and isinstance(node.func, cst.Attribute)
            and node.func.attr.value in _HANDS_ON
        )
        for node in walk_scope(handler.body)
    )


def joined(context: Context, queue: str) -> bool:
    """Whether some code of the file waits for the queue's `join()`."""
    last = queue.rpartition(".")[2]
    for call, _ in context.facts.outline.calls:
        function = call.func
        if getattr(function, "attr", "") == "join" and not call.args and not call.keywords:
            receiver = function.value  # type: ignore[attr-defined]
            if last in (getattr(receiver, "attr", None), getattr(receiver, "id", None)):
                return True
    return False


def may_raise(node: cst.CSTNode, queue: str = "") -> bool:
    """Whether evaluating this node alone may raise because of what it works on: a call that does work."""
    match node:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=method))):
            place = dotted(receiver) or ""
            return method not in _CALM_METHODS and not (queue and place == queue) and not _LOGS.search(place)
        case cst.Call(func=cst.Name(value=name)):
            return name not in _CALM_NAMES
        case cst.Await(expression=cst.Name() | cst.Attribute()):
            return True
        case cst.For(asynchronous=cst.Asynchronous()):
            return True
    return isinstance(node, cst.Call)


def _is_queue(objects: Objects, receiver: cst.BaseExpression, place: str, gets: bool) -> bool:
    """Whether this is a queue, by its type, or by its name: `gets` says that it has a `get`, as few have."""
    kind = objects.type(receiver)
    if kind is not None:
        return kind in library.QUEUES
    return _QUEUE.search(place) is not None or (gets and _ITEMS.search(place) is not None)


def _iterated(objects: Objects, loop: cst.For, known: str | None) -> str | None:
    match loop.iter:
        case cst.Call(
            func=cst.Name(value="iter"),
            args=[cst.Arg(value=cst.Attribute(value=queue, attr=cst.Name(value="get"))), cst.Arg()],
        ):
            place = dotted(queue)
            return place if place and (place == known or _is_queue(objects, queue, place, True)) else None
        case cst.Name() | cst.Attribute() if loop.asynchronous is not None:
            place = dotted(loop.iter)
            return place if place and _STREAM.search(place) else None
    return None


def _harmless(context: Context, node: cst.CSTNode) -> bool:
    """Whether the call only makes an object, opens a `with`, or is of a function that catches all itself."""
    if not isinstance(node, cst.Call):
        return False
    name = last_name(node.func)
    if name.lstrip("_")[:1].isupper() or isinstance(context.tree.parent(node), cst.WithItem):
        return True
    function = called(context.objects, node)
    same = context.facts.outline.functions.get(name, ()) if isinstance(node.func, cst.Attribute) else ()
    if function is None and len(same) == 1:
        function = same[0]
    return function is not None and (catches(function) or _hands_on(function))


def _hands_on(function: FunctionNode) -> bool:
    """Whether the function puts items into another queue, and calls nothing that fails because of one."""
    nodes = [node for item in function.body for node in ast.walk(item)]
    names = {leaf(node.func) for node in nodes if isinstance(node, ast.Call)}
    raises = any(isinstance(node, (ast.Raise, ast.Assert)) for node in nodes)
    return not raises and not names.isdisjoint({"put", "put_nowait"}) and names <= _CALM_METHODS | _CALM_NAMES


def _uses(node: cst.CSTNode, take: cst.CSTNode) -> bool:
    """Whether the call around the take works on the item: not `wait_for(q.get(), 1)`."""
    name = last_name(node.func) if isinstance(node, cst.Call) else ""
    return name not in ("wait_for", "run_until_complete", "to_thread", "shield")


def _handling(context: Context, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether the node stands in a handler, a `finally`, or what spawns work elsewhere."""
    for above in context.tree.ancestors(node, loop):
        if isinstance(above, (cst.ExceptHandler, cst.Finally, cst.Raise)):
            return True
        if isinstance(above, cst.Call) and not may_raise(above) and _spawns(above):
            return True
    return False


def _spawns(node: cst.Call) -> bool:
    return last_name(node.func) in (
        "create_task",
        "ensure_future",
        "start_soon",
        "submit",
        "run_in_executor",
        "safe_run",
        "safe_await",
    )


def _stops_on_purpose(context: Context, item: Consumer) -> bool:
    """Whether the loop raises, or catches all and raises again: then its caller is meant to see it."""
    return any(
        isinstance(node, cst.ExceptHandler) and is_wide(context.names, node) and always_raises(node)
        for node in walk_scope(item.loop.body)
    ) or any(_raises(context, node, item.loop) for node in walk_scope(item.loop.body))


def _raises(context: Context, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    return isinstance(node, cst.Raise) and not any(
        isinstance(above, (cst.ExceptHandler, cst.Try)) for above in context.tree.ancestors(node, loop)
    )
