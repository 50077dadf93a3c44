"""Lists, dicts and sets that a loop fills: where they are born, and who may look at them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import libcst as cst

from perflint.analysis.flow import LoopNode, Own
from perflint.analysis.kinds import Kind
from perflint.analysis.match import GROWING, Growth, contains, dotted, growths, names_in, simple
from perflint.analysis.names import Binding, Names, Scope
from perflint.analysis.rule import Context
from perflint.model.diagnostics import Span

_DISPLAYS: dict[type[cst.CSTNode], Kind] = {
    **dict.fromkeys((cst.List, cst.ListComp), "list"),
    **dict.fromkeys((cst.Dict, cst.DictComp), "dict"),
    **dict.fromkeys((cst.Set, cst.SetComp), "set"),
}
_MAKERS: dict[str, Kind] = {"list": "list", "sorted": "list", "dict": "dict", "set": "set"}

# Methods of list, dict and set that hand nobody a lasting way to the container itself.
_DISCREET = frozenset(
    {
        *(
            "add",
            "append",
            "clear",
            "copy",
            "count",
            "difference",
            "discard",
            "extend",
            "get",
            "index",
            "insert",
        ),
        *("intersection", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "union", "update"),
    }
)


@dataclass(frozen=True, eq=False)
class Life:
    """A container from the assignment that starts it to the end of the outermost loop that fills it."""

    context: Context
    name: str
    scope: Scope
    start: cst.SimpleStatementLine  # the assignment, on every path to the loop
    value: cst.BaseExpression
    loop: LoopNode  # the outermost loop that does not start the container anew

    @property
    def span(self) -> Span:
        tree = self.context.tree
        return Span(tree.span(self.start).end, tree.span(self.loop).end)

    @cached_property
    def kind(self) -> Kind | None:
        """Its certain type in the loop: made here by a display or a builtin, and only grown since."""
        kind = made(self.context.names, self.value)
        grown = (item for item in self._between(self.scope.bindings.get(self.name, ())))
        return kind if all(self._keeps(item, kind) for item in grown) else None

    def _between(self, bindings: list[Binding] | tuple[()]) -> Iterator[Binding]:
        tree, span = self.context.tree, self.span
        return (item for item in bindings if span.start <= tree.span(item.node).start < span.end)

    def _keeps(self, binding: Binding, kind: Kind | None) -> bool:
        """Whether the binding is a growth that certainly gives the same type again."""
        if not isinstance(binding.node, GROWING) or kind is None:
            return False
        mine = [item for item in growths(binding.node) if dotted(item.target) == self.name]
        return bool(mine) and all(self._same(item, kind) for item in mine)

    def _same(self, growth: Growth, kind: Kind) -> bool:
        if growth.form == "display":
            return made(self.context.names, growth.value) == kind
        if growth.form == "copy":
            return kind == ("dict" if isinstance(growth.value.func, cst.Name) else "set")  # type: ignore[attr-defined]
        if growth.form == "augmented" and isinstance(growth.value, cst.Tuple):
            return kind == "list"
        return bool(growth.operands) and all(certain(self.context, part) == kind for part in growth.operands)

    @cached_property
    def witnesses(self) -> list[cst.Name]:
        """Reads in that time that may keep the object, compare it or walk over it."""
        tree, span = self.context.tree, self.span
        reads = self.context.flow.foreign_reads(self.name, self.scope)
        inside = (read for read in reads if span.start <= tree.span(read).start < span.end)
        return [read for read in inside if not glance(self.context, read)]

    @property
    def secret(self) -> bool:
        """Whether nobody else can tell one object from another: a private local without witnesses."""
        return self.context.flow.private(self.name, self.scope) and not self.witnesses

    @property
    def empty(self) -> bool:
        """Whether it starts with no items."""
        match self.value:
            case cst.List(elements=items) | cst.Dict(elements=items):
                return not items
            case cst.Call(args=args):
                return not args and made(self.context.names, self.value) is not None
        return False


def life(context: Context, name: str, loop: LoopNode) -> Life | None:
    """The life of the container `name` that `loop` fills; None where it may come from elsewhere."""
    return context.once(_life, name, loop)


def _life(context: Context, name: str, loop: LoopNode) -> Life | None:
    tree, scope = context.tree, context.scope(loop)
    if name not in scope.bindings or name in scope.declared:
        return None
    if scope is context.names.top and name in context.facts.global_names:
        return None
    below: cst.CSTNode = loop
    outermost: LoopNode = loop
    for above in tree.ancestors(loop):
        if isinstance(above, (cst.IndentedBlock, cst.Module)):
            found = _start(context, scope, above, below, name)
            if found is not None:
                return _sure(Life(context, name, scope, *found, outermost))
        if isinstance(above, (cst.FunctionDef, cst.ClassDef)):
            return None
        if isinstance(above, (cst.For, cst.While)) and above.body is below:
            outermost = above
        below = above
    return None


def _start(
    context: Context, scope: Scope, block: cst.IndentedBlock | cst.Module, below: cst.CSTNode, name: str
) -> tuple[cst.SimpleStatementLine, cst.BaseExpression] | None:
    """The last assignment to `name` alone before `below` in the block."""
    tree = context.tree
    found = []
    for binding in scope.bindings[name]:
        match binding.node, tree.parent(binding.node):
            case (
                cst.Assign(targets=[cst.AssignTarget(cst.Name(value=bound))], value=value)
                | cst.AnnAssign(target=cst.Name(value=bound), value=cst.BaseExpression() as value),
                cst.SimpleStatementLine(body=[_]) as statement,
            ) if bound == name and tree.parent(statement) is block and name not in names_in(value):
                found.append((tree.span(statement).start, statement, value))
    end = tree.span(below).start
    last = max((item for item in found if item[0] < end), key=itemgetter(0), default=None)
    return last[1:] if last is not None else None


def _sure(candidate: Life) -> Life | None:
    """The life, unless another assignment comes between its start and its end."""
    bindings = candidate.scope.bindings[candidate.name]
    for item in candidate._between(bindings):
        grows = isinstance(item.node, GROWING) and any(
            dotted(growth.target) == candidate.name for growth in growths(item.node)
        )
        if not grows:
            return None
    return candidate


def made(names: Names, value: cst.BaseExpression | None) -> Kind | None:
    """The exact builtin type of an expression that makes a new list, dict or set."""
    if value is not None and type(value) in _DISPLAYS:
        return _DISPLAYS[type(value)]
    match value:
        case cst.Call(func=cst.Name() as function):
            return _MAKERS.get(names.builtin(function) or "")
        case cst.BinaryOperation(left=left, operator=cst.Add() | cst.BitOr(), right=right):
            kind = made(names, left)
            return kind if kind == made(names, right) else None
        case cst.BinaryOperation(left=cst.List(), operator=cst.Multiply(), right=cst.Integer()):
            return "list"
    return None


def exact(context: Context, name: str, node: cst.CSTNode) -> Kind | None:
    """The certain type of `name` as used at `node`: every binding makes it here, or grows it."""
    owner = context.scope(node).owner(name)
    if owner is None or name in owner.declared:
        return None
    if owner is context.names.top and (
        owner is not context.scope(node) or name in context.facts.global_names
    ):
        return None  # other modules may rebind it before a function runs
    answers: set[Kind | None] = set()
    for item in owner.bindings[name]:
        if item.kind == "assign" and item.value is not None:
            answers.add(made(context.names, item.value))
        elif item.kind == "augmented" and isinstance(item.node, cst.AugAssign):
            answers.add(
                "list" if isinstance(item.node.value, cst.Tuple) else made(context.names, item.node.value)
            )
        elif item.kind != "delete":
            return None
    return answers.pop() if len(answers) == 1 else None


def certain(context: Context, value: cst.BaseExpression) -> Kind | None:
    """The exact type of an expression that makes a container, or of a name that only ever held such."""
    if isinstance(value, cst.Name):
        return exact(context, value.value, value)
    return made(context.names, value)


def glance(context: Context, read: cst.Name) -> bool:
    """Whether the read looks into a container and leaves nothing behind: `len(xs)`, `x in xs`, `xs[0]`."""
    above = context.tree.parent(read)
    match above:
        case cst.ComparisonTarget(operator=cst.In() | cst.NotIn()):
            return True
        case cst.If(test=test) | cst.While(test=test) | cst.IfExp(test=test):
            return test is read
        case cst.UnaryOperation(operator=cst.Not()):
            return True
        case cst.Subscript(value=value):
            return value is read
        case cst.Attribute(attr=cst.Name(value=method)):
            call = context.tree.parent(above)
            return isinstance(call, cst.Call) and call.func is above and method in _DISCREET
        case cst.Arg(star="", keyword=None):
            call = context.tree.parent(above)
            return isinstance(call, cst.Call) and context.names.builtin(call.func) == "len"
    return False


def witnesses_in(context: Context, name: str, loop: LoopNode) -> list[cst.Name]:
    """Reads in the loop that may keep the object; for names without a Life."""
    reads = context.flow.foreign_reads(name, context.scope(loop))
    return [read for read in reads if context.flow.inside(read, loop) and not glance(context, read)]


def alterable(context: Context, name: str, node: cst.CSTNode) -> bool:
    """Whether rebinding `name` at `node` may become a change in place at all, if not a safe one.

    Not where a nested function uses the name, a loop walks over it, or it is a default argument.
    """
    scope = context.scope(node)
    bindings = scope.bindings.get(name, ())
    if any(isinstance(item.node, cst.Param) and item.node.default is not None for item in bindings):
        return False
    walked = (loop.iter for loop in context.flow.loops(node) if isinstance(loop, cst.For))
    return not context.flow.captured(name, scope) and not any(name in names_in(item) for item in walked)


def swappable(context: Context, first: cst.BaseExpression, second: cst.BaseExpression) -> bool:
    """Whether the two may be evaluated in either order: one of them only reads what the other cannot change."""
    scope = context.scope(first)
    if contains(first, cst.NamedExpr) or contains(second, cst.NamedExpr):
        return False
    return any(
        simple(part) and all(context.flow.private(name, scope) for name in names_in(part))
        for part in (first, second)
    )


def few(context: Context, value: cst.BaseExpression | None, depth: int = 3) -> bool:
    """Whether a list is short by its nature: the parts of a path or version, or the arguments of a call."""
    match value:
        case cst.Call(
            func=cst.Attribute(attr=cst.Name(value="split" | "rsplit")), args=[cst.Arg(value=separator), *_]
        ):
            return not (isinstance(separator, cst.SimpleString) and separator.evaluated_value == "\n")
        case cst.Call(func=cst.Name(value="list"), args=[cst.Arg(value=inner)]) | cst.Subscript(value=inner):
            return few(context, inner, depth)
        case cst.Attribute(attr=cst.Name(value="parents" | "parts")):
            return True
        case cst.Name() if depth:
            bindings = context.names.bindings(value)
            stars = [item.node.star for item in bindings if isinstance(item.node, cst.Param)]
            return "*" in stars or any(few(context, item.value, depth - 1) for item in bindings)
    return False


def escapes(context: Context, read: cst.Name) -> bool:
    """Whether the read hands the container to someone who may keep it: an argument, an item, an attribute."""
    for above in context.tree.ancestors(read):
        match above:
            case cst.Arg() | cst.Element() | cst.DictElement() | cst.Tuple():
                return True
            case cst.Assign(targets=targets):
                return any(not isinstance(item.target, cst.Name) for item in targets)
            case cst.BaseStatement() | cst.BaseSmallStatement() | cst.Comparison() | cst.BinaryOperation():
                return False
            case cst.Subscript() | cst.Attribute() | cst.BaseComp() | cst.Yield():
                return False
    return False


def growing_in(
    context: Context, node: cst.CSTNode, target: cst.BaseExpression, own: Own | None = None
) -> LoopNode | None:
    """The innermost loop around `node`, where `target` lives through more turns than a known few."""
    flow = context.flow
    innermost = flow.loop(node)
    if innermost is None or flow.runs_once(node, innermost):
        return None
    for loop in flow.loops(node):
        if not flow.accumulates(target, loop, own):
            return None
        if not flow.bounded(loop):
            return innermost
    return None


def free_builtin(context: Context, word: str, node: cst.CSTNode) -> bool:
    """Whether `word` written at `node` would mean the builtin."""
    facts = context.facts
    return context.scope(node).owner(word) is None and word not in facts.shadows and not facts.star_import
