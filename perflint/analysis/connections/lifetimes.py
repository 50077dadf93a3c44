"""How long a connection, cursor, session or response lives: who else gets it, and where it is closed.

What escapes the function is somebody else's to close, and silence is right.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import libcst as cst

from perflint.analysis.concurrency.fates import loads
from perflint.analysis.match import decorator_name, last_name
from perflint.analysis.outline import leaf
from perflint.analysis.possible import own
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, Function

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Place = Literal["finally", "handler", "with", "plain"]

CLOSING = frozenset({"close", "aclose", "terminate", "release", "dispose", "disconnect", "remove"})
GIVING_BACK = frozenset({"putconn", "release", "put", "close"})  # pool.putconn(conn), self.close(conn)
_HARMLESS = {
    *("print", "len", "repr", "str", "isinstance", "type", "id", "iter", "next", "list", "tuple", "sorted"),
    *("enumerate", "zip", "read_sql", "read_sql_query", "read_sql_table", "bool", "hasattr", "getattr"),
}  # fmt: skip
_OWNING = re.compile(r"^(__enter__|__aenter__|__init__|setUp\w*|asyncSetUp|setup_(method|class|module))$")
_MANAGED = {"contextmanager", "asynccontextmanager", "fixture"}


class End(NamedTuple):
    """One place that closes a resource."""

    node: cst.CSTNode
    place: Place


class Lifetime(NamedTuple):
    """What becomes of a resource that is bound to a local name."""

    name: cst.Name  # where it is bound
    reads: tuple[cst.Name, ...]  # in source order
    escapes: bool
    ends: tuple[End, ...]

    @property
    def closed(self) -> bool:
        """Whether some path other than an error's closes it."""
        return any(end.place != "handler" for end in self.ends)


def bound_to(context: Context, node: cst.BaseExpression) -> cst.Name | None:
    """The one plain name that a statement binds to the value (or to what it awaits to)."""
    match context.tree.taker(node):
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as name)]):
            return name
        case cst.AnnAssign(target=cst.Name() as name):
            return name
        case cst.NamedExpr(target=cst.Name() as name):
            return name
    return None


def lifetime(context: Context, name: cst.Name) -> Lifetime | None:
    """The life of the local that `name` binds; None where the name is no plain local of a function."""
    owner = context.scope(name).owner(name.value)
    if owner is None or owner.kind != "function" or name.value in owner.declared:
        return None
    reads = tuple(loads(context.names, name))
    captured = bool(context.flow.captured(name.value, owner)) or context.flow.introspected(owner)
    ends = tuple(end for read in reads for end in _end(context, read))
    escapes = captured or any(escaping(context, read) for read in reads)
    return Lifetime(name, reads, escapes, ends)


def kept(sketch: Sketch, name: str) -> bool:
    """A gate's question: whether a local of the region may neither be closed nor get out of the function."""
    if not own(sketch, name):
        return True
    given: list[ast.expr | None] = [node.value for node in sketch.of(ast.Return)]
    given += [node.value for node in sketch.of(ast.Yield)]
    given += [node.value for node in sketch.of(ast.Assign)]
    for call in sketch.of(ast.Call):
        if leaf(call.func) not in _HARMLESS:  # which keeps nothing of it; others do, or close it
            given += [*call.args, *(item.value for item in call.keywords)]
    given += [call.func.value for call in sketch.calls(*CLOSING) if isinstance(call.func, ast.Attribute)]
    return not any(isinstance(item, ast.Name) and item.id == name for item in given)


def owned_elsewhere(context: Context, node: cst.CSTNode) -> bool:
    """Whether the function around sets a resource up for others: fixtures, `__enter__`, context managers."""
    function = next((item for item in context.tree.ancestors(node) if isinstance(item, Function)), None)
    if not isinstance(function, cst.FunctionDef):
        return isinstance(function, cst.Lambda)
    return bool(_OWNING.match(function.name.value)) or managed(context, node)


def managed(context: Context, node: cst.CSTNode) -> bool:
    """Whether the function around is a context manager or fixture by its decorator: it goes on after its `yield`."""
    function = context.tree.function(node)
    decorators = function.decorators if function is not None else ()
    return any(decorator_name(item) in _MANAGED for item in decorators)


def escaping(context: Context, read: cst.CSTNode) -> bool:
    """Whether this use of a resource lets anybody else hold it: a return, a store, an argument, another name."""
    below, parent = read, context.tree.parent(read)
    while isinstance(parent, (cst.Await, cst.IfExp, cst.BooleanOperation, cst.NamedExpr)):
        if _tested(parent, below):
            return False
        below, parent = parent, context.tree.parent(parent)
    match parent:
        case cst.Attribute(attr=cst.Name(value=method)) if method in CLOSING:  # `atexit.register(conn.close)`
            return not isinstance(context.tree.parent(parent), cst.Call)
        case cst.Return() | cst.Yield() | cst.From() | cst.Lambda() | cst.Raise():
            return True
        case cst.Assign() | cst.AnnAssign() | cst.AugAssign():
            return True
        case cst.Element() | cst.StarredElement() | cst.DictElement() | cst.StarredDictElement():
            return True
        case cst.Arg():
            return not _harmless(context, parent)
    return isinstance(parent, Comprehension) and below is not parent.for_in


def place_of(context: Context, node: cst.CSTNode) -> Place:
    """Which path of its function a node stands on."""
    for above in context.tree.ancestors(node):
        match above:
            case cst.Finally():
                return "finally"
            case cst.ExceptHandler():
                return "handler"
            case cst.FunctionDef() | cst.Lambda():
                break
    return "plain"


def _tested(parent: cst.CSTNode, below: cst.CSTNode) -> bool:
    """Whether the value only decides: `a if conn else b`, `conn and f()`."""
    match parent:
        case cst.IfExp(test=test):
            return below is test
        case cst.BooleanOperation(left=left, operator=cst.And()):
            return below is left
    return False


def _end(context: Context, read: cst.Name) -> list[End]:
    """Whether this use of the name closes it."""
    parent = context.tree.parent(read)
    match parent:
        case cst.Attribute(attr=cst.Name(value=method)) if parent.value is read and method in CLOSING:
            call = context.tree.parent(parent)
            return [End(call, place_of(context, call))] if isinstance(call, cst.Call) else []
        case cst.WithItem():
            return [End(parent, "with")]
        case cst.Arg():
            call = context.tree.parent(parent)
            if isinstance(call, cst.Call) and last_name(call.func) in GIVING_BACK:
                return [End(call, place_of(context, call))]
            if isinstance(call, cst.Call) and last_name(call.func) in ("closing", "aclosing"):
                return [End(call, "with")]
    return []


def _harmless(context: Context, argument: cst.Arg) -> bool:
    """Whether the call takes the value and keeps nothing of it."""
    call = context.tree.parent(argument)
    return isinstance(call, cst.Call) and last_name(call.func) in _HARMLESS | GIVING_BACK - {"put"}
