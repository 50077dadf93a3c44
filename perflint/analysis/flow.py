"""Loops and lifetimes: what runs again, what grows, what is read when.

The guards that keep the rules quiet where nothing is wrong live here, because every family needs them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from sys import maxsize
from typing import NamedTuple

import libcst as cst

from perflint.analysis.exits import leaving
from perflint.analysis.match import GROWING, contains, dotted, growths, names_in, root
from perflint.analysis.names import Binding, Names, Scope
from perflint.analysis.tree import Comprehension, Function, Loop, Tree, walk_scope
from perflint.model.diagnostics import Span

SMALL = 16  # a loop over at most so many items known in advance is not worth a finding

LoopNode = cst.For | cst.While
Block = cst.IndentedBlock | cst.SimpleStatementSuite | cst.SimpleStatementLine
Own = Callable[[cst.CSTNode], bool]


class _Homes(NamedTuple):
    """The reads of a name in source order, each with its home: the `for` that gives the name its value there.

    A read without one has a home that starts before, and ends after, everything.
    """

    starts: list[int]  # of the reads
    outermost: list[int]  # the earliest start of this and all later homes; one more than reads
    ends: list[int]  # of the homes


class Flow:
    """Questions about one region, remembered where the answer is dear."""

    def __init__(self, tree: Tree, names: Names) -> None:
        self.tree = tree
        self.names = names
        self._resets: dict[LoopNode, set[str]] = {}
        self._left: dict[Block, dict[cst.CSTNode, bool]] = {}
        self._homes_of: dict[tuple[Scope, str], _Homes] = {}
        self._deletes: dict[Scope, set[str]] = {}  # the names that a scope deletes
        self._reads: dict[tuple[Scope, str], list[cst.Name]] = {}

    # Loops

    def loop(self, node: cst.CSTNode) -> LoopNode | None:
        """The innermost `for` or `while` that runs `node` again and again, within its own function."""
        below = node
        for above in self.tree.ancestors(node):
            if isinstance(above, (*Function, cst.ClassDef)):
                return None
            if isinstance(above, Loop) and _repeats(above, below):
                return above
            below = above
        return None

    def loops(self, node: cst.CSTNode) -> Iterator[LoopNode]:
        """All loops that repeat `node`, innermost first."""
        here = self.loop(node)
        while here is not None:
            yield here
            here = self.loop(here)

    def repeated(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The innermost loop or comprehension that evaluates `node` again and again."""
        below = node
        for above in self.tree.ancestors(node):
            if isinstance(above, (*Function, cst.ClassDef)):
                return None
            if isinstance(above, Loop):
                if _repeats(above, below):
                    return above
            elif isinstance(above, Comprehension) and not self.inside(node, above.for_in.iter):
                return above
            below = above
        return None

    def inside(self, node: cst.CSTNode, outer: cst.CSTNode) -> bool:
        return node is outer or any(above is outer for above in self.tree.ancestors(node))

    def bounded(self, loop: cst.CSTNode) -> bool:
        """Whether the loop runs over at most SMALL items that are known from the text."""
        iterable = loop.iter if isinstance(loop, cst.For) else None
        if isinstance(loop, Comprehension):
            iterable = loop.for_in.iter
        return iterable is not None and self._size(iterable) <= SMALL

    def _size(self, node: cst.BaseExpression) -> float:
        match node:
            case cst.List(elements=items) | cst.Tuple(elements=items) | cst.Set(elements=items):
                starred = any(isinstance(item, cst.StarredElement) for item in items)
                return float("inf") if starred else len(items)
            case cst.Dict(elements=items):
                plain = all(isinstance(item, cst.DictElement) for item in items)
                return len(items) if plain else float("inf")
            case cst.Call(func=cst.Name() as function, args=args) if args:
                builtin = self.names.builtin(function)
                if builtin == "range":
                    return self._range([arg.value for arg in args])
                if builtin in ("enumerate", "reversed", "sorted", "list", "tuple", "iter"):
                    return self._size(args[0].value)
                if builtin == "zip":
                    return min(self._size(arg.value) for arg in args)
        return float("inf")

    @staticmethod
    def _range(args: list[cst.BaseExpression]) -> float:
        bounds = [int(arg.value.replace("_", ""), 0) for arg in args if isinstance(arg, cst.Integer)]
        if len(bounds) != len(args) or not 1 <= len(bounds) <= 3:
            return float("inf")
        return len(range(*bounds)) if len(bounds) < 3 or bounds[2] else float("inf")

    def runs_once(self, node: cst.CSTNode, loop: LoopNode) -> bool:
        """Whether no path leads from `node` to another turn of its innermost `loop`."""
        below = node
        for above in self.tree.ancestors(node):
            if isinstance(above, Block):
                if above not in self._left:
                    self._left[above] = leaving(above.body)
                if self._left[above].get(below):
                    return True
            if above is loop:
                return False
            below = above
        return False

    # Growth

    def accumulates(self, target: cst.BaseExpression, loop: LoopNode, own: Own | None = None) -> bool:
        """Whether what `target` names lives through the turns of `loop`: nothing there starts it anew.

        A value that is reset in each turn, or that belongs to the loop variable, does not grow.
        `own` tells of assignments that continue the value in a way that `growths` does not know.
        """
        place = dotted(target)
        if place is None:
            return False
        resets = self.resets(loop) if own is None else _resets(loop, own)
        return place not in resets and resets.isdisjoint(_parts(target))

    def resets(self, loop: LoopNode) -> set[str]:
        """The places that the loop binds to a value not made from the old one."""
        if loop not in self._resets:
            self._resets[loop] = _resets(loop, lambda node: False)
        return self._resets[loop]

    # Uses

    def bindings_in(self, name: str, scope: Scope, outer: cst.CSTNode) -> list[Binding]:
        return [item for item in scope.bindings.get(name, ()) if self.inside(item.node, outer)]

    def reads(self, name: str, scope: Scope) -> list[cst.Name]:
        """Reads of the scope's `name` in it and in its comprehensions, in source order, growths included."""
        if (scope, name) not in self._reads:
            nodes = list(scope.reads.get(name, ()))
            for child in scope.within():
                if child.kind == "comprehension" and child.owner(name) is scope:
                    nodes.extend(child.reads.get(name, ()))
            self._reads[scope, name] = sorted(nodes, key=lambda node: self.tree.span(node).start)
        return self._reads[scope, name]

    def foreign_reads(self, name: str, scope: Scope) -> list[cst.Name]:
        """Reads of `name` that are not the old value in one of its own growths."""
        return [node for node in self.reads(name, scope) if not self._grows(node)]

    def _grows(self, node: cst.Name) -> bool:
        for above in self.tree.ancestors(node):
            if isinstance(above, GROWING):
                mine = [item for item in growths(above) if dotted(item.target) == node.value]
                return bool(mine) and not any(
                    node.value in names_in(part) for item in mine for part in item.operands
                )
            if isinstance(above, cst.BaseStatement):
                return False
        return False

    def captured(self, name: str, scope: Scope) -> list[Scope]:
        """Nested functions, lambdas, classes and generators that use the scope's `name`.

        List, set and dict comprehensions run at once and do not count; `captures` of the scope has them.
        """
        inner = scope.captures(name)
        return [
            item for item in inner if item.kind != "comprehension" or isinstance(item.node, cst.GeneratorExp)
        ]

    def private(self, name: str, scope: Scope) -> bool:
        """Whether only the code of this function can see the name change: a plain local, not captured."""
        return (
            scope.kind == "function"
            and name not in scope.declared
            and not self.captured(name, scope)
            and not self.introspected(scope)
        )

    def introspected(self, scope: Scope) -> bool:
        """Whether `locals()`, `vars()`, `eval` or `exec` may look at the scope's names."""
        return any(word in scope.reads for word in ("locals", "vars", "eval", "exec"))

    def fresh(self, name: str, scope: Scope, init: cst.CSTNode, loop: LoopNode) -> bool:
        """Whether nobody looks at `name` from its init to the end of the loop, except its own growths."""
        if not self.private(name, scope):
            return False
        start, end = self.tree.span(init).end, self.tree.span(loop).end
        return not any(start <= self.tree.span(node).start < end for node in self.foreign_reads(name, scope))

    def reads_after(self, name: str, scope: Scope, node: cst.CSTNode) -> list[cst.Name]:
        """Reads that come after `node` in the text, or before it in a loop that runs both again."""
        end = self.tree.span(node).end
        around = next(reversed([*self.loops(node)]), None)
        found = []
        for read in self.reads(name, scope):
            start = self.tree.span(read).start
            again = around is not None and self.inside(read, around) and not self.inside(read, node)
            if start >= end or again:
                found.append(read)
        return found

    def loop_variable_free(self, loop: cst.For, scope: Scope) -> bool:
        """Whether nothing outside the loop can see its variables: they could move into a comprehension."""
        if scope.kind != "function" and (scope.kind != "module" or isinstance(self.tree.root, cst.Module)):
            return False  # a module's names are everybody's
        return self.loop_variable_unread(loop, scope)

    def loop_variable_unread(self, loop: cst.For, scope: Scope) -> bool:
        """Whether nothing in sight reads the loop's variables outside of it; a module's may be read elsewhere."""
        for name in bound_names(loop.target):
            if name in scope.declared or self.captured(name, scope) or self.introspected(scope):
                return False
            if self._deleted(name, scope):
                return False
            if self._read_outside(name, scope, loop):
                return False
        return not contains(loop.target, cst.Attribute, cst.Subscript)

    def _deleted(self, name: str, scope: Scope) -> bool:
        if scope not in self._deletes:
            kept = scope.bindings.items()
            self._deletes[scope] = {
                name for name, found in kept if any(item.kind == "delete" for item in found)
            }
        return name in self._deletes[scope]

    def _read_outside(self, name: str, scope: Scope, loop: cst.For) -> bool:
        """Whether what the loop leaves in `name` is read: by one of `reads_after` without a `for` of its own for the name."""
        home, span = self._homes(name, scope), self.tree.span(loop)
        if home.outermost[bisect_left(home.starts, span.end)] <= span.start:
            return True
        around = next(reversed([*self.loops(loop)]), None)
        if around is None:
            return False
        first = bisect_left(home.starts, self.tree.span(around).start)
        before = home.ends[first : bisect_left(home.starts, span.start)]
        return max(before, default=0) > span.start

    def _homes(self, name: str, scope: Scope) -> _Homes:
        """For each read of the name, the innermost `for` around it that binds the name."""
        if (scope, name) not in self._homes_of:
            reads = self.reads(name, scope)
            spans = [self._home(name, read) for read in reads]
            outermost = [*accumulate((span.start for span in reversed(spans)), min, initial=maxsize)]
            starts = [self.tree.span(read).start for read in reads]
            self._homes_of[scope, name] = _Homes(starts, outermost[::-1], [span.end for span in spans])
        return self._homes_of[scope, name]

    def _home(self, name: str, read: cst.Name) -> Span:
        for loop in self.loops(read):
            if isinstance(loop, cst.For) and name in bound_names(loop.target):
                return self.tree.span(loop)
        return Span(-1, maxsize)

    def one_line(self, node: cst.CSTNode) -> bool:
        """Whether the statement shares its line: `a; b`, or the body of `for x in y: a`."""
        for above in (node, *self.tree.ancestors(node)):
            if isinstance(above, cst.SimpleStatementSuite):
                return True
            if isinstance(above, cst.SimpleStatementLine):
                return len(above.body) > 1
            if isinstance(above, cst.BaseCompoundStatement):
                return False
        return False

    def guarded(self, node: cst.CSTNode) -> bool:
        """Whether a `try` or `with` of the same function holds the node: partial results may be seen."""
        for above in self.tree.ancestors(node):
            if isinstance(above, (cst.Try, cst.TryStar, cst.With)):
                return True
            if isinstance(above, Function):
                return False
        return False

    def tried(self, node: cst.CSTNode, within: cst.CSTNode | None = None) -> bool:
        """Whether a `try` of the same function, one inside of `within` if given, holds the node.

        Where it does, the place that an exception comes from may matter.
        """
        for above in self.tree.ancestors(node, within):
            if isinstance(above, (cst.Try, cst.TryStar)):
                return True
            if isinstance(above, Function):
                return False
        return False


def _repeats(loop: LoopNode, part: cst.CSTNode) -> bool:
    """Whether the loop evaluates this direct part of it in every turn."""
    return loop.body is part or (isinstance(loop, cst.While) and loop.test is part)


def bound_names(target: cst.CSTNode) -> set[str]:
    """The places that an assignment or loop target binds."""
    match target:
        case cst.Name(value=name):
            return {name}
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            return set().union(*(bound_names(item.value) for item in elements))
        case cst.StarredElement(value=value):
            return bound_names(value)
        case cst.Attribute() | cst.Subscript():
            place = dotted(target)
            return {place} if place else set()
    return set()


def _resets(loop: LoopNode, own: Own) -> set[str]:
    found = bound_names(loop.target) if isinstance(loop, cst.For) else set()
    for node in walk_scope(loop.body):
        if not own(node):
            found |= _reset_by(node)
    return found


def _reset_by(node: cst.CSTNode) -> set[str]:
    """The places that one node binds afresh."""
    match node:
        case cst.Assign() | cst.AnnAssign(value=cst.BaseExpression()) | cst.NamedExpr():
            targets = (
                [item.target for item in node.targets] if isinstance(node, cst.Assign) else [node.target]
            )
            grown = {dotted(item.target) for item in growths(node)}
            bound = set().union(*(bound_names(target) for target in targets))
            return bound - grown
        case cst.For(target=target) | cst.Del(target=target):
            return bound_names(target)
        case cst.WithItem(asname=cst.AsName(name=name)):
            return bound_names(name)
        case cst.ExceptHandler(name=cst.AsName(name=name)):
            return bound_names(name)
    return set()


def _parts(target: cst.BaseExpression) -> set[str]:
    """What a dotted place depends on: `a.b[k]` on `a`, `a.b` and `k`."""
    found: set[str] = set()
    node = target
    while isinstance(node, (cst.Attribute, cst.Subscript)):
        if isinstance(node, cst.Subscript):
            found |= names_in(*node.slice)
        node = node.value
        place = dotted(node)
        if place:
            found.add(place)
    name = root(target)
    return found | ({name} if name else set())
