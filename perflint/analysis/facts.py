"""What one `ast.parse` and one walk over the statements tell about a file.

The walk looks into expressions only where a statement stands in a loop, so it is several
times cheaper than visiting every node. Its facts decide which regions are worth a LibCST tree.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

from perflint.analysis.marks import REBINDING, Mark, collects, noted
from perflint.analysis.needles import probe
from perflint.analysis.outline import Outline
from perflint.analysis.regions import NOWHERE, Region, Spots, within
from perflint.analysis.shown import Needle, Shown
from perflint.analysis.stores import Stores
from perflint.analysis.written import Written
from perflint.model.diagnostics import Span
from perflint.model.source import Source


class Facts(Written):
    """What is known of a whole file; names are those bound at module level."""

    def __init__(self, source: Source, tree: ast.Module) -> None:
        super().__init__(source)
        self.tree = tree
        self.imports: dict[str, set[str]] = {}  # local name -> qualified names, at module level
        self.bindings: dict[str, list[ast.AST]] = {}  # name -> the nodes that bind it (imports left out)
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.star_import = False
        self.global_names: set[str] = set()  # named by a `global` statement anywhere
        self.module = Region(Span(0, len(source.data)), function=False, node=tree)
        self.regions: list[Region] = []
        walk = _Walk(self)
        walk.run()
        self.module.parts = self._outside(walk.imports)

    def _outside(self, imports: list[Span]) -> list[Span]:
        """The text between the functions, without the imports: they name things and use none."""
        holes = sorted([*(region.span for region in self.regions), *imports])
        edges = [0, *(edge for hole in holes for edge in hole), len(self.source.data)]
        return [Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]

    def about(self, *names: str) -> Facts:
        """What is known of the functions that hold one of the names, and of the code outside of functions."""
        return self

    def setting(self, attribute: str) -> Facts:
        """Those of the functions that give a value to the attribute."""
        return self

    def spots(self, needle: Needle) -> Spots:
        """Where the needle is; looked for once, whatever number of rules asks."""
        found = self._spots.get(needle)
        if found is None:
            found = self._spots[needle] = self._look(needle)
        return found

    @cached_property
    def _spots(self) -> dict[Needle, Spots]:
        return {}

    def _look(self, needle: Needle) -> Spots:
        text = needle.needle if isinstance(needle, Shown) else needle
        return self._found(self._finder(needle, text)) if probe(text) in self.source.vocabulary else NOWHERE

    def _finder(self, needle: Needle, text: bytes) -> Callable[[int], int]:
        """What finds the needle from a byte on, by its text; only a draft tells what is code, and what stands around it."""
        return partial(self.source.data.find, text)

    def _found(self, find: Callable[[int], int]) -> Spots:
        """The regions of what `find` finds, from a byte on; a negative number ends the search."""
        found = Spots(set(), set(), set())
        at = find(0)
        while at >= 0:
            region = self.region_at(at)
            looped = within(region.loops, at)
            if region.function or within(region.parts, at):
                found.any.add(region)
            if looped:
                found.looped.add(region)
            if looped or region.function:
                found.inner.add(region)
            done = region.function and (looped or not region.loops)
            at = find(region.span.end if done else at + 1)
        return found

    @cached_property
    def marked(self) -> dict[Mark, list[Region]]:
        """The regions that have each mark."""
        found: dict[Mark, list[Region]] = {}
        for region in self.every:
            for mark in region.marks if region.loops else ():
                found.setdefault(mark, []).append(region)
        return found

    def region_at(self, at: int) -> Region:
        """The region that the byte belongs to."""
        number = bisect_right(self._starts, at) - 1
        found = self._sorted[number] if number >= 0 else self.module
        return found if at < found.span.end else self.module

    @cached_property
    def every(self) -> list[Region]:
        """The module's own code, and each outermost function."""
        return [self.module, *self.regions]

    @cached_property
    def _sorted(self) -> list[Region]:
        return sorted(self.regions, key=lambda region: region.span)

    @cached_property
    def _starts(self) -> list[int]:
        return [region.span.start for region in self._sorted]

    @cached_property
    def stores(self) -> Stores:
        """What is assigned to attributes and globals."""
        return Stores(self.tree, self.shadows)

    @cached_property
    def outline(self) -> Outline:
        """The functions, classes and attributes of the whole file."""
        return Outline(self)

    def forget(self) -> None:
        """Let go of the outline, which knows the facts: without the cycle the file's tree goes at once."""
        outline = self.__dict__.pop("outline", None)
        if outline is not None:
            outline.forget()

    @cached_property
    def shadows(self) -> set[str]:
        """Module-level names that hide a builtin of the same name."""
        return self.bindings.keys() | self.imports.keys() | self.global_names

    def imported(self, name: str) -> str | None:
        """The qualified name that the module-level `name` stands for, if it is that import alone."""
        qualified = self.imports.get(name, ())
        if len(qualified) == 1 and name not in self.bindings and name not in self.global_names:
            return next(iter(qualified))
        return None

    def returns(self, name: str) -> ast.expr | None:
        """The annotation of what a function of the module returns."""
        return self.functions[name].returns if name in self.functions else None

    def constant(self, name: str) -> ast.expr | None:
        """The value of a module-level name that is bound exactly once, by an assignment."""
        bound = self.bindings.get(name, [])
        if len(bound) == 1 and name not in self.imports and name not in self.global_names:
            match bound[0]:
                case ast.Assign(targets=[ast.Name()], value=value):
                    return value
                case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
                    return value
        return None


class _Place(NamedTuple):
    region: Region
    looping: bool  # inside a loop of this region
    top: bool  # names bound here are the module's


class _Walk:
    """One pass over all statements, without recursion: `elif` chains nest by thousands."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.source = facts.source
        self.stack: list[tuple[ast.AST, _Place]] = []
        self.imports: list[Span] = []  # those outside of functions
        self.walrus = b":=" in facts.source.data

    def run(self) -> None:
        top = _Place(self.facts.module, False, True)
        self.push(self.facts.tree.body, top)
        while self.stack:
            node, place = self.stack.pop()
            if place.looping:
                place.region.marks.update(noted(node))
            handler = _HANDLERS.get(type(node))
            if handler is not None:
                handler(self, node, place)
            elif place.top:
                self.bind_walrus(node)
        if self.walrus:
            self.mark_walrus()

    def push(self, nodes: list[ast.stmt], place: _Place) -> None:
        self.stack.extend((node, place) for node in reversed(nodes))

    def blocks(self, node: ast.AST, place: _Place) -> None:
        """Every statement list of a compound statement."""
        for name in ("body", "handlers", "orelse", "finalbody", "cases"):
            for child in reversed(getattr(node, name, ())):
                if place.top and isinstance(child, ast.ExceptHandler) and child.name:
                    self.bind(child.name, child)
                self.stack.append((child, place))

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, place: _Place) -> None:
        if place.top:
            self.bind(node.name, node)
            if node.name in self.facts.functions or not isinstance(node, ast.FunctionDef):
                self.facts.functions.pop(node.name, None)
            else:
                self.facts.functions[node.name] = node
        region, looping = place.region, place.looping
        if not region.function and not looping:
            span = self.lines(node)
            region, looping = Region(span, function=True, node=node, parts=[span]), False
            self.facts.regions.append(region)
            self.facts.module.holes.add(node)
        self.push(node.body, _Place(region, looping, False))

    def class_(self, node: ast.ClassDef, place: _Place) -> None:
        if place.top:
            self.bind(node.name, node)
        self.push(node.body, place._replace(top=False))

    def loop(self, node: ast.For | ast.AsyncFor | ast.While, place: _Place) -> None:
        if not place.looping:
            place.region.loops.append(self.lines(node))
        if collects(node):
            place.region.marks.add(Mark.COLLECT)
        if place.top and not isinstance(node, ast.While):
            self.bind_target(node.target, node)
        self.push(node.orelse, place)
        self.push(node.body, place._replace(looping=True))

    def with_(self, node: ast.With | ast.AsyncWith, place: _Place) -> None:
        if place.top:
            for item in node.items:
                if item.optional_vars is not None:
                    self.bind_target(item.optional_vars, node)
        self.push(node.body, place)

    def match_(self, node: ast.Match, place: _Place) -> None:
        for case in node.cases:
            if place.top:
                for part in ast.walk(case.pattern):
                    name = getattr(part, "name", None) or getattr(part, "rest", None)
                    if isinstance(name, str):
                        self.bind(name, node)
            self.push(case.body, place)

    def import_(self, node: ast.Import | ast.ImportFrom, place: _Place) -> None:
        if not place.region.function:
            start = self.source.offset(node.lineno, node.col_offset)
            end = self.source.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
            self.imports.append(Span(start, end))
        for local, qualified in self.facts.note(node):
            if local == "*":
                self.facts.star_import = True
            elif place.top:
                self.facts.imports.setdefault(local, set()).add(qualified)

    def assign(self, node: ast.Assign, place: _Place) -> None:
        if place.top:
            for target in node.targets:
                self.bind_target(target, node)
            self.bind_walrus(node)

    def assign_one(self, node: ast.AnnAssign | ast.AugAssign, place: _Place) -> None:
        if place.top:
            self.bind_target(node.target, node)

    def delete(self, node: ast.Delete, place: _Place) -> None:
        if place.top:
            for target in node.targets:
                self.bind_target(target, node)

    def global_(self, node: ast.Global, place: _Place) -> None:
        self.facts.global_names.update(node.names)

    def bind(self, name: str, node: ast.AST) -> None:
        self.facts.bindings.setdefault(name, []).append(node)

    def bind_target(self, target: ast.expr, node: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self.bind(target.id, node)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self.bind_target(element, node)
        elif isinstance(target, ast.Starred):
            self.bind_target(target.value, node)

    def bind_walrus(self, node: ast.AST) -> None:
        if self.walrus:
            for part in ast.walk(node):
                if isinstance(part, ast.NamedExpr):
                    self.bind(part.target.id, part)

    def mark_walrus(self) -> None:
        """`(t := t + e)` hides in any expression; be generous where the text has one in a loop."""
        for region in (self.facts.module, *self.facts.regions):
            if any(self.source.data.find(b":=", *span) >= 0 for span in region.loops):
                region.marks |= REBINDING

    def lines(self, node: ast.stmt) -> Span:
        """The whole lines of a statement, its decorators included."""
        starts = self.source.line_starts
        decorators = getattr(node, "decorator_list", None)
        first = min((item.lineno for item in decorators or ()), default=node.lineno)
        last = node.end_lineno or node.lineno
        end = starts[last] if last < len(starts) else len(self.source.data)
        return Span(starts[min(first, node.lineno) - 1], end)


_HANDLERS: dict[type[ast.AST], Callable[[_Walk, Any, _Place], None]] = {
    ast.FunctionDef: _Walk.function,
    ast.AsyncFunctionDef: _Walk.function,
    ast.ClassDef: _Walk.class_,
    ast.For: _Walk.loop,
    ast.AsyncFor: _Walk.loop,
    ast.While: _Walk.loop,
    ast.With: _Walk.with_,
    ast.AsyncWith: _Walk.with_,
    ast.If: _Walk.blocks,
    ast.Try: _Walk.blocks,
    ast.ExceptHandler: _Walk.blocks,
    ast.Match: _Walk.match_,
    ast.Import: _Walk.import_,
    ast.ImportFrom: _Walk.import_,
    ast.Assign: _Walk.assign,
    ast.AnnAssign: _Walk.assign_one,
    ast.AugAssign: _Walk.assign_one,
    ast.Delete: _Walk.delete,
    ast.Global: _Walk.global_,
}
if hasattr(ast, "TryStar"):
    _HANDLERS[ast.TryStar] = _Walk.blocks
