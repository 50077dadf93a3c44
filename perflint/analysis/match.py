"""Shapes that several rules look for: a value that grows in place, and small questions about nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import libcst as cst

from perflint.analysis.names import pairs
from perflint.analysis.tree import children, walk

Form = Literal[
    "augmented",  # t += e              (`t |= e` too: see `operator`)
    "append",  # t = t + e + ...        operands in source order, t first
    "prepend",  # t = e + t             t last
    "middle",  # t = e + t + e
    "fstring",  # t = f"..{t}.."
    "percent",  # t = "%s.." % (t, e)
    "format",  # t = "{}..".format(t, e)
    "join",  # t = "".join([t, e])
    "display",  # t = [*t, e] and its like; also {**t, k: v}
    "or",  # t = t | e
    "copy",  # t = dict(t, k=v), t = t.union(e)
]


@dataclass(frozen=True, eq=False)
class Growth:
    """One place where `target` gets a value made from its old one and `operands`."""

    form: Form
    node: cst.CSTNode  # the small statement or walrus
    target: cst.BaseExpression
    value: cst.BaseExpression  # the right hand side
    operands: tuple[cst.BaseExpression, ...]  # what is added; empty where the form hides it
    operator: Literal["+", "|"] = "+"
    sole: bool = True  # false in `a, b = ..`, `a = b = ..` and for walruses


def growths(node: cst.CSTNode) -> Iterator[Growth]:
    """The growths of an assignment, an augmented assignment or a walrus."""
    match node:
        case cst.AugAssign(target=target, operator=cst.AddAssign(), value=value):
            yield Growth("augmented", node, target, value, (value,))
        case cst.AugAssign(target=target, operator=cst.BitOrAssign(), value=value):
            yield Growth("augmented", node, target, value, (value,), "|")
        case cst.Assign(targets=targets, value=value):
            for place in targets:
                both = pairs(place.target, value)
                for part, new in both:
                    yield from _rebound(node, part, new, sole=len(targets) == 1 and len(both) == 1)
        case cst.AnnAssign(target=target, value=cst.BaseExpression() as value):
            yield from _rebound(node, target, value, sole=False)
        case cst.NamedExpr(target=target, value=value):
            yield from _rebound(node, target, value, sole=False)


GROWING = (cst.AugAssign, cst.Assign, cst.AnnAssign, cst.NamedExpr)


def _rebound(
    node: cst.CSTNode, target: cst.BaseExpression, value: cst.BaseExpression, sole: bool
) -> Iterator[Growth]:
    name = dotted(target)
    if name is None:
        return
    found = _shape(name, value)
    if found is not None:
        form, operands = found
        yield Growth(form, node, target, value, operands, "|" if form == "or" else "+", sole)


def _shape(name: str, value: cst.BaseExpression) -> tuple[Form, tuple[cst.BaseExpression, ...]] | None:
    match value:
        case cst.BinaryOperation(operator=cst.Add()):
            return _sum(name, value)
        case cst.BinaryOperation(left=left, operator=cst.BitOr(), right=right) if dotted(left) == name:
            return "or", (right,)
        case cst.BinaryOperation(operator=cst.Modulo(), right=right) if _among(name, right):
            return "percent", ()
        case cst.FormattedString(parts=parts) if any(_field(name, part) for part in parts):
            return "fstring", ()
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="format")), args=args):
            return ("format", ()) if any(dotted(arg.value) == name for arg in args) else None
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="join")), args=[cst.Arg(value=items)]):
            return ("join", ()) if _among(name, items) else None
        case cst.Call(func=cst.Name(value="dict"), args=[cst.Arg(value=first, keyword=None, star=""), *_]):
            return ("copy", ()) if dotted(first) == name else None
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="union"))) if dotted(owner) == name:
            return "copy", ()
        case cst.List() | cst.Tuple() | cst.Set() | cst.Dict():
            return _display(name, value)
    return None


def _sum(name: str, value: cst.BinaryOperation) -> tuple[Form, tuple[cst.BaseExpression, ...]] | None:
    terms = addends(value)
    own = [index for index, term in enumerate(terms) if dotted(term) == name]
    if not own:
        return None
    rest = tuple(term for index, term in enumerate(terms) if index != own[0])
    if own[0] == 0:
        return "append", rest
    return ("prepend" if own[0] == len(terms) - 1 else "middle"), rest


def _display(
    name: str, value: cst.List | cst.Tuple | cst.Set | cst.Dict
) -> tuple[Form, tuple[cst.BaseExpression, ...]] | None:
    stars = (cst.StarredElement, cst.StarredDictElement)
    if any(isinstance(item, stars) and dotted(item.value) == name for item in value.elements):
        return "display", ()
    return None


def _among(name: str, node: cst.BaseExpression) -> bool:
    if isinstance(node, (cst.Tuple, cst.List)):
        return any(dotted(item.value) == name for item in node.elements)
    return dotted(node) == name


def _field(name: str, part: cst.CSTNode) -> bool:
    return isinstance(part, cst.FormattedStringExpression) and dotted(part.expression) == name


def addends(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    """The terms of `a + b + c` in source order; a term in parentheses stays whole, except the first."""
    terms: list[cst.BaseExpression] = []
    while isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
        terms.append(node.right)
        node = node.left
    return [node, *reversed(terms)]


def dotted(node: cst.CSTNode | None) -> str | None:
    """One text for each way to write the same place: `s`, `self.buf`, `d['k']`, `xs[0]`, `d[k]`."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=attribute)):
            base = dotted(value)
            return f"{base}.{attribute}" if base else None
        case cst.Subscript(
            value=value, slice=[cst.SubscriptElement(slice=cst.Index(value=index, star=None))]
        ):
            base, key = dotted(value), _key(index)
            return f"{base}[{key}]" if base and key else None
    return None


def _key(index: cst.BaseExpression) -> str | None:
    match index:
        case cst.SimpleString():
            return repr(index.evaluated_value)
        case cst.Integer(value=value):
            return value
        case cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer(value=value)):
            return f"-{value}"
    return dotted(index)


def unawaited(node: cst.BaseExpression) -> cst.BaseExpression:
    """What an `await` waits for; the expression itself without one."""
    return node.expression if isinstance(node, cst.Await) else node


def last_name(node: cst.CSTNode) -> str:
    """The last word of what is written: `wait` of `a.b().wait`; empty where it is no name."""
    name = node.attr if isinstance(node, cst.Attribute) else node
    return name.value if isinstance(name, cst.Name) else ""


def decorator_name(node: cst.Decorator) -> str:
    """The last word of a decorator, called or not: `cache` of `@functools.cache()`."""
    value = node.decorator
    return last_name(value.func if isinstance(value, cst.Call) else value)


def root(node: cst.BaseExpression) -> str | None:
    """The name at the far left of `a.b[0].c`."""
    while isinstance(node, (cst.Attribute, cst.Subscript)):
        node = node.value
    return node.value if isinstance(node, cst.Name) else None


def names_in(*nodes: cst.CSTNode | None) -> set[str]:
    """Every name that stands in the nodes, attributes and keyword names left out."""
    found: set[str] = set()
    for node in nodes:
        stack = [node] if node is not None else []
        while stack:
            here = stack.pop()
            if isinstance(here, cst.Name):
                found.add(here.value)
            else:
                stack.extend(_evaluated(here))
    return found


def _evaluated(node: cst.CSTNode) -> list[cst.CSTNode]:
    return [node.value] if isinstance(node, (cst.Attribute, cst.Arg)) else children(node)


def contains(node: cst.CSTNode, *kinds: type[cst.CSTNode]) -> bool:
    """Whether a node of one of these kinds stands in `node`, or is it."""
    return any(isinstance(part, kinds) for part in walk(node))


def only_statement(node: cst.For | cst.While) -> cst.BaseSmallStatement | None:
    """The single small statement that is the whole body of a loop without `else`."""
    match node:
        case cst.For(body=body, orelse=None) | cst.While(body=body, orelse=None):
            return sole_small(body)
    return None


def sole_small(body: cst.BaseSuite) -> cst.BaseSmallStatement | None:
    """The single small statement that is a whole block."""
    match body:
        case cst.IndentedBlock(body=[cst.SimpleStatementLine(body=[small])]):
            return small
        case cst.SimpleStatementSuite(body=[small]):
            return small
    return None


def plain_args(call: cst.Call, count: int | None = None) -> list[cst.BaseExpression] | None:
    """The arguments of a call that has only positional ones (and `count` of them, if given)."""
    if any(arg.keyword is not None or arg.star for arg in call.args):
        return None
    return [arg.value for arg in call.args] if count in (None, len(call.args)) else None


def keyword(call: cst.Call, name: str) -> cst.BaseExpression | None:
    """What the call passes by that keyword."""
    return next((item.value for item in call.args if item.keyword and item.keyword.value == name), None)


def is_name(node: cst.CSTNode | None, name: str) -> bool:
    """Whether it is that name, `True` and `None` included."""
    return isinstance(node, cst.Name) and node.value == name


def simple(node: cst.BaseExpression) -> bool:
    """Whether evaluating the expression can neither raise (names being bound) nor run foreign code."""
    match node:
        case cst.Name() | cst.SimpleString() | cst.Integer() | cst.Float() | cst.ConcatenatedString():
            return True
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            return all(isinstance(item, cst.Element) and simple(item.value) for item in elements)
        case cst.Lambda():
            return True
    return False
