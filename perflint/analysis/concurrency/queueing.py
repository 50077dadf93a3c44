"""Calls on queues inside a `try`, what they raise, and whether a queue has a bound."""

from __future__ import annotations

import ast
from collections.abc import Container
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.waiting import Wait, waiting
from perflint.analysis.match import last_name
from perflint.analysis.objects import Made
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# Canonical class -> the package whose queues raise it. `multiprocessing` raises those of `queue`.
FULL = {"queue.Full": "queue", "multiprocessing.Full": "queue", "asyncio.QueueFull": "asyncio"}
EMPTY = {"queue.Empty": "queue", "multiprocessing.Empty": "queue", "asyncio.QueueEmpty": "asyncio"}

# Other methods that may put (or take) and raise on behalf of a queue of their own.
_PUTS = (
    "put",
    "send",
    "enqueue",
    "push",
    "publish",
    "emit",
    "submit",
    "add",
    "write",
    "offer",
    "notify",
    "dispatch",
)
_GETS = ("get", "recv", "receive", "dequeue", "pop", "next", "read", "poll", "take", "fetch", "drain")


class QueueCall(NamedTuple):
    """One `put` or `get` (or its `_nowait`) on a queue whose type is known."""

    call: cst.Call
    queue: cst.BaseExpression
    made: Made
    method: str  # "put" or "get"
    waits: Wait
    awaited: bool
    error: str  # what it raises when it does not wait; "" for queues that never raise


def queue_calls(
    context: Context, body: cst.CSTNode, methods: tuple[str, str], errors: Container[str]
) -> list[QueueCall] | None:
    """The calls of these methods in the body; None where anything in it is in doubt."""
    found: list[QueueCall] = []
    for node in walk_scope(body):
        if not isinstance(node, cst.Call):
            continue
        name = last_name(node.func)
        if name in methods and isinstance(node.func, cst.Attribute):
            item = _queue_call(context, node, node.func.value, name)
            if item is None:
                return None
            found.append(item)
        elif _may_raise(context, node, name, methods[0]):
            return None
    return found


def unbounded(made: Made) -> bool:
    """Whether every constructor in sight makes a queue without a bound; False where none is in sight."""
    if made.type.endswith(".SimpleQueue"):
        return True
    sizes = made.argument("maxsize", 0)
    return bool(sizes) and all(_is_no_bound(item) for item in sizes)


def never_full(context: Context, made: Made | None) -> bool:
    """Whether the object is a queue without a bound; where it is unknown, whether the file makes only such queues."""
    if made is not None:
        return made.type in library.QUEUES and unbounded(made)
    queues = _of_this_file(context)
    return bool(queues) and all(unbounded(item) for item in queues)


def _of_this_file(context: Context) -> list[Made]:
    """The queues that the file makes, one by one."""
    outline = context.facts.outline
    named = ((call, outline.qualified(call.func, home.bound)) for call, home in outline.calls)
    kinds = ((call, library.made_by(name)) for call, name in named if name)
    return [Made(kind, (call,)) for call, kind in kinds if kind in library.QUEUES]


def one_slot(context: Context, made: Made | None) -> bool:
    """Whether the queue holds one item: a wake-up, or the first answer of several. Unknown: as `never_full`."""
    queues = [made] if made is not None and made.calls else _of_this_file(context)
    sizes = [size for item in queues for size in item.argument("maxsize", 0)]
    return bool(sizes) and all(isinstance(size, ast.Constant) and size.value == 1 for size in sizes)


def bounded(made: Made) -> bool:
    """Whether a constructor in sight gives the queue a bound."""
    if made.type.endswith(".SimpleQueue"):
        return False
    return any(not _is_no_bound(item) for item in made.argument("maxsize", 0))


def _is_no_bound(size: ast.expr | None) -> bool:
    match size:
        case None | ast.Constant(value=None) | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            return True
        case ast.Constant(value=int(number)):
            return number <= 0
    return False


def _queue_call(context: Context, node: cst.Call, queue: cst.BaseExpression, name: str) -> QueueCall | None:
    made = context.objects.of(queue)
    if made is None or made.type not in library.QUEUES:
        return None
    awaited = isinstance(context.tree.parent(node), cst.Await)
    method = name.removesuffix("_nowait")
    waits = waiting(made.type, name, node)
    asynchronous = made.type in library.ASYNC_QUEUES
    if waits is None or awaited != (asynchronous and name == method):
        return None  # `wait_for(q.put(x), 1)`, a forgotten await
    raised = "QueueFull" if method == "put" else "QueueEmpty"
    error = f"asyncio.{raised}" if asynchronous else f"queue.{raised.removeprefix('Queue')}"
    if made.type.endswith(".SimpleQueue") and (method == "put" or made.type.startswith("multi")):
        error, waits = "", "forever"  # whatever its arguments say
    return QueueCall(node, queue, made, method, waits, awaited, error)


def _may_raise(context: Context, node: cst.Call, name: str, method: str) -> bool:
    """Whether another call may raise the same exception: its name says so, or a function of the file does it."""
    words = _PUTS if method == "put" else _GETS
    if any(part in words for part in name.strip("_").lower().split("_")):
        return True
    outline = context.facts.outline
    return any(
        isinstance(item, ast.Attribute) and item.attr in (method, f"{method}_nowait")
        for function in outline.functions.get(name, ())
        for item in ast.walk(function)
    )
