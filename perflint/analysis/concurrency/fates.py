"""What becomes of the value of a call: thrown away, kept where nobody looks, or used."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from typing import Literal

import libcst as cst

from perflint.analysis.flow import Flow
from perflint.analysis.names import Names
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, walk

Fate = Literal[
    "dropped",  # a statement of its own; an item of a display or comprehension that is one
    "underscore",  # `_ = call`
    "unread",  # bound to a local that nothing reads
    "lambda",  # the body of a lambda
    "awaited",
    "used",
]
Idle = Callable[[cst.Name], bool]  # whether a read of a name looks at no outcome

_COLLECTS = {"append", "add", "extend", "appendleft"}
# Those who call back drop what the callback returns.
_DROPS = {
    *("call_soon", "call_soon_threadsafe", "call_later", "call_at", "add_done_callback"),
    *("add_signal_handler", "add_reader", "add_writer"),
}
_KEEPS: tuple[type[ast.Expr | ast.Assign | ast.AnnAssign], ...] = (ast.Expr, ast.Assign, ast.AnnAssign)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_READERS = ("list", "tuple", "set", "dict", "sum", "sorted", "max", "min", "len")
_DROPPING = {"signal.signal", "atexit.register", "threading.Timer"}


def fate(names: Names, flow: Flow, node: cst.BaseExpression) -> Fate:
    """What becomes of an expression's value; of a list's or comprehension's, where it is an item of one."""
    parent = names.tree.parent(node)
    match parent:
        case cst.Expr():
            return "dropped"
        case cst.Await():
            return "awaited"
        case cst.Lambda():
            return "lambda"
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as name)]):
            return _of_name(names, flow, name)
        case cst.AnnAssign(target=cst.Name() as name):
            return _of_name(names, flow, name)
        case cst.Element() | cst.StarredElement():
            display = names.tree.parent(parent)
            return fate(names, flow, display) if isinstance(display, cst.BaseExpression) else "used"
        case cst.ListComp() | cst.SetComp() | cst.GeneratorExp() if parent.elt is node:
            return fate(names, flow, parent)
        case cst.DictComp() if parent.value is node:
            return fate(names, flow, parent)
    return "used"


def bound_name(names: Names, node: cst.BaseExpression) -> cst.Name | None:
    """The local that a statement binds to the value, or to the list or comprehension that it is an item of."""
    parent = names.tree.parent(node)
    match parent:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as name)]):
            return name
        case cst.AnnAssign(target=cst.Name() as name):
            return name
        case cst.Element() | cst.StarredElement():
            display = names.tree.parent(parent)
            return bound_name(names, display) if isinstance(display, cst.BaseExpression) else None
    if isinstance(parent, Comprehension):
        return bound_name(names, parent)
    return None


def loads(names: Names, name: cst.Name) -> list[cst.Name]:
    """Every read of the place that `name` names, nested functions included; none for a module's or a global."""
    scope = names.scope(name)
    owner = scope.owner(name.value)
    if owner is None:
        return []
    scopes = [owner, *owner.within()]
    return [
        read for item in scopes for read in item.reads.get(name.value, ()) if item.owner(name.value) is owner
    ]


def _of_name(names: Names, flow: Flow, name: cst.Name) -> Fate:
    if name.value == "_":
        return "underscore"
    scope = names.scope(name)
    owner = scope.owner(name.value)
    if owner is None or owner.kind != "function" or name.value in scope.declared or flow.introspected(owner):
        return "used"  # a module's or class's names are everybody's
    return "used" if loads(names, name) else "unread"


def collector(names: Names, node: cst.BaseExpression) -> cst.Name | None:
    """The name of the list or set that a call such as `futures.append(node)` puts the value into."""
    argument = names.tree.parent(node)
    call = names.tree.parent(argument) if isinstance(argument, cst.Arg) else None
    match call:
        case cst.Call(func=cst.Attribute(value=cst.Name() as owner, attr=cst.Name(value=method))):
            return owner if method in _COLLECTS else None
    return None


def forsaken(names: Names, flow: Flow, node: cst.BaseExpression, idle: Idle) -> Fate | None:
    """What becomes of a value whose outcome nobody looks at; None where somebody may.

    "unread" covers a value that is kept in a local, directly or in a list, where every use only
    collects, counts or (by `idle`) waits without looking.
    """
    what = fate(names, flow, node)
    if what in ("dropped", "underscore", "unread"):
        return what
    name = bound_name(names, node) or collector(names, node)
    if name is None or isinstance(names.tree.parent(node), cst.Lambda):
        return None
    owner = names.scope(name).owner(name.value)
    if owner is None or owner.kind != "function" or flow.introspected(owner) or name.value in owner.declared:
        return None
    if any(item.kind != "assign" for item in owner.bindings[name.value]):
        return None
    reads = loads(names, name)
    return "unread" if all(_collects(names, read) or idle(read) for read in reads) else None


def _collects(names: Names, read: cst.Name) -> bool:
    """Whether the read only adds to the list, or counts it."""
    parent = names.tree.parent(read)
    match parent:
        case cst.Attribute(attr=cst.Name(value=method)) if parent.value is read:
            call = names.tree.parent(parent)
            return method in _COLLECTS and isinstance(names.tree.parent(call or parent), cst.Expr)
        case cst.Arg():
            call = names.tree.parent(parent)
            return isinstance(call, cst.Call) and names.builtin(call.func) == "len"
    return False


def droppable(sketch: Sketch, calls: Collection[ast.expr]) -> bool:
    """Whether the value of one of the calls may be thrown away, or be kept in a local or a list."""
    if not calls:
        return False
    values: list[ast.AST | None] = [node.value for kind in _KEEPS for node in sketch.of(kind)]
    values += [node.body for node in sketch.of(ast.Lambda)]
    values += [item for call in sketch.calls(*_COLLECTS) for item in call.args]
    return _holds(values, calls)


def dropped(sketch: Sketch, calls: Collection[ast.expr]) -> bool:
    """Whether a statement of its own may be one of the calls, or a display or comprehension of it."""
    return bool(calls) and _holds([node.value for node in sketch.of(ast.Expr)], calls)


def forgotten(sketch: Sketch, calls: Collection[ast.expr]) -> bool:
    """Whether the value of one of the calls may be dropped, given to `_` or a name that nothing reads, or be a lambda's."""
    if not calls:
        return False
    bound = [(node.targets[0], node.value) for node in sketch.of(ast.Assign)]
    bound += [(node.target, node.value) for node in sketch.of(ast.AnnAssign) if node.value is not None]
    return dropped(sketch, calls) or any(
        isinstance(target, ast.Name) and (target.id == "_" or unread(sketch, target.id))
        for target, value in (*bound, *((ast.Name("_"), node.body) for node in sketch.of(ast.Lambda)))
        if _holds([value], calls)
    )


def _holds(stack: list[ast.AST | None], wanted: Collection[ast.expr]) -> bool:
    """Whether one of the values is wanted, or the item of one that is a display or comprehension."""
    while stack:
        node = stack.pop()
        if node in wanted:
            return True
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                stack += items
            case ast.ListComp(elt=inner) | ast.SetComp(elt=inner) | ast.GeneratorExp(elt=inner):
                stack.append(inner)
            case ast.DictComp(key=key, value=inner):
                stack += (key, inner)
            case ast.Starred(value=inner):
                stack.append(inner)
    return False


def unread(sketch: Sketch, name: str) -> bool:
    """Whether the region may never read the local; where an inner scope binds the name, reads may be of that."""
    root = sketch.region.node
    head = [root.args, *root.decorator_list] if isinstance(root, _SCOPES[:2]) else []  # of the scope around
    outside = {part for node in head for part in ast.walk(node)}
    reads = (node for node in sketch.of(ast.Name) if node.id == name and isinstance(node.ctx, ast.Load))
    inner: list[ast.AST] = [node for kind in _SCOPES for node in sketch.of(kind) if node is not root]
    inner += [clause.target for clause in sketch.of(ast.comprehension)]
    return outside.issuperset(reads) or any(_binds(part, name) for node in inner for part in ast.walk(node))


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    return any(getattr(node, field, None) == name for field in ("name", "arg", "asname", "rest"))


def called_back(names: Names, node: cst.BaseExpression) -> bool:
    """Whether a lambda returns the value to something that drops what its callbacks return."""
    inner = names.tree.parent(node)
    handed = names.tree.parent(inner) if isinstance(inner, cst.Lambda) else None
    taker = names.tree.parent(handed) if isinstance(handed, cst.Arg) else None
    if not isinstance(taker, cst.Call):
        return False
    if isinstance(taker.func, cst.Attribute) and taker.func.attr.value in _DROPS:
        return True
    return names.qualified(taker.func) in _DROPPING


def reads_all(body: cst.BaseSuite, name: str, names: Names) -> bool:
    """Whether each use of the pool is read to its end at once: `list(pool.map(..))`, `pool.submit(..).result()`."""
    used = 0
    for part in walk(body):
        if isinstance(part, (cst.Break, cst.Return)):
            return False
        if isinstance(part, cst.Name) and part.value == name:
            used += 1
            if not _read(part, names):
                return False
    return used > 0


def _read(name: cst.Name, names: Names) -> bool:
    tree = names.tree
    attribute = tree.parent(name)
    call = tree.parent(attribute) if isinstance(attribute, cst.Attribute) else None
    if (
        not isinstance(attribute, cst.Attribute)
        or not isinstance(call, cst.Call)
        or call.func is not attribute
    ):
        return False
    match attribute.attr.value, tree.parent(call):
        case "submit", cst.Attribute(attr=cst.Name(value="result")):
            return True
        case "map", cst.Arg() as argument:
            reader = tree.parent(argument)
            return isinstance(reader, cst.Call) and names.builtin(reader.func) in _READERS
        case "map", cst.For(iter=iterable):
            return iterable is call
        case "map", cst.CompFor(iter=iterable) as clause:
            return iterable is call and not isinstance(tree.parent(clause), cst.GeneratorExp)
    return False
