"""Where a collection comes from: a query with a limit, parts of a whole, what `asyncio.wait` gave back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.admission import LIMITER
from perflint.analysis.match import is_name, names_in, unawaited
from perflint.analysis.tree import walk

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_LIMITS = re.compile(
    r"(limit|page_size|per_page|batch_size|top_k|n_results|max_(results|items|keys|count)|"
    r"(n|num|n_?of)_(batches|chunks|parts|splits|shards))$"
)

_SWITCH = re.compile(r"(^|_)(workers|concurrency|parallelism)$")


def counted(context: Context, iterable: cst.BaseExpression) -> bool:
    """Whether the text says how many there are: `rows = query(limit=n)`, `done` of `asyncio.wait(..)`."""
    made = unawaited(assigned(context, iterable))
    return isinstance(made, cst.Call) and (
        context.objects.function(made.func) == "asyncio.wait" or _limited(made)
    )


def switched(context: Context, node: cst.CSTNode) -> bool:
    """Whether it is for those who set no limit: `if workers: run_jobs(..) else: gather(..)`."""
    below = node
    for above in context.tree.ancestors(node):
        match above:
            case cst.FunctionDef():
                return False
            case cst.If(test=test, orelse=other) if other is below:
                if any(LIMITER.search(name) or _SWITCH.search(name) for name in names_in(test)):
                    return True
        below = above
    return False


def assigned(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """What a name was last bound to, if each of its bindings is an assignment; the node itself otherwise."""
    owner = context.scope(node).owner(node.value) if isinstance(node, cst.Name) else None
    if owner is None or not isinstance(node, cst.Name) or owner.kind == "module":
        return node
    values = []
    for found in owner.bindings[node.value]:
        match found.node:
            case cst.Assign(value=value) | cst.AnnAssign(value=cst.BaseExpression() as value):
                values.append(value)
            case _:
                return node
    start = context.tree.span(node).start
    before = [value for value in values if context.tree.span(value).start < start]
    return max(before, key=lambda value: context.tree.span(value).start, default=node)


def _limited(made: cst.Call) -> bool:
    """Whether the call, or a call among its arguments, is told a largest number."""
    return any(
        isinstance(part, cst.Arg)
        and part.keyword is not None
        and _LIMITS.match(part.keyword.value) is not None
        and not is_name(part.value, "None")
        for part in walk(made)
    )
