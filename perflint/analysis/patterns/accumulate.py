"""Immutable values that grow turn after turn of a loop: what they are, where they live, who holds them.

CPython grows a str in place only where the sum goes straight back to a plain local that nothing
else refers to. Everything here asks whether a given growth is of that kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import libcst as cst

from perflint.analysis.flow import Flow, LoopNode
from perflint.analysis.kinds import Kind, Kinds
from perflint.analysis.match import GROWING, Form, Growth, dotted, growths
from perflint.analysis.names import Names, Scope
from perflint.analysis.patterns.turns import limited, shortened
from perflint.analysis.tree import children, walk, walk_scope
from perflint.model.config import Target

Storage = Literal[
    "local",  # of a function, and nothing nested in it uses it
    "comprehension",  # a local that only list, set and dict comprehensions use
    "cell",  # a local that a nested function, lambda or generator uses, or a nonlocal
    "module",
    "class",
    "global",  # declared so in a function
    "place",  # an attribute or item
]

EVERY = "every CPython"
_IMMUTABLE = ("str", "bytes", "tuple")
_SHIFTS = {"append", "appendleft", "clear", "extend", "insert", "pop", "popleft", "remove", "reverse", "sort"}
HOLDERS = {"append", "appendleft", "add", "put", "put_nowait"}
_TO_TEXT = {"str", "repr", "ascii", "chr", "hex", "oct", "bin", "format"}


@dataclass(frozen=True, eq=False)
class Accumulator:
    """A str, bytes or tuple that one growth makes longer in every turn of `loop`."""

    growth: Growth
    place: str  # as `dotted` writes the target
    kind: Kind
    loop: LoopNode  # the innermost that runs often
    around: LoopNode  # the outermost that never starts the value anew
    storage: Storage
    scope: Scope

    @property
    def form(self) -> Form:
        return self.growth.form

    @property
    def adds_once(self) -> bool:
        """`t += e` or `t = t + e`: the only shapes that grow in place."""
        growth = self.growth
        straight = growth.sole or isinstance(growth.node, cst.AnnAssign)  # no pair, chain or walrus
        return straight and (
            growth.form == "augmented" or (growth.form == "append" and len(growth.operands) == 1)
        )

    @property
    def leads(self) -> bool:
        """Whether the old value comes first in the new one."""
        return _ends(self.growth, self.place) == (True, False)

    @property
    def trails(self) -> bool:
        """Whether the old value comes last in the new one."""
        return _ends(self.growth, self.place) == (False, True)


class Accumulators:
    """The accumulators of one region, remembered."""

    def __init__(self, names: Names, kinds: Kinds, flow: Flow) -> None:
        self.names = names
        self.kinds = kinds
        self.flow = flow
        self._found: dict[cst.CSTNode, list[Accumulator]] = {}
        self._methods: dict[LoopNode, dict[str, set[str | None]]] = {}  # attributes, and whose they are
        self._grown: dict[LoopNode, dict[str, list[Accumulator]]] = {}

    def of(self, node: cst.CSTNode) -> list[Accumulator]:
        """What an assignment, augmented assignment or walrus accumulates."""
        if node not in self._found:
            judged = (self._judge(growth) for growth in growths(node))
            self._found[node] = [item for item in judged if item is not None]
        return self._found[node]

    def same(self, item: Accumulator) -> list[Accumulator]:
        """All that grows the same place in the same loops, in source order."""
        if item.around not in self._grown:
            found: dict[str, list[Accumulator]] = {}
            self._grown[item.around] = found
            for node in walk_scope(item.around):
                for other in self.of(node) if isinstance(node, GROWING) else ():
                    if other.around is item.around:
                        found.setdefault(other.place, []).append(other)
        return self._grown[item.around].get(item.place, [item])

    def first(self, item: Accumulator, ours: Callable[[Accumulator], bool]) -> bool:
        """Whether it is the one to report of `ours` that grow the same place in the same loops."""
        return ours(item) and next(filter(ours, self.same(item)), item) is item

    def _judge(self, growth: Growth) -> Accumulator | None:
        place, loop = dotted(growth.target), self.flow.loop(growth.node)
        if place is None or loop is None or growth.operator != "+":
            return None
        if [dotted(item) for item in growth.operands] == [place]:
            return None  # `s += s` doubles: few turns
        scope = self.names.scope(growth.node)
        if scope.kind in ("comprehension", "lambda") or _moves(growth.target, loop):
            return None
        kind = self._kind(growth, scope)
        loops = self._loops(growth, place) if kind in _IMMUTABLE else None
        if kind is None or loops is None:
            return None
        return Accumulator(growth, place, kind, *loops, self._storage(growth.target, scope), scope)

    def _loops(self, growth: Growth, place: str) -> tuple[LoopNode, LoopNode] | None:
        """The innermost loop that runs often, and the outermost, of those that never start the value anew."""
        here: cst.CSTNode = growth.node
        inner = outer = None
        scope = self.names.scope(growth.node)
        for loop in self.flow.loops(growth.node):
            if not self.flow.accumulates(growth.target, loop) or self._emptied(growth.target, loop, scope):
                break
            few = self.flow.bounded(loop) or self.flow.runs_once(here, loop)
            if inner is None and not few and not shortened(loop) and not limited(loop, place, scope):
                inner = loop
            here = outer = loop
        return (inner, outer) if inner is not None and outer is not None else None

    def _emptied(self, target: cst.BaseExpression, loop: LoopNode, scope: Scope) -> bool:
        """Whether the loop calls a method of the same object that starts the attribute anew: `self.flush()`."""
        owned = self._method_line(target, scope)
        if owned is None or not isinstance(target, cst.Attribute):
            return False
        if loop not in self._methods:
            self._methods[loop] = {}
            for node in walk(loop):
                if isinstance(node, cst.Attribute):
                    self._methods[loop].setdefault(node.attr.value, set()).add(dotted(node.value))
        emptiers = self.names.facts.stores.setters(owned, target.attr.value)
        used = self._methods[loop]
        return any(dotted(target.value) in used.get(name, ()) for name in emptiers)

    # Kinds

    def _kind(self, growth: Growth, scope: Scope) -> Kind | None:
        target = growth.target
        if isinstance(target, cst.Name) and not self._is_global(target.value, scope):
            return self.kinds.of(target)
        added = self._added(growth)
        stored = self._stored(target, scope)
        if added in ("str", "bytes"):
            return added if stored <= {added, None} else None
        known = next(iter(stored)) if len(stored) == 1 else None
        return known if added in (known, None) else None  # type: ignore[return-value]

    def _is_global(self, name: str, scope: Scope) -> bool:
        """Whether functions of the file may bind the name, too."""
        shared = scope.kind == "module" and name in self.names.facts.global_names
        return shared or scope.declared.get(name) == "global"

    def _added(self, growth: Growth) -> Kind | None:
        """What the right hand side alone tells: text can only be added to text."""
        if growth.form not in ("augmented", "append", "prepend", "middle"):
            return self.kinds.of(growth.value)
        return next((kind for item in growth.operands if (kind := self.kinds.of(item))), None)

    def _stored(self, target: cst.BaseExpression, scope: Scope) -> frozenset[str | None]:
        """What the whole class assigns to the attribute, or the whole file to the global."""
        stores = self.names.facts.stores
        if isinstance(target, cst.Name):
            return stores.variable(target.value)
        line = self._method_line(target, scope)
        return (
            stores.attribute(line, target.attr.value)
            if line and isinstance(target, cst.Attribute)
            else frozenset()
        )

    def _method_line(self, target: cst.BaseExpression, scope: Scope) -> int | None:
        """The line of the method whose `self` holds the attribute."""
        match target:
            case cst.Attribute(value=cst.Name(value=name)):
                method = scope.owner(name)
                if method is not None and _receiver(method.node) == name:
                    tree = self.flow.tree
                    return tree.source.line_of(tree.span(method.node.name).start)  # type: ignore[attr-defined]
        return None

    # Storage

    def _storage(self, target: cst.BaseExpression, scope: Scope) -> Storage:
        if not isinstance(target, cst.Name):
            return "place"
        declared = scope.declared.get(target.value)
        if declared == "global":
            return "global"
        if scope.kind in ("module", "class"):
            return "module" if scope.kind == "module" else "class"
        if declared == "nonlocal" or self.flow.captured(target.value, scope):
            return "cell"
        return "comprehension" if scope.captures(target.value) else "local"

    def quadratic(self, item: Accumulator, target: Target) -> str:
        """Which of the target Pythons copy the whole str in each turn; empty where none does."""
        if not item.adds_once or item.storage in ("place", "global") or self.held(item):
            return EVERY
        if item.storage in ("cell", "module", "class"):
            return "CPython 3.11+" if target.high >= (3, 11) else ""
        if item.storage == "comprehension":
            return "CPython 3.11" if target.low <= (3, 11) <= target.high else ""
        if target.low <= (3, 13) <= target.high and self._fused(item):
            return "CPython 3.13"
        return ""

    def held(self, item: Accumulator) -> cst.CSTNode | None:
        """Where each turn stores or yields a second reference to a local, which forbids growing in place."""
        if not isinstance(item.growth.target, cst.Name) or item.scope.kind != "function":
            return None
        for read in self.flow.reads(item.place, item.scope):
            if self.flow.inside(read, item.loop.body) and self._holds(read, item.loop):
                return read
        return None

    def _holds(self, read: cst.Name, loop: LoopNode) -> bool:
        if self.flow.loop(read) is not loop or self.flow.runs_once(read, loop):
            return False
        if any(
            isinstance(above, (cst.If, cst.IfExp, cst.ExceptHandler))
            for above in self.flow.tree.ancestors(read, loop)
        ):
            return False  # not in every turn
        match self.flow.tree.parent(read):
            case cst.Assign() | cst.Yield():
                return True
            case cst.Arg(keyword=None, star="") as argument:
                call = self.flow.tree.parent(argument)
                method = call.func if isinstance(call, cst.Call) else None
                return isinstance(method, cst.Attribute) and method.attr.value in HOLDERS
        return False

    def _fused(self, item: Accumulator) -> bool:
        """Whether the next instruction loads a local on the same line: 3.13 makes it one with the store."""
        line = self.flow.tree.parent(item.growth.node)
        if not isinstance(line, (cst.SimpleStatementLine, cst.SimpleStatementSuite)):
            return False
        index = next(at for at, small in enumerate(line.body) if small is item.growth.node)
        name = _first_load(line.body[index + 1]) if index + 1 < len(line.body) else None
        return name is not None and item.scope.owner(name) is item.scope and not item.scope.captures(name)


def _moves(target: cst.BaseExpression, loop: LoopNode) -> bool:
    """Whether `lines[-1]` may name another item in the next turn: the loop calls `lines.append(..)`."""
    if not isinstance(target, cst.Subscript):
        return False
    place = dotted(target.value)
    calls = (node.func for node in walk(loop.body) if isinstance(node, cst.Call))
    return any(
        isinstance(func, cst.Attribute) and func.attr.value in _SHIFTS and dotted(func.value) == place
        for func in calls
    )


def annotated(node: cst.BaseExpression, names: Names) -> bool:
    """Whether what is known of the value rests on an annotation, which admits subclasses such as `Markup`."""
    seen: set[tuple[Scope, str]] = set()
    stack: list[cst.CSTNode] = [node]
    while stack:
        here = stack.pop()
        match here:
            case cst.Name():
                pass
            case cst.FormattedString():
                continue  # exactly str, whatever its fields are
            case (
                cst.BinaryOperation(left=part, operator=cst.Modulo())
                | cst.Call(func=cst.Attribute(value=part))
                | cst.ListComp(elt=part)
                | cst.GeneratorExp(elt=part)
            ):
                stack.append(part)
                continue
            case cst.Call(func=cst.Name() as function):
                builtin = names.builtin(function)
                if builtin is None:
                    return True  # a function that says what it returns
                stack.extend(here.args if builtin not in _TO_TEXT else ())
                continue
            case _:
                stack.extend(children(here))
                continue
        owner = names.scope(here).owner(here.value)
        if owner is None or (owner, here.value) in seen:
            continue
        seen.add((owner, here.value))
        for binding in owner.bindings.get(here.value, ()):
            if binding.kind == "parameter" or binding.annotation is not None:
                return True
            stack.extend([binding.value] if binding.value is not None else children(binding.node)[:2])
    return False


def _receiver(function: cst.CSTNode) -> str | None:
    """The name of a method's `self`."""
    if not isinstance(function, cst.FunctionDef):
        return None
    first = (*function.params.posonly_params, *function.params.params)[:1]
    return first[0].name.value if first else None


def _first_load(small: cst.BaseSmallStatement) -> str | None:
    """The name that a small statement reads first of all."""
    match small:
        case cst.AugAssign(target=cst.Name(value=name)):
            return name
        case cst.Assign(value=node) | cst.Expr(value=node) | cst.Return(value=cst.BaseExpression() as node):
            while not isinstance(node, cst.Name):
                below = next(
                    (getattr(node, part, None) for part in ("func", "left", "value") if hasattr(node, part)),
                    None,
                )
                if not isinstance(below, cst.BaseExpression):
                    return None
                node = below
            return node.value
    return None


def _ends(growth: Growth, place: str) -> tuple[bool, bool]:
    """Whether the new value begins, and ends, with the old one."""
    match growth.value:
        case _ if growth.form in ("augmented", "append", "prepend"):
            return growth.form != "prepend", growth.form == "prepend"
        case cst.FormattedString(parts=parts):
            first, last = (_field(part) == place for part in (parts[0], parts[-1]))
            return first, last
        case cst.BinaryOperation(left=cst.SimpleString() as pattern, right=right):
            items = [item.value for item in right.elements] if isinstance(right, cst.Tuple) else [right]
            return _pattern_ends(pattern, "%s", items, place)
        case cst.Call(
            func=cst.Attribute(value=cst.SimpleString() as pattern, attr=cst.Name(value="format")), args=args
        ):
            return _pattern_ends(pattern, "{}", [arg.value for arg in args], place)
        case cst.Call(args=[cst.Arg(value=cst.List(elements=items) | cst.Tuple(elements=items))]):
            return dotted(items[0].value) == place, dotted(items[-1].value) == place
    return False, False


def _field(part: cst.BaseFormattedStringContent) -> str | None:
    return dotted(part.expression) if isinstance(part, cst.FormattedStringExpression) else None


def _pattern_ends(
    pattern: cst.SimpleString, field: str, items: list[cst.BaseExpression], place: str
) -> tuple[bool, bool]:
    text = pattern.evaluated_value
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    first = text.startswith(field) and dotted(items[0]) == place
    return first, text.endswith(field) and dotted(items[-1]) == place
