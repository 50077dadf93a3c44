"""Connections, clients and pools that are made again and again: whether one would do for all turns or requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.fates import loads
from perflint.analysis.concurrency.piles import one_at_a_time
from perflint.analysis.connections.lifetimes import bound_to
from perflint.analysis.database.statements import bound_in
from perflint.analysis.match import last_name, names_in
from perflint.analysis.tree import Comprehension, walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

# Calls that give the same answer each time, for as long as nobody says otherwise.
_SAME = {
    *("os.environ.get", "os.getenv", "pathlib.Path", "os.path.join", "os.path.expanduser"),
    *("builtins.str", "builtins.int", "builtins.dict", "builtins.bool"),
}
_METHODS = {"format", "get", "join", "strip", "resolve", "absolute", "as_posix"}
_KEEPS = {
    *("append", "appendleft", "add", "put", "put_nowait", "insert", "extend", "setdefault"),
    *("enter_context", "enter_async_context", "push", "callback", "addCleanup", "register"),
}
_STARTS = {
    *("Thread", "Process", "Timer", "submit", "apply_async", "start_new_thread", "create_task", "ensure_future"),
    *("run_in_executor", "fork", "to_thread", "start_soon", "run_coroutine_threadsafe"),
}  # fmt: skip
_DEPTH = 6


def same_in_loop(context: Context, call: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether the arguments of a constructor stay the same through the turns of `loop`."""
    changing = {name.partition(".")[0].partition("[")[0] for name in bound_in(loop)}
    return changing.isdisjoint(names_in(*call.args)) and _calm(context, call)


def same_in_function(context: Context, call: cst.Call) -> bool:
    """Whether the arguments of a constructor stay the same through the calls of the function around it."""
    return _calm(context, call) and all(_fixed(context, argument.value, _DEPTH) for argument in call.args)


def kept(context: Context, node: cst.Call, loop: cst.CSTNode) -> bool:
    """Whether the turn makes the object to keep it: a list of them, an attribute, `yield`, a place for one."""
    if isinstance(loop, Comprehension) and _element(context, node, loop):
        return True
    if one_at_a_time(context, node, loop):
        return True
    if isinstance(context.tree.taker(node), (cst.AssignTarget, cst.Assign, cst.AnnAssign)):
        name = bound_to(context, node)
        if name is None:
            return True  # an attribute, a subscript, several names
        inside = [read for read in loads(context.names, name) if context.flow.inside(read, loop)]
        return any(_handed_on(context, read) for read in inside) or _outlives(context, name, loop)
    return _handed_on(context, node)


def starts_work(loop: cst.CSTNode) -> bool:
    """Whether a turn starts a thread, process or task: each may need an object of its own."""
    calls = (part for part in walk_scope(loop) if isinstance(part, cst.Call))
    return any(last_name(part.func) in _STARTS for part in calls)


def _calm(context: Context, call: cst.Call) -> bool:
    """Whether no argument is made by a call that may answer differently each time."""
    for part in walk(call):
        if isinstance(part, (cst.Await, cst.Yield, cst.NamedExpr, cst.Lambda)):
            return False
        if isinstance(part, cst.Call) and part is not call:
            known = context.names.qualified(part.func) in _SAME or last_name(part.func) in _METHODS
            if not known and not last_name(part.func)[:1].isupper():  # `Config(retries=3)`
                return False
    return True


def _fixed(context: Context, node: cst.BaseExpression, depth: int) -> bool:
    """Whether what the expression reads is no parameter or local of the function, but for fixed locals."""
    for name in names_in(node) - {"self", "cls"}:
        owner = context.scope(node).owner(name)
        if owner is None or owner is context.names.top:
            continue
        for binding in owner.bindings[name]:
            if binding.kind == "import" or binding.kind == "definition":
                continue
            if binding.kind != "assign" or binding.value is None or depth == 0:
                return False
            if not _fixed(context, binding.value, depth - 1):
                return False
    return True


def _element(context: Context, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether the comprehension collects the object itself."""
    parent = context.tree.parent(node)
    while isinstance(parent, (cst.Await, cst.Tuple, cst.Element, cst.Arg, cst.IfExp)):
        parent = context.tree.parent(parent)
    return parent is loop


def _handed_on(context: Context, node: cst.CSTNode) -> bool:
    """Whether this use of the object puts it where it lasts."""
    parent = context.tree.parent(node)
    while isinstance(parent, (cst.Await, cst.Tuple, cst.Element)):
        parent = context.tree.parent(parent)
    match parent:
        case cst.Return() | cst.Yield() | cst.List() | cst.Dict() | cst.DictElement() | cst.Assign():
            return True
        case cst.Arg():
            call = context.tree.parent(parent)
            return isinstance(call, cst.Call) and last_name(call.func) in _KEEPS
    return False


def _outlives(context: Context, name: cst.Name, loop: cst.CSTNode) -> bool:
    """Whether another turn, or the code after the loop, uses the object of this turn."""
    owner = context.scope(name).owner(name.value)
    if owner is None:
        return True
    inside, start = context.flow.inside, context.tree.span(name).start
    reads = loads(context.names, name)
    if any(inside(read, loop) and context.tree.span(read).start < start for read in reads):
        return True  # an earlier turn's
    elsewhere = any(not inside(item.node, loop) for item in owner.bindings[name.value])
    return not elsewhere and any(not inside(read, loop) for read in reads)
