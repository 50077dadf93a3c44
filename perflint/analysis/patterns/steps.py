"""Calls of `struct` with a known format, and offsets that go through a buffer by fixed steps."""

from __future__ import annotations

import ast
import struct
from dataclasses import dataclass

import libcst as cst

from perflint.analysis.flow import Flow
from perflint.analysis.match import dotted, names_in, plain_args
from perflint.analysis.names import Names
from perflint.analysis.tree import walk_scope

_METHODS = {"pack", "unpack", "unpack_from", "pack_into", "calcsize", "iter_unpack"}


@dataclass(frozen=True, eq=False)
class Packer:
    """A call of one of struct's functions, or of a Struct's methods."""

    call: cst.Call
    method: str
    format: str
    values: list[cst.BaseExpression]  # the arguments after the format
    bound: bool = False  # a method of a Struct


def packer(call: cst.Call, names: Names) -> Packer | None:
    """The call with its format, where both are certain."""
    func = call.func
    method = func.attr if isinstance(func, cst.Attribute) else func
    args = plain_args(call)
    if not isinstance(method, cst.Name) or args is None:
        return None
    qualified = names.qualified(func) or ""
    if qualified.startswith("struct.") and qualified[7:] in _METHODS and args:
        layout = _text(args[0])
        return Packer(call, qualified[7:], layout, args[1:]) if layout else None
    if isinstance(func, cst.Attribute) and isinstance(func.value, cst.Name) and method.value in _METHODS:
        layout = _struct(func.value, names)
        return Packer(call, method.value, layout, args, bound=True) if layout else None
    return None


def _text(node: cst.BaseExpression) -> str:
    if not isinstance(node, cst.SimpleString):
        return ""
    value = node.evaluated_value
    return _valid(value.decode("latin-1") if isinstance(value, bytes) else value)


def _valid(layout: str) -> str:
    try:
        struct.calcsize(layout)
    except struct.error:
        return ""
    return layout


def _struct(name: cst.Name, names: Names) -> str:
    """The format of the Struct that a name is bound to, once."""
    owner = names.scope(name).owner(name.value)
    if owner is None or owner is names.top:
        return _module_struct(name.value, names)
    bindings = owner.bindings[name.value]
    match bindings[0].value if len(bindings) == 1 else None:
        case cst.Call(func=maker, args=[cst.Arg(value=layout)]) if names.qualified(maker) == "struct.Struct":
            return _text(layout)
    return ""


def _module_struct(name: str, names: Names) -> str:
    match names.facts.constant(name):
        case ast.Call(func=maker, args=[ast.Constant(value=str(layout))], keywords=[]):
            match maker:
                case ast.Attribute(value=ast.Name(id=module), attr="Struct"):
                    known = names.facts.imported(module) == "struct"
                case ast.Name(id=local):
                    known = names.facts.imported(local) == "struct.Struct"
                case _:
                    known = False
            return _valid(layout) if known else ""
    return ""


def offset_steps(offset: cst.BaseExpression, loop: cst.CSTNode, size: int, flow: Flow) -> bool:
    """Whether `offset` goes up by exactly `size` in each turn of the loop."""
    if isinstance(loop, cst.While):
        return isinstance(offset, cst.Name) and _advanced(offset.value, loop, size, flow)
    word, step = _counter(loop, flow)
    if word is None:
        return False
    match offset:
        case cst.Name(value=name) if name == word:
            return step is not None and _is_size(step, size, flow)
        case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
            for part, base in ((left, right), (right, left)):
                if word not in names_in(base):
                    return offset_steps(part, loop, size, flow)
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right) if step is None:
            return any(
                dotted(one) == word and _is_size(other, size, flow)
                for one, other in ((left, right), (right, left))
            )
    return False


def slice_steps(piece: cst.Subscript, loop: cst.CSTNode, size: int, flow: Flow) -> bool:
    """Whether `data[i : i + size]` takes one record after the other."""
    match piece.slice:
        case [cst.SubscriptElement(cst.Slice(lower=cst.BaseExpression() as low, upper=high, step=None))]:
            pass
        case _:
            return False
    if not offset_steps(low, loop, size, flow):
        return False
    start = flow.tree.code(low)
    match high:
        case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
            return any(
                flow.tree.code(one) == start and _is_size(other, size, flow)
                for one, other in ((left, right), (right, left))
            )
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            # data[i * 4 : (i + 1) * 4]
            return any(
                _next(one) and _is_size(other, size, flow) for one, other in ((left, right), (right, left))
            )
    return False


def _next(node: cst.BaseExpression) -> bool:
    match node:
        case cst.BinaryOperation(left=cst.Name(), operator=cst.Add(), right=cst.Integer(value="1")):
            return True
    return False


def _counter(loop: cst.CSTNode, flow: Flow) -> tuple[str | None, cst.BaseExpression | None]:
    """The variable of `for i in range(..)` and the step, if it is not one."""
    clause = getattr(loop, "for_in", loop)
    match clause:
        case (
            cst.For(target=cst.Name(value=word), iter=cst.Call(func=function) as call)
            | cst.CompFor(
                target=cst.Name(value=word), iter=cst.Call(func=function) as call, inner_for_in=None
            )
        ) if flow.names.builtin(function) == "range":
            args = plain_args(call)
            if args is not None and len(args) == 3:
                return word, args[2]
            return (word, None) if args else (None, None)
    return None, None


def _advanced(name: str, loop: cst.While, size: int, flow: Flow) -> bool:
    """Whether the loop's only change of `name` is `name += size`, in every turn."""
    changes = [
        node
        for node in walk_scope(loop.body)
        if isinstance(node, (cst.AugAssign, cst.AssignTarget, cst.For, cst.NamedExpr, cst.AnnAssign))
        and name in names_in(node.target)
    ]
    match changes:
        case [cst.AugAssign(target=cst.Name(), operator=cst.AddAssign(), value=step) as change]:
            every = flow.tree.parent(flow.tree.statement(change)) is loop.body
            return every and _is_size(step, size, flow)
    return False


def _is_size(node: cst.BaseExpression, size: int, flow: Flow, depth: int = 0) -> bool:
    """Whether an expression is `size`: a number, `calcsize`, a Struct's `size`, or a name for one of these."""
    match node:
        case cst.Integer(value=value):
            return int(value.replace("_", ""), 0) == size
        case cst.Call() as call:
            found = packer(call, flow.names)
            return found is not None and found.method == "calcsize" and struct.calcsize(found.format) == size
        case cst.Attribute(value=cst.Name() as owner, attr=cst.Name(value="size")):
            layout = _struct(owner, flow.names)
            return bool(layout) and struct.calcsize(layout) == size
        case cst.Name(value=name) if depth < 3:
            scope = flow.names.scope(node).owner(name)
            if scope is None or scope is flow.names.top:
                constant = flow.names.facts.constant(name)
                return isinstance(constant, ast.Constant) and constant.value == size
            bindings = scope.bindings[name]
            bound = bindings[0].value if len(bindings) == 1 else None
            return bound is not None and _is_size(bound, size, flow, depth + 1)
    return False
