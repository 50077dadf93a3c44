"""What stays the same through the turns of a loop, and what depends on the loop's variable.

Invariant means: made of constants and of names that the loop neither rebinds nor changes in
place, without a call. A wrong "invariant" would tell people to move code that must stay.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import takewhile

import libcst as cst

from perflint.analysis.flow import SMALL, Flow, bound_names
from perflint.analysis.match import names_in, root
from perflint.analysis.names import Scope
from perflint.analysis.tree import Comprehension, Loop, children, walk

_CONSTANTS = (cst.SimpleString, cst.Integer, cst.Float, cst.Imaginary, cst.Ellipsis)
_CHANGERS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "load",
        "pop",
        "popitem",
        "popleft",
    }
    | {"remove", "reverse", "rotate", "setdefault", "sort", "update", "seek", "read", "readline", "next"}
)


def inner(flow: Flow, node: cst.CSTNode) -> bool:
    """Whether a function's body or a loop statement holds the node: what a gate with `inner` admits."""
    functions = (above for above in flow.tree.ancestors(node) if isinstance(above, cst.FunctionDef))
    return flow.loop(node) is not None or any(flow.inside(node, function.body) for function in functions)


def repeats(flow: Flow, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """All loops and comprehensions that evaluate `node` again, innermost first, within its own function."""
    here = flow.repeated(node)
    while here is not None:
        yield here
        here = flow.repeated(here)


def needless(flow: Flow, node: cst.CSTNode, parts: Iterable[cst.CSTNode]) -> list[cst.CSTNode]:
    """The loops, innermost first, that evaluate `node` again though its `parts` stay the same.

    Empty where none does, or where they are known to make a few turns only.
    """
    kept = list(parts)
    loops = takewhile(lambda loop: all(invariant(flow, part, loop) for part in kept), repeats(flow, node))
    again = [loop for loop in loops if not (isinstance(loop, Loop) and flow.runs_once(node, loop))]
    return again if not all(few(flow, loop) for loop in again) else []


def few(flow: Flow, loop: cst.CSTNode) -> bool:
    """Whether the loop makes a few turns only: over a few known items, or over what a constant holds.

    More than `Flow.bounded` it looks behind names: tables of a handful of rows are not worth a word.
    """
    if flow.bounded(loop):
        return True
    iterable = (
        loop.iter if isinstance(loop, cst.For) else getattr(getattr(loop, "for_in", None), "iter", None)
    )
    while isinstance(iterable, cst.Call):
        match iterable:
            case cst.Call(
                func=cst.Attribute(value=iterable, attr=cst.Name(value="items" | "keys" | "values")), args=[]
            ):
                pass
            case cst.Call(
                func=cst.Name(value="enumerate" | "sorted" | "reversed"), args=[cst.Arg(value=iterable), *_]
            ):
                pass
            case _:
                return False
    match iterable:
        case cst.Attribute(attr=cst.Name(value=name)):
            return name.isupper()
        case cst.Name(value=name):
            return name.isupper() or _small(flow, iterable)
    return False


def _small(flow: Flow, name: cst.Name) -> bool:
    """Whether the name is bound once, to a display of a few items."""
    value = flow.names.assigned(name)
    if isinstance(value, (cst.List, cst.Tuple, cst.Set, cst.Dict)):
        starred = (cst.StarredElement, cst.StarredDictElement)
        return 0 < len(value.elements) <= SMALL and not any(
            isinstance(item, starred) for item in value.elements
        )
    return False


def recurs(flow: Flow, node: cst.CSTNode) -> bool:
    """Whether a loop or comprehension over more than a few items evaluates `node` again."""
    return bool(needless(flow, node, ()))


def invariant(flow: Flow, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether the expression gives an equal value in every turn of `loop`."""
    match node:
        case cst.Name():
            return _steady(flow, node, loop)
        case cst.Attribute(attr=cst.Name(value=name)):
            # `config.flags` may be set between turns; `re.IGNORECASE` and `decimal.Decimal` are not
            return not name.islower() and flow.names.qualified(node) is not None
        case cst.Lambda() | cst.FunctionDef() | cst.ClassDef():
            return independent(flow, node, loop)
        case cst.FormattedStringExpression(format_spec=None) | cst.FormattedStringText():
            pass
        case cst.ConcatenatedString() | cst.FormattedString() | cst.UnaryOperation() | cst.BinaryOperation():
            pass
        case cst.Tuple() | cst.List() | cst.Set() | cst.Dict() | cst.Element() | cst.DictElement():
            pass
        case _:
            return isinstance(node, (*_CONSTANTS, cst.BaseUnaryOp, cst.BaseBinaryOp))
    return all(invariant(flow, child, loop) for child in children(node))


def may_stay(node: ast.expr | None) -> bool:
    """Whether `invariant` could hold of the expression, as far as its shape tells."""
    match node:
        case ast.Name() | ast.Constant() | ast.Lambda():
            return True
        case ast.Attribute(attr=name):
            return not name.islower()
        case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return all(map(may_stay, parts))
        case ast.FormattedValue(value=part, format_spec=None) | ast.UnaryOp(operand=part):
            return may_stay(part)
        case ast.BinOp(left=left, right=right):
            return may_stay(left) and may_stay(right)
        case ast.Dict(keys=keys, values=values):
            return all(map(may_stay, (*keys, *values)))
    return False


def independent(flow: Flow, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether no name that a lambda, function or class reads from outside itself changes in `loop`."""
    own = {node.name.value} if isinstance(node, (cst.FunctionDef, cst.ClassDef)) else set()
    for read in reads_in(node):
        owner = flow.names.scope(read).owner(read.value)
        inside = owner is not None and flow.inside(owner.node, node)
        if read.value not in own and not inside and not _steady(flow, read, loop):
            return False
    return True


def static(flow: Flow, *nodes: cst.CSTNode) -> bool:
    """Whether the nodes read no name of a function around them, nor a module's that functions rebind."""
    for node in nodes:
        for read in reads_in(node):
            owner = flow.names.scope(read).owner(read.value)
            if owner not in (None, flow.names.top) and not flow.inside(owner.node, node):
                return False
            if read.value in flow.names.facts.global_names:
                return False
    return True


def reads_in(node: cst.CSTNode) -> Iterator[cst.Name]:
    """The names in a node that are not attributes, keywords, or the name of a definition."""
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, cst.Name):
            yield here
        elif isinstance(here, (cst.Attribute, cst.Arg)):
            stack.append(here.value)
        else:
            stack.extend(item for item in children(here) if item is not _defined(here))


def _defined(node: cst.CSTNode) -> cst.CSTNode | None:
    return node.name if isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Param)) else None


def _steady(flow: Flow, name: cst.Name, loop: cst.CSTNode) -> bool:
    """Whether the name means one unchanged object in all turns of `loop`."""
    scope = flow.names.scope(name)
    owner = scope.owner(name.value)
    if (owner is None or owner is flow.names.top) and name.value in flow.names.facts.global_names:
        return False
    if owner is not None and _rebound(flow, name.value, owner, loop):
        return False
    return name.value not in _changed(loop)


def _rebound(flow: Flow, name: str, owner: Scope, loop: cst.CSTNode) -> bool:
    """Whether the loop, or a nested function that may run in it, binds the name again."""
    nested = any(scope.declared.get(name) == "nonlocal" for scope in owner.within())
    return nested or bool(flow.bindings_in(name, owner, loop))


def _changed(loop: cst.CSTNode) -> set[str]:
    """The roots of what the loop stores into, deletes from, or calls a mutating method of."""
    found: set[str | None] = set()
    for node in walk(loop):
        match node:
            case (
                cst.AssignTarget(target=target) | cst.AugAssign(target=target) | cst.AnnAssign(target=target)
            ):
                found.update(_stored_into(target))
            case cst.Del(target=target) | cst.For(target=target) | cst.AsName(name=target):
                found.update(_stored_into(target))
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method))) if (
                method in _CHANGERS
            ):
                found.add(root(owner))
    return {name for name in found if name is not None}


def _stored_into(target: cst.CSTNode) -> Iterator[str | None]:
    if isinstance(target, (cst.Attribute, cst.Subscript)):
        yield root(target)
    elif isinstance(target, (cst.Tuple, cst.List)):
        for element in target.elements:
            yield from _stored_into(element.value)


def variables(loop: cst.CSTNode) -> set[str]:
    """The names that the loop itself binds in each turn: `a` and `b` of `for a, b in pairs`."""
    if isinstance(loop, cst.For):
        return bound_names(loop.target)
    found: set[str] = set()
    clause = loop.for_in if isinstance(loop, Comprehension) else None
    while clause is not None:
        found |= bound_names(clause.target)
        clause = clause.inner_for_in
    return found


def dependents(loop: cst.CSTNode) -> set[str]:
    """The loop's variables, and the names in it that are made from them."""
    found = variables(loop)
    size = -1 if found else 0
    while len(found) != size:
        size = len(found)
        for node in walk(loop):
            match node:
                case cst.Assign(targets=targets, value=value) if names_in(value) & found:
                    found |= set().union(*(bound_names(item.target) for item in targets))
                case (
                    cst.AnnAssign(target=target, value=cst.BaseExpression() as value)
                    | cst.NamedExpr(target=target, value=value)
                    | cst.For(target=target, iter=value)
                    | cst.CompFor(target=target, iter=value)
                ) if names_in(value) & found:
                    found |= bound_names(target)
    return found
