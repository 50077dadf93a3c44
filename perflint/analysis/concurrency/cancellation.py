"""Whether code that catches a CancelledError means to: it waits for what it cancelled, or raises later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.coroutines import suspensions
from perflint.analysis.match import dotted, last_name, names_in, sole_small, unawaited
from perflint.analysis.tree import walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_TAKES = {"get", "get_nowait", "pop", "popleft"}
_DELIVERS = {
    "set_exception",
    "append",
    "put",
    "put_nowait",
    "send",
    "send_nowait",
    "add",
    "set_result",
    "throw",
}


def reaps(context: Context, node: cst.Try, function: cst.FunctionDef) -> bool:
    """Whether the `try` waits for what the function itself cancels: its CancelledError is meant.

    So is that of a task that comes out of a queue or collection, and of which nothing but the end is awaited.
    """
    if _takes_out(node, function):
        return True
    waited = {
        place
        for part in suspensions(node.body)
        if isinstance(part, cst.Await)
        for item in walk(part.expression)
        if (place := dotted(item)) is not None
    }
    end = context.tree.span(node.body).end
    for part in walk_scope(function.body):
        match part:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method))):
                if context.tree.span(part).start > end or not method.startswith("cancel"):
                    continue
                if dotted(owner) in waited or context.flow.inside(part, node.body):
                    return True
    return False


def _takes_out(node: cst.Try, function: cst.FunctionDef) -> bool:
    """`task = await self._ended.get()`, then `try: await task`."""
    match sole_small(node.body):
        case cst.Expr(value=cst.Await(expression=cst.Name(value=name))):
            pass
        case _:
            return False
    for part in walk_scope(function.body):
        match part:
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=target))], value=value):
                taken = unawaited(value)
                if target == name and isinstance(taken, cst.Call) and last_name(taken.func) in _TAKES:
                    return True
    return False


def deferred(
    context: Context, node: cst.Try, handler: cst.ExceptHandler, function: cst.FunctionDef, endless: bool
) -> bool:
    """Whether the exception is kept and raised or delivered later, or the await is shielded on purpose."""
    calls = [part for part in walk_scope(node.body) if isinstance(part, cst.Call)]
    if any(context.objects.function(part.func) == "asyncio.shield" for part in calls):
        return True
    bound = handler.name.name.value if handler.name and isinstance(handler.name.name, cst.Name) else ""
    stored: set[str] = set()
    for part in walk_scope(handler.body):
        match part:
            case cst.Assign(targets=targets, value=value) if bound in names_in(value):
                stored |= {place for item in targets if (place := dotted(item.target))}
            case cst.Return(value=cst.BaseExpression() as value) if bound in names_in(value):
                return True
            case cst.Call(func=cst.Attribute(attr=cst.Name(value="set_exception"))):
                return True
            case cst.Call(args=args) if not endless and last_name(part.func) in _DELIVERS:
                if any(bound in names_in(item.value) for item in args):
                    return True
            case cst.Raise() if _only_asks(handler):
                return True
    if stored and not endless:
        return True
    raised = [part for part in walk_scope(function.body) if isinstance(part, cst.Raise)]
    return any(dotted(item) in stored for part in raised for item in walk(part))


def _only_asks(handler: cst.ExceptHandler) -> bool:
    """Whether the clause raises unless `task.cancelling()` or the like says that the cancel was its own."""
    return any(
        isinstance(part, cst.Call) and last_name(part.func) in ("cancelling", "cancelled", "is_set", "done")
        for item in walk_scope(handler.body)
        if isinstance(item, cst.If)
        for part in walk(item.test)
    )
