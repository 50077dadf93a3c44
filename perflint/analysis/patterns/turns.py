"""How often a loop runs, as far as its text tells."""

from __future__ import annotations

import libcst as cst

from perflint.analysis.flow import LoopNode
from perflint.analysis.match import dotted, names_in, root
from perflint.analysis.names import Scope
from perflint.analysis.tree import walk, walk_scope

_SHORT = 64  # a value that the loop keeps shorter than this is not worth a finding


def climbs(loop: LoopNode) -> bool:
    """Whether a `while` goes from a node to the one above it: `node = node.parent`, `head, tail = split(head)`."""
    if not isinstance(loop, cst.While):
        return False
    for node in walk_scope(loop.body):
        if isinstance(node, cst.Assign) and isinstance(node.value, (cst.Attribute, cst.Call, cst.Subscript)):
            bound = names_in(*(target.target for target in node.targets))
            made_of = names_in(node.value) if isinstance(node.value, cst.Call) else {root(node.value)}
            if bound & made_of:
                return True
    return False


def shortened(loop: LoopNode) -> bool:
    """Whether a `while` divides its counter in each turn: as many turns as the number has digits."""
    if not isinstance(loop, cst.While):
        return False
    tested = {node.value for node in walk(loop.test) if isinstance(node, cst.Name)}
    return any(_divided(node) in tested for node in walk_scope(loop.body))


def _divided(node: cst.CSTNode) -> str | None:
    match node:
        case cst.AugAssign(
            target=cst.Name(value=name),
            operator=cst.RightShiftAssign() | cst.FloorDivideAssign() | cst.DivideAssign(),
        ):
            return name
        case cst.Assign(
            targets=[cst.AssignTarget(cst.Name(value=name))],
            value=cst.BinaryOperation(
                left=cst.Name(value=left), operator=cst.RightShift() | cst.FloorDivide() | cst.Divide()
            ),
        ) if left == name:
            return name
        case cst.Assign(
            value=cst.Call(func=cst.Name(value="divmod"), args=[cst.Arg(value=cst.Name(value=name)), _])
        ):
            return name
    return None


def limited(loop: LoopNode, place: str, scope: Scope) -> bool:
    """Whether a `while` asks for a length of at most SHORT: `while len(header) < 4`."""
    if not isinstance(loop, cst.While):
        return False
    for node in walk(loop.test):
        match node:
            case cst.Comparison(
                left=cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=measured)]),
                comparisons=[
                    cst.ComparisonTarget(cst.LessThan() | cst.LessThanEqual() | cst.NotEqual(), limit)
                ],
            ) if dotted(measured) == place:
                return _small(limit, scope)
    return False


def _small(limit: cst.BaseExpression, scope: Scope) -> bool:
    """Whether a length is a small number, or the size of a struct."""
    match limit:
        case cst.Integer(value=value):
            return int(value.replace("_", ""), 0) <= _SHORT
        case (
            cst.Attribute(attr=cst.Name(value="size"))
            | cst.Call(func=cst.Attribute(attr=cst.Name(value="calcsize")))
        ):
            return True
        case cst.Name(value=name):
            bindings = scope.bindings.get(name, [])
            bound = bindings[0].value if len(bindings) == 1 else None
            return bound is not None and not isinstance(bound, cst.Name) and _small(bound, scope)
    return False
