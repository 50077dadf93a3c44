"""Whether a flag that a loop asks again and again is set by another function."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.outline import FunctionNode, Store

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context


def may_ask(test: ast.expr, methods: Collection[str]) -> bool:
    """A gate's question: whether a test may look at a flag, or ask an object by one of the methods."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=inner) | ast.BoolOp(values=[*_, inner]):
            return may_ask(inner, methods)
        case ast.Compare(left=left, comparators=[right]):
            flags = isinstance(right, ast.Constant) and right.value in (None, True, False)
            return may_ask(left, methods) and (flags or isinstance(left, ast.Call))
        case ast.Call(func=ast.Attribute(attr=word)):
            return word in methods
        case ast.Call(func=ast.Name(id="any" | "all")) | ast.Name() | ast.Attribute(value=ast.Name()):
            return True
    return False


def set_elsewhere(context: Context, flag: cst.BaseExpression, value: bool, loop: cst.CSTNode) -> bool:
    """Whether some other function makes an attribute of `self` or a global true (or false, by `value`).

    All that is stored must be in sight: constants, and objects that are made after the start.
    """
    home = context.objects.home(loop)
    match flag:
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
            stores = context.facts.outline.attribute(home.owner, name)
        case cst.Name(value=name) if context.scope(flag).owner(name) in (None, context.names.top):
            stores = context.facts.outline.variable(name)
        case _:
            return False
    bare = [item for item in stores if item.value is None and item.annotation is None]
    states = [(_state(item), item.home.function) for item in stores if item.value is not None]
    if (
        bare
        or any(state is None for state, _ in states)
        or not any(state is not value for state, _ in states)
    ):
        return False
    return any(
        state is value and function is not None and function is not home.function and not _makes(function)
        for state, function in states
    )


def _state(store: Store) -> bool | None:
    """Whether what is stored is true; None where nobody knows."""
    match store.value:
        case ast.Constant(value=bool() | None as value):
            return bool(value)
        case ast.Call() | ast.Await(value=ast.Call()) if not _makes(store.home.function):
            return True  # an object that was made in the meantime
    return None


def _makes(function: FunctionNode | None) -> bool:
    return function is not None and function.name in ("__init__", "__new__")
