"""Who uses one object at the same time: the threads of an executor, the holders of a semaphore."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from perflint.analysis import library
from perflint.analysis.connections.capacity import integer
from perflint.analysis.objects import argument
from perflint.analysis.outline import FunctionNode, Home, Outline, leaf

_HANDING = {
    "submit",
    "map",
    "imap",
    "imap_unordered",
    "starmap",
    "apply_async",
    "map_async",
    "starmap_async",
    "apply",
}
_CROWDS = {
    library.THREAD_EXECUTOR: "max_workers",
    library.THREAD_POOL: "processes",
    "asyncio.Semaphore": "value",
    "asyncio.BoundedSemaphore": "value",
}
_DEPTH = 3


class Place(NamedTuple):
    """Where an object is kept: a name of a function or (without one) of the module, or `self.x` of a class."""

    name: str
    function: FunctionNode | None = None
    owner: ast.ClassDef | None = None


class Sharing:
    """Answers for one file."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline

    def crowd(self, call: ast.Call, home: Home) -> int | None:
        """The size of the largest crowd of constant size that uses what the call makes."""
        places = self._places(call, home)
        found = [
            size
            for size, user, at in self._users()
            if places and self._uses(user, at, places, _DEPTH) and not self._own(user, at, home)
        ]
        return max(found, default=None)

    # Where it is kept

    def _places(self, call: ast.Call, home: Home) -> set[Place]:
        """The places that hold the object, or what is made of it: `sessionmaker(engine)`."""
        places: set[Place] = set()
        for _ in range(_DEPTH):
            found = {
                place
                for target, value, at in self.outline.once(_stores)
                for place in self._named(target, at)
                if _holds(value, call) or self._takes(value, at, places)
            }
            if found <= places:
                break
            places |= found
        return places

    def _named(self, target: ast.expr, home: Home) -> list[Place]:
        match target:
            case ast.Name(id=name):
                is_global = home.function is None or name in self.outline.facts.global_names
                return [Place(name, None if is_global else home.function)]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if home.owner is not None:
                return [Place(name, None, home.owner)]
        return []

    def _takes(self, value: ast.expr, home: Home, places: set[Place]) -> bool:
        """Whether a call gets one of the places as an argument, to hold it."""
        given = [*value.args, *(word.value for word in value.keywords)] if isinstance(value, ast.Call) else []
        return any(
            self._is(item, home, places) or (isinstance(item, ast.Call) and self._takes(item, home, places))
            for item in given
        )

    def _is(self, node: ast.AST, home: Home, places: set[Place]) -> bool:
        match node:
            case ast.Name(id=name):
                around = [item for item in home.functions if _binds(item, name)]
                return Place(name, around[0] if around else None) in places
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return Place(name, None, home.owner) in places
        return False

    # Who uses it

    def _users(self) -> Iterator[tuple[int, list[ast.AST], Home]]:
        """What a crowd of constant size runs: the function and arguments handed over, or the body of `async with`."""
        for call, home in self.outline.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in _HANDING and call.args:
                crowd = self._crowd(call.func.value, home)
                if crowd is not None:
                    yield crowd, [*call.args], home
        for node, home in self.outline.placed:
            if not isinstance(node, ast.AsyncWith):
                continue
            for item in node.items:
                crowd = self._crowd(item.context_expr, home)
                if crowd is not None:
                    yield crowd, [*node.items, *node.body], home

    def _crowd(self, node: ast.expr, home: Home) -> int | None:
        """How many an executor or semaphore lets work at once, where a constant tells."""
        made = self._made(node, home)
        kind = (
            library.canonical(self.outline.qualified(made.func, home.bound) or "") if made is not None else ""
        )
        if made is None or kind not in _CROWDS:
            return None
        return integer(argument(made, _CROWDS[kind], 0), self.outline)

    def _made(self, node: ast.expr, home: Home) -> ast.Call | None:
        """The one call that makes what a name or `self.x` is."""
        if isinstance(node, ast.Call):
            return node
        wanted = (
            {Place(node.id, item) for item in (*home.functions, None)}
            if isinstance(node, ast.Name)
            else set()
        )
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            wanted = {Place(node.attr, None, home.owner)}
        found = [
            value
            for target, value, at in self.outline.once(_stores)
            if not wanted.isdisjoint(self._named(target, at))
        ]
        return found[0] if len(found) == 1 and isinstance(found[0], ast.Call) else None

    def _uses(self, nodes: list[ast.AST], home: Home, places: set[Place], depth: int) -> bool:
        """Whether code mentions one of the places, itself or by a function of this file that it names."""
        for node in nodes:
            for part in ast.walk(node):
                if self._is(part, home, places):
                    return True
                function = self.outline.referred(part, home) if depth and isinstance(part, ast.expr) else None
                if function is not None and self._uses(
                    [*function.body], self.outline.inside(function), places, depth - 1
                ):
                    return True
        return False

    def _own(self, nodes: list[ast.AST], at: Home, home: Home) -> bool:
        """Whether the object is made by the code that the crowd runs: one for each."""
        functions = [self.outline.referred(node, at) for node in nodes if isinstance(node, ast.expr)]
        return any(item is not None and item in home.functions for item in functions)


def _holds(value: ast.expr, call: ast.Call) -> bool:
    """Whether the value is what the call makes, awaited or entered."""
    match value:
        case ast.Await(value=inner):
            return inner is call
        case ast.Call(args=[inner], func=function) if leaf(function) in ("closing", "aclosing"):
            return inner is call
    return value is call


def _binds(function: FunctionNode, name: str) -> bool:
    """Whether the name is a parameter or local of the function."""
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    if any(item.arg == name for item in every):
        return True
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(function)
    ) and not any(isinstance(node, ast.Global) and name in node.names for node in ast.walk(function))


def _stores(outline: Outline) -> list[tuple[ast.expr, ast.expr, Home]]:
    """(target, value, where) of every assignment and `with .. as` of the file."""
    found: list[tuple[ast.expr, ast.expr, Home]] = []
    for node, home in outline.placed:
        match node:
            case ast.Assign(targets=targets, value=value):
                found += [(target, value, home) for target in targets]
            case (
                ast.AnnAssign(target=target, value=ast.expr() as value)
                | ast.NamedExpr(target=target, value=value)
            ):
                found.append((target, value, home))
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                found.append((target, value, home))
    return found
