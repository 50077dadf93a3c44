"""Whether a spawned task is finished with before the loop turns: then none pile up.

Reconnect loops that start a send and receive pair and wait for it are the usual case.
"""

from __future__ import annotations

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.carriers import carries
from perflint.analysis.flow import Flow, bound_names
from perflint.analysis.match import dotted
from perflint.analysis.objects import Objects
from perflint.analysis.tree import Comprehension, walk_scope

_ENDS = {
    *(
        "cancel",
        "result",
        "exception",
        "join",
        "wait",
        "gather",
        "wait_for",
        "as_completed",
        "terminate",
        "kill",
    ),
    *("run_until_complete", "get", "communicate", "shutdown", "aclose", "close"),
}
_KEEPS = {"append", "add", "appendleft", "put", "put_nowait", "insert", "extend"}


def settled(objects: Objects, flow: Flow, spawn: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether the work spawned in a turn of `loop` is awaited, joined or cancelled in that same turn."""
    if _in_own_group(objects, flow, spawn, loop):
        return True
    statement = _small(flow, spawn)
    if _waits(flow, statement, spawn):
        return True
    carriers = _carriers(flow, spawn, loop, statement)
    body = getattr(loop, "body", loop)
    return bool(carriers) and any(
        _ends(node, carriers) for node in walk_scope(body) if not flow.inside(node, statement)
    )


def _in_own_group(objects: Objects, flow: Flow, spawn: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether a task group or executor that the loop's body opens holds the work, and so waits for it."""
    receiver = (
        spawn.func.value if isinstance(spawn, cst.Call) and isinstance(spawn.func, cst.Attribute) else None
    )
    place = dotted(receiver) if receiver is not None else None
    for above in flow.tree.ancestors(spawn, loop):
        if isinstance(above, (cst.FunctionDef, cst.Lambda)):
            return False
        if isinstance(above, cst.With) and place is not None:
            for item in above.items:
                opened = item.asname is not None and place in bound_names(item.asname.name)
                if opened and objects.type(item.item) in library.GROUPS | library.EXECUTORS | library.POOLS:
                    return True
    return False


def _small(flow: Flow, node: cst.CSTNode) -> cst.CSTNode:
    """The small statement that holds the node (or the header of a compound one)."""
    for above in flow.tree.ancestors(node):
        if isinstance(above, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
            return above
    return node


def _waits(flow: Flow, statement: cst.CSTNode, spawn: cst.CSTNode) -> bool:
    """Whether the spawning statement itself waits for the work: `await create_task(c())`, `f().result()`."""
    return any(
        isinstance(above, cst.Await) or _ends_call(above) for above in flow.tree.ancestors(spawn, statement)
    )


def _carriers(flow: Flow, spawn: cst.CSTNode, loop: cst.CSTNode, statement: cst.CSTNode) -> set[str]:
    """The places through which the spawned work can be reached: names, attributes, and lists that get it."""
    found: set[str] = set()
    match statement:
        case cst.Assign(targets=targets):
            found = set().union(*(bound_names(item.target) for item in targets))
        case cst.AnnAssign(target=target) | cst.AugAssign(target=target):
            found = bound_names(target)
        case cst.Expr(value=cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method)))):
            if method in _KEEPS and (place := dotted(owner)):
                found = {place}
    for above in flow.tree.ancestors(spawn):
        if isinstance(above, cst.NamedExpr):
            found |= bound_names(above.target)
        if above is statement:
            break
    body = getattr(loop, "body", loop)
    for node in walk_scope(body):  # `pair = [t, u]`, `tasks.add(t)`
        match node:
            case cst.Assign(targets=targets, value=value) if not flow.inside(node, statement):
                if isinstance(value, (cst.List, cst.Tuple, cst.Set, cst.Dict, *Comprehension)) and carries(
                    value, found
                ):
                    found |= set().union(*(bound_names(item.target) for item in targets))
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method)), args=args):
                if (
                    method in _KEEPS
                    and any(carries(item, found) for item in args)
                    and (place := dotted(owner))
                ):
                    found.add(place)
    return found


def _ends(node: cst.CSTNode, carriers: set[str]) -> bool:
    match node:
        case cst.Await(expression=expression):
            return carries(expression, carriers)
        case cst.For(iter=iterable, body=body) if carries(iterable, carriers):
            return any(isinstance(part, cst.Await) or _ends_call(part) for part in walk_scope(body))
    return _ends_call(node) and carries(node, carriers)


def _ends_call(node: cst.CSTNode) -> bool:
    match node:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name)) | cst.Name(value=name)):
            return name in _ENDS
    return False
