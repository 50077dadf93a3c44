"""Whether code makes sure, before it waits, that there is nothing to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.coroutines import coroutine
from perflint.analysis.match import dotted
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_WAITS = {"wrap_future", "wait", "wait_for", "as_completed", "gather", "shield"}
_ASKS = {"done", "ready", "cancelled", "is_alive"}


def known_done(context: Context, waited: cst.BaseExpression, call: cst.Call) -> bool:
    """Whether code before the call asks if a future, result or thread is done, or waits for it in another way."""
    place, function = dotted(waited), coroutine(context.tree, call)
    if place is None or function is None:
        return False
    start = context.tree.span(call).start
    for part in walk_scope(function.body):
        match part:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method)), args=args) if (
                context.tree.span(part).start < start
            ):
                passed = method in _WAITS and any(dotted(item.value) == place for item in args)
                if passed or (method in _ASKS and dotted(owner) == place and not _lives(context, part, call)):
                    return True
            case cst.Comparison(left=left) if dotted(left) == place:
                return True  # `future in done`
    return False


def _lives(context: Context, question: cst.Call, call: cst.Call) -> bool:
    """Whether `if thread.is_alive():` stands around the call: then there is something to wait for."""
    if not isinstance(question.func, cst.Attribute) or question.func.attr.value != "is_alive":
        return False
    return any(
        isinstance(above, cst.If)
        and context.flow.inside(call, above.body)
        and any(part is question for part in walk_scope(above.test))
        and not any(isinstance(part, cst.Not) for part in walk_scope(above.test))
        for above in context.tree.ancestors(call)
    )


def checked(context: Context, queue: cst.BaseExpression, call: cst.Call) -> bool:
    """Whether a test for items stands around the call: `while not q.empty(): q.get()`."""
    place = dotted(queue)
    for above in context.tree.ancestors(call):
        if isinstance(above, (cst.If, cst.While, cst.IfExp)):
            for part in walk_scope(above.test):
                match part:
                    case cst.Attribute(value=owner, attr=cst.Name(value="empty" | "qsize")):
                        if dotted(owner) == place:
                            return True
        if isinstance(above, cst.FunctionDef):
            return False
    return False
