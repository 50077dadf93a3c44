"""Turns an immutable accumulator into one that grows in place, and converts it once at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import libcst as cst

from perflint.analysis.flow import Flow
from perflint.analysis.match import GROWING, Growth, contains, dotted, growths
from perflint.analysis.names import Names, Scope
from perflint.analysis.patterns.accumulate import Accumulator
from perflint.analysis.rewrite import element, insert_after, replace
from perflint.analysis.tree import Loop, Tree, children
from perflint.model.diagnostics import Edit, Span

Allowed = Callable[[cst.Name], bool]


@dataclass(frozen=True, eq=False)
class Plan:
    """A start, the growths that follow it, and the end: nothing else sees the value in between."""

    name: str
    init: cst.Assign | cst.AnnAssign
    value: cst.BaseExpression  # that it starts with
    growths: tuple[Growth, ...]
    last: cst.BaseStatement  # the statement after which the value is whole
    result: cst.Name | None  # the name in a `return name` that follows and is its only reader


def plan(item: Accumulator, flow: Flow, allowed: Allowed = lambda read: False) -> Plan | None:
    """How to rewrite a local accumulator, if its start and all its growths are in plain sight.

    `allowed` tells which other reads may stay while it grows.
    """
    name, scope, tree = item.place, item.scope, flow.tree
    if item.storage != "local" or flow.introspected(scope):
        return None
    block, siblings, index = _siblings(item, flow)
    start = next((at for at in range(index - 1, -1, -1) if _init(siblings[at], name)), None)
    if start is None:
        return None
    found = _init(siblings[start], name)
    grown = [at for at in range(index, len(siblings)) if _mentions_growth(siblings[at], item, flow)]
    stop = next(
        (at for at in range(start + 1, len(siblings)) if _disturbed(siblings[at], item, flow, allowed)), None
    )
    ends = [at for at in grown if stop is None or at < stop]
    if found is None or not ends:
        return None
    last = ends[-1]
    inner = Span(tree.span(siblings[start]).end, tree.span(siblings[last]).end)
    bound = [part for part in scope.bindings[name] if inner.start <= tree.span(part.node).start < inner.end]
    additions = [growth for part in bound for growth in growths(part.node) if dotted(growth.target) == name]
    if len(additions) != len(bound) or any(map(_leaves_early, siblings[start + 1 : last + 1])):
        return None  # a `break` of an outer loop would carry the unfinished value out
    if _seen_from_outside(block, item, flow) or any(flow.tried(part.node, block) for part in bound):
        return None  # a `try` may catch what the growth raises, and the rewrite raises later
    following = siblings[last + 1] if last + 1 < len(siblings) else None
    result = _returned(following, name)
    others = [read for read in flow.reads_after(name, scope, siblings[last]) if read is not result]
    inside = [read for read in others if inner.start <= tree.span(read).start < inner.end]
    if len(others) > len(inside):
        result = None
    return Plan(name, *found, tuple(additions), siblings[last], result)


def _siblings(item: Accumulator, flow: Flow) -> tuple[cst.CSTNode, list[cst.BaseStatement], int]:
    """The block around the loop that holds the start, its statements, and which one holds the growth.

    The start may stand several loops further out than the loop that matters.
    """
    below: cst.CSTNode = item.loop
    for above in flow.tree.ancestors(item.loop):
        if isinstance(above, cst.IndentedBlock):
            body = list(above.body)
            index = next(at for at, statement in enumerate(body) if statement is below)
            if any(_init(statement, item.place) for statement in body[:index]):
                return above, body, index
            if above is getattr(item.scope.node, "body", None):
                break
        if isinstance(above, cst.BaseStatement):
            below = above
    return item.loop, [], 0


def _init(
    statement: cst.BaseStatement, name: str
) -> tuple[cst.Assign | cst.AnnAssign, cst.BaseExpression] | None:
    """`name = value` (perhaps annotated), alone in its statement or not."""
    for small in statement.body if isinstance(statement, cst.SimpleStatementLine) else ():
        match small:
            case cst.Assign(targets=[cst.AssignTarget(cst.Name(value=bound))], value=value) if bound == name:
                return (small, value) if not list(growths(small)) else None
            case cst.AnnAssign(target=cst.Name(value=bound), value=cst.BaseExpression() as value) if (
                bound == name
            ):
                return small, value
    return None


def _mentions_growth(statement: cst.BaseStatement, item: Accumulator, flow: Flow) -> bool:
    return any(flow.inside(part.node, statement) for part in item.scope.bindings[item.place])


def _disturbed(statement: cst.BaseStatement, item: Accumulator, flow: Flow, allowed: Allowed) -> bool:
    """Whether the statement reads the value or binds it anew."""
    reads = flow.foreign_reads(item.place, item.scope)
    if any(flow.inside(read, statement) and not allowed(read) for read in reads):
        return True
    for part in item.scope.bindings[item.place]:
        if flow.inside(part.node, statement):
            fits = [
                growth for growth in growths(part.node) if dotted(growth.target) == item.place and growth.sole
            ]
            if not isinstance(part.node, GROWING) or not fits:
                return True
    return False


def _leaves_early(statement: cst.CSTNode) -> bool:
    stack = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, (cst.Break, cst.Continue)):
            return True
        if isinstance(node, Loop):
            stack.extend([node.orelse] if node.orelse else [])
        elif not isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Lambda)):
            stack.extend(children(node))
    return False


def _seen_from_outside(block: cst.CSTNode, item: Accumulator, flow: Flow) -> bool:
    """Whether a `try` or `with` holds the block while the value is also read outside of it: there an
    exception shows what has grown so far."""
    below = block
    for above in flow.tree.ancestors(block, item.scope.node):
        held = isinstance(above, (cst.Try, cst.TryStar, cst.With)) and isinstance(below, cst.BaseSuite)
        if held and any(not flow.inside(read, below) for read in flow.reads(item.place, item.scope)):
            return True
        below = above
    return False


def _returned(statement: cst.BaseStatement | None, name: str) -> cst.Name | None:
    match statement:
        case cst.SimpleStatementLine(body=[cst.Return(value=cst.Name(value=read) as node)]) if read == name:
            return node
    return None


def finish(tree: Tree, steps: Plan, text: str) -> Edit:
    """Convert the value: in the `return` that follows, else in a statement of its own."""
    if steps.result is not None:
        return replace(tree, steps.result, text)
    return insert_after(tree, steps.last, f"{steps.name} = {text}")


def added(tree: Tree, growth: Growth) -> str | None:
    """What `t += e`, `t = t + e` or `t = e + t` adds, as the sole argument of a call; None where it is no plain sum."""
    if not growth.sole or tree.comments(tree.span(growth.node)):
        return None
    if growth.form == "augmented" or len(growth.operands) == 1:
        return _bare(tree, growth.operands[0])
    if growth.form != "append" or getattr(growth.value, "lpar", None):
        return None
    return tree.source.slice(tree.span(growth.operands[0]).start, tree.span(growth.value).end)


def _bare(tree: Tree, node: cst.BaseExpression) -> str:
    """The text without parentheses that an argument does not need."""
    optional = isinstance(node, (cst.IfExp, cst.BinaryOperation, cst.BooleanOperation, cst.Name, cst.Call))
    return tree.code(node)[1:-1] if optional and len(node.lpar) == 1 else element(tree, node)


def list_name(item: Accumulator, flow: Flow) -> str | None:
    """A free name for the list of parts: `parts`, or `s_parts` where several values grow in the function."""
    rivals = {
        dotted(growth.target)
        for name, bindings in item.scope.bindings.items()
        for binding in bindings
        if name != item.place and isinstance(binding.node, GROWING)
        for growth in growths(binding.node)
    }
    wanted = ("parts", f"{item.place}_parts") if rivals <= {item.place} else (f"{item.place}_parts",)
    taken = _names(item.scope)
    return next((name for name in wanted if name not in taken), None)


def _names(scope: Scope) -> set[str]:
    """All names that the outermost function around the scope has to do with."""
    above: Scope | None = scope
    while above is not None:
        scope = above if above.kind == "function" else scope
        above = above.parent
    inner = (scope, *scope.within())
    return set().union(*(part.bindings.keys() | part.reads.keys() | part.declared.keys() for part in inner))


def to_list(tree: Tree, steps: Plan, parts: str) -> list[Edit] | None:
    """`s = ""` becomes `parts = []` (with the text in it, if any), each growth `parts.append(..)`."""
    if contains(steps.value, cst.Yield, cst.Await, cst.NamedExpr) or tree.comments(tree.span(steps.init)):
        return None
    empty = isinstance(steps.value, cst.SimpleString) and not steps.value.evaluated_value
    seed = "[]" if empty else f"[{element(tree, steps.value)}]"
    target = steps.init.target if isinstance(steps.init, cst.AnnAssign) else steps.init.targets[0].target
    edits = [replace(tree, target, parts), replace(tree, steps.value, seed)]
    if isinstance(steps.init, cst.AnnAssign):
        edits.append(replace(tree, steps.init.annotation.annotation, "list[str]"))
    for growth in steps.growths:
        text = added(tree, growth)
        if text is None:
            return None
        edits.append(replace(tree, growth.node, f"{parts}.append({text})"))
    return edits


def hidden(names: Names, scope: Scope, *builtins: str) -> bool:
    """Whether one of these names may stand for something else in the scope."""
    facts, bound = names.facts, _bound_around(scope)
    return facts.star_import or any(name in facts.shadows or name in bound for name in builtins)


def _bound_around(scope: Scope | None) -> set[str]:
    bound = set(scope.bindings) if scope is not None else set()
    while scope is not None and scope.kind != "module":
        bound |= scope.bindings.keys() if scope.kind != "class" else set()
        scope = scope.parent
    return bound
