"""What becomes of the value of a call: thrown away, kept where nobody looks, or used."""

from __future__ import annotations

from typing import Literal

import libcst as cst

from perflint.analysis.flow import Flow
from perflint.analysis.names import Names
from perflint.analysis.tree import Comprehension

Fate = Literal[
    "dropped",  # a statement of its own; an item of a display or comprehension that is one
    "underscore",  # `_ = call`
    "unread",  # bound to a local that nothing reads
    "lambda",  # the body of a lambda
    "awaited",
    "used",
]


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
