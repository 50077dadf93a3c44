"""Whether code makes sure, before it waits, that there is nothing to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.coroutines import coroutine
from perflint.analysis.concurrency.elements import iterated
from perflint.analysis.match import dotted, last_name
from perflint.analysis.tree import walk, walk_scope

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
    many = iterated(context.objects, waited) if isinstance(waited, cst.Name) else []
    places = {place, *(dotted(part) for over in many for part in walk(over))} - {None}
    for part in walk_scope(function.body):
        match part:
            case cst.Call(args=args) if many or context.tree.span(part).start < start:
                method = last_name(part.func)
                owner = part.func.value if isinstance(part.func, cst.Attribute) else part.func
                if method in _WAITS and any(
                    dotted(each) in places for item in args for each in walk(item.value)
                ):
                    return True
                if method in _ASKS and dotted(owner) == place and not _lives(context, part, call):
                    return True
            case cst.Comparison(
                left=left, comparisons=[cst.ComparisonTarget(operator=cst.In() | cst.NotIn())]
            ) if dotted(left) == place:
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
        and not any(isinstance(part, cst.UnaryOperation) for part in walk_scope(above.test))
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


def brief(context: Context, lock: cst.BaseExpression, call: cst.Call) -> bool:
    """Whether the coroutine made the lock itself, or lets it go again: then it waits for a short section at most."""
    place, function = dotted(lock), coroutine(context.tree, call)
    if place is None or function is None:
        return True
    for part in walk_scope(function.body):
        match part:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="release"))):
                if dotted(owner) == place:
                    return True
            case cst.AssignTarget(target=target) if dotted(target) == place:
                return True
    return False
