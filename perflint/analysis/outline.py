"""The functions, classes and attributes of a whole file, read from its `ast` when a rule first asks.

Regions are single functions; what a class assigns to `self.x`, who is handed to a thread, and what a
helper does is told by the rest of the file.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from perflint.analysis.nodes import children

if TYPE_CHECKING:  # facts hold the outline of their file
    from perflint.analysis.facts import Facts

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Definition = (ast.FunctionDef, ast.AsyncFunctionDef)
# Looked up for each node: most are other expressions.
_DEFINITIONS = frozenset(Definition)
_LOOPS = frozenset((ast.For, ast.AsyncFor, ast.While))
_STORING = frozenset(
    (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.withitem, ast.For, ast.AsyncFor)
)
T = TypeVar("T")


class Store(NamedTuple):
    """One value that a name or attribute gets; `value` is None where no single expression tells."""

    value: ast.expr | None
    annotation: ast.expr | None
    home: Home


class Home:
    """Where a node stands: its function, class and the functions around, innermost first."""

    def __init__(
        self,
        functions: tuple[FunctionNode, ...] = (),
        owner: ast.ClassDef | None = None,
        loops: int = 0,
        bound: frozenset[str] = frozenset(),
    ) -> None:
        self.functions = functions
        self.owner = owner  # the class whose method (or body) holds the node
        self.loops = loops  # `for` and `while` statements around it, within its function
        self.bound = bound  # parameters of the functions around

    @property
    def function(self) -> FunctionNode | None:
        return self.functions[0] if self.functions else None


class Outline:
    """One walk over a file's `ast`."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.functions: dict[str, list[FunctionNode]] = defaultdict(list)  # all of that name, any scope
        self.classes: dict[str, list[ast.ClassDef]] = defaultdict(list)
        self.calls: list[tuple[ast.Call, Home]] = []  # in source order
        self.homes: dict[FunctionNode, Home] = {}
        self._attributes: dict[str, dict[ast.ClassDef, list[Store]]] = {}
        self._globals: dict[str, list[Store]] = defaultdict(list)
        self._made: dict[Callable[[Outline], Any], Any] = {}
        for node, home in self._walk():
            self._note(node, home)

    def forget(self) -> None:
        """Let go of the answers, which know the outline."""
        self._made.clear()

    # What is where

    def once(self, make: Callable[[Outline], T]) -> T:
        """What `make` reads from the file, made when first asked for."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("T", self._made[make])

    def inside(self, function: FunctionNode) -> Home:
        """Where the statements of a function stand."""
        home = self.homes[function]
        return Home((function, *home.functions), home.owner, 0, home.bound | _parameters(function.args))

    def attribute(self, owner: ast.ClassDef | None, name: str) -> list[Store]:
        """What the class assigns to `self.name` (or `cls.name`, or in its body), in source order."""
        return self._attributes.get(name, {}).get(owner, []) if owner is not None else []

    def attributes(self, name: str) -> Iterable[list[Store]]:
        """The same for each class that assigns one."""
        return self._attributes.get(name, {}).values()

    def variable(self, name: str) -> list[Store]:
        """What the file assigns to the module-level `name`, functions with `global` included."""
        return self._globals.get(name, [])

    def method(self, owner: ast.ClassDef | None, name: str) -> FunctionNode | None:
        """The one method of that name in the class itself."""
        found = [item for item in (owner.body if owner else ()) if isinstance(item, Definition)]
        named = [item for item in found if item.name == name]
        return named[0] if len(named) == 1 else None

    def referred(self, expression: ast.expr, home: Home) -> FunctionNode | None:
        """The function of this file that `f`, `self.f` or `functools.partial(f, ..)` stands for."""
        match expression:
            case ast.Call(func=function, args=[first, *_]) if self.qualified(function) == "functools.partial":
                return self.referred(first, home)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return self.method(home.owner, name)
            case ast.Name(id=name) if name not in home.bound:
                around = set(home.functions)
                seen = [item for item in self.functions.get(name, ()) if self._visible(item, around)]
                return max(seen, key=lambda item: len(self.homes[item].functions), default=None)
        return None

    def _visible(self, function: FunctionNode, around: set[FunctionNode]) -> bool:
        home = self.homes[function]
        if home.owner is not None and function in home.owner.body:
            return False  # a method is no plain name
        return home.function is None or home.function in around

    def bases(self, owner: ast.ClassDef) -> list[str]:
        """The qualified names of the classes it derives from, those of this file followed up."""
        found: list[str] = []
        queue, seen = [owner], {owner}
        while queue:
            for base in queue.pop().bases:
                name = self.qualified(base)
                if name is not None:
                    found.append(name)
                elif isinstance(base, ast.Name):
                    fresh = [item for item in self.classes.get(base.id, ()) if item not in seen]
                    seen.update(fresh)
                    queue += fresh
        return found

    def qualified(self, node: ast.expr, bound: frozenset[str] = frozenset()) -> str | None:
        """What a dotted name stands for by the imports of the file; None where that is not certain."""
        match node:
            case ast.Name(id=name):
                meanings = self.facts.imports_anywhere.get(name, ())
                hidden = name in self.facts.bindings or name in self.facts.global_names or name in bound
                return next(iter(meanings)) if len(meanings) == 1 and not hidden else None
            case ast.Attribute(value=value, attr=attribute):
                base = self.qualified(value, bound)
                return f"{base}.{attribute}" if base else None
        return None

    @cached_property
    def placed(self) -> list[tuple[ast.AST, Home]]:
        """Every node of the file and where it stands, in source order."""
        return list(self._walk())

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node around each node of the file."""
        return {child: node for node, _ in self.placed for child in children(node)}

    @cached_property
    def main_lines(self) -> list[range]:
        """The lines under `if __name__ == "__main__":`."""
        found = []
        for item in self.facts.tree.body:
            match item:
                case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()])):
                    found.append(range(item.lineno, (item.end_lineno or item.lineno) + 1))
        return found

    # The walk

    def _walk(self) -> Iterator[tuple[ast.AST, Home]]:
        """Every node and where it stands; a function must be noted before what it holds is asked for."""
        stack: list[tuple[ast.AST, Home]] = [(self.facts.tree, Home())]
        while stack:
            node, home = stack.pop()
            yield node, home
            kind: type[ast.AST] = node.__class__
            if kind in _DEFINITIONS:
                home = self.inside(node)  # type: ignore[arg-type]
            elif kind is ast.ClassDef:
                home = Home(home.functions, node, 0, home.bound)  # type: ignore[arg-type]
            elif kind in _LOOPS:
                home = Home(home.functions, home.owner, home.loops + 1, home.bound)
            stack += [(child, home) for child in reversed(children(node))]

    def _note(self, node: Any, home: Home) -> None:
        kind: type[ast.AST] = node.__class__
        if kind is ast.Call:
            self.calls.append((node, home))
        elif kind in _DEFINITIONS:
            self.functions[node.name].append(node)
            self.homes[node] = home
        elif kind is ast.ClassDef:
            self.classes[node.name].append(node)
        elif kind in _STORING:
            for target, value, annotation in _stores(node):
                self._store(target, Store(value, annotation, home))

    def _store(self, target: ast.expr, store: Store) -> None:
        home = store.home
        match target:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if home.owner is not None:
                self._attributes.setdefault(name, {}).setdefault(home.owner, []).append(store)
            case ast.Name(id=name) if home.function is None and home.owner is not None:
                self._attributes.setdefault(name, {}).setdefault(home.owner, []).append(store)
            case ast.Name(id=name) if home.function is None or self._global(name, home.function):
                self._globals[name].append(store)

    def _global(self, name: str, function: FunctionNode) -> bool:
        if name not in self.facts.global_names:
            return False
        words = (node for node in ast.walk(function) if isinstance(node, ast.Global))
        return any(name in word.names for word in words)


def _stores(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    """(target, value, annotation) of whatever a node binds."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, value)
        case ast.AnnAssign(target=target, value=annotated, annotation=annotation):
            yield target, annotated, annotation
        case ast.NamedExpr(target=target, value=value):
            yield target, value, None
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            yield target, value, None
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            for part in ast.walk(target):
                if isinstance(part, (ast.Name, ast.Attribute)):
                    yield part, None, None


def _unpacked(
    target: ast.expr, value: ast.expr
) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    if not isinstance(target, (ast.Tuple, ast.List)):
        yield target, value, None
        return
    values: list[Any] = [None] * len(target.elts)
    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        values = value.elts
    for part, item in zip(target.elts, values, strict=True):
        if item is not None:
            yield from _unpacked(part, item)
        else:
            yield part, None, None


def _parameters(arguments: ast.arguments) -> frozenset[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    stars = (item for item in (arguments.vararg, arguments.kwarg) if item is not None)
    return frozenset(item.arg for item in (*every, *stars)) - {"self", "cls"}


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below in source order, without what functions and classes among them hold."""
    stack = [node]
    while stack:
        here = stack.pop()
        if here is not node:
            yield here
        if here is node or not isinstance(here, (*Definition, ast.Lambda, ast.ClassDef)):
            stack.extend(reversed(children(here)))


@lru_cache(maxsize=1024)
def generates(node: ast.AST) -> bool:
    """Whether the code of a function, or a part of it, yields."""
    return any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in own_nodes(node))


def leaf(node: ast.AST | None) -> str:
    """The last word of a dotted name: `fetch` of `self.api.fetch`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def callee(node: ast.expr) -> ast.expr:
    """What a call calls; the expression itself where it is none: decorators are written both ways."""
    return node.func if isinstance(node, ast.Call) else node


def decorators(function: FunctionNode) -> set[str]:
    """The last words of a function's decorators: `get` of `@app.get("/")`."""
    return {leaf(callee(item)) for item in function.decorator_list}


def is_none(node: object) -> bool:
    """Whether the expression is written `None`."""
    return isinstance(node, ast.Constant) and node.value is None
