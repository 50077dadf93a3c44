"""What a class assigns to its attributes, and a module to its globals: every assignment in sight.

An accumulator that is no local, such as `self.buffer`, is started in one function and grown in
another. Its type is known where all assignments in the class agree.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import cached_property

from perflint.analysis.nodes import children
from perflint.analysis.outline import leaf

Types = frozenset[str | None]  # of each assignment; None is one that is not known

_NEUTRAL = "neutral"  # `None`, and what is made from the old value: these never decide
_BUILTINS = {
    name: name for name in ("str", "bytes", "bytearray", "list", "tuple", "dict", "set", "int", "float")
}
_CALLS = {**_BUILTINS, "repr": "str", "chr": "str", "hex": "str", "len": "int", "sorted": "list"}
_SAME = {
    "strip",
    "lstrip",
    "rstrip",
    "lower",
    "upper",
    "replace",
    "removeprefix",
    "removesuffix",
    "ljust",
    "rjust",
}
_PIECES = frozenset({"split", "rsplit", "partition", "rpartition"})
_DISPLAYS: dict[type[ast.AST], str] = {
    **dict.fromkeys((ast.List, ast.ListComp), "list"),
    **dict.fromkeys((ast.Dict, ast.DictComp), "dict"),
    **dict.fromkeys((ast.Set, ast.SetComp), "set"),
    ast.JoinedStr: "str",
    ast.Tuple: "tuple",
}
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Stores:
    """Answers for one file, remembered: one walk for each class that is asked about."""

    def __init__(self, tree: ast.Module, shadows: Collection[str]) -> None:
        self._tree = tree
        self._shadows = shadows
        self._of_class: dict[ast.ClassDef, dict[str, Types]] = {}
        self._setters: dict[ast.ClassDef, dict[str, set[str]]] = {}

    def attribute(self, line: int, name: str) -> Types:
        """The types that the class, whose method is defined on `line`, assigns to the attribute `name`."""
        owner = self._owners.get(line)
        if owner is None:
            return frozenset()
        if owner not in self._of_class:
            self._of_class[owner] = _Reader(self._shadows).read(owner)
        return self._of_class[owner].get(f".{name}", frozenset())

    def anywhere(self, name: str) -> list[Types]:
        """The types that each class of the file assigns to its attribute of that name."""
        lines = {owner: line for line, owner in self._owners.items()}
        return [self.attribute(line, name) for line in lines.values()]

    def setters(self, line: int, name: str) -> set[str]:
        """The methods of that class, apart from `__init__`, that bind the attribute anew."""
        owner = self._owners.get(line)
        if owner is None:
            return set()
        if owner not in self._setters:
            self._setters[owner] = _setters(owner)
        return self._setters[owner].get(name, set())

    def variable(self, name: str) -> Types:
        """The types that the file assigns to `name`, in whatever scope."""
        return self._variables.get(name, frozenset())

    @cached_property
    def _owners(self) -> dict[int, ast.ClassDef]:
        """The line of each method's `def` -> its class."""
        classes = (node for node in ast.walk(self._tree) if isinstance(node, ast.ClassDef))
        return {item.lineno: node for node in classes for item in node.body if isinstance(item, _Function)}

    @cached_property
    def _variables(self) -> dict[str, Types]:
        return _Reader(self._shadows).read(self._tree)


class _Reader:
    """Collects the assignments below one node; attributes carry a dot, whatever object they are of."""

    def __init__(self, shadows: Collection[str]) -> None:
        self.shadows = shadows
        self.found: dict[str, set[str | None]] = defaultdict(set)
        self.parameters: dict[str, str] = {}

    def read(self, root: ast.ClassDef | ast.Module) -> dict[str, Types]:
        prefix = "." if isinstance(root, ast.ClassDef) else ""
        stack: list[tuple[ast.AST, dict[str, str], str]] = [(item, {}, prefix) for item in root.body]
        while stack:
            node, self.parameters, prefix = stack.pop()
            below, inner = self.parameters, prefix
            if isinstance(node, _Function):
                self.add(prefix + node.name, None)
                below, inner = {**below, **_annotated(node.args)}, ""
            elif isinstance(node, ast.ClassDef):
                inner = "?"  # a nested class's own names are nobody's here
            for target, kind in self.stores(node):
                self.add(_key(target, prefix), kind)
            stack.extend((child, below, inner) for child in children(node))
        return {name: frozenset(kinds - {_NEUTRAL}) for name, kinds in self.found.items()}

    def add(self, key: str, kind: str | None) -> None:
        if key:
            self.found[key].add(kind)

    def stores(self, node: ast.AST) -> Iterator[tuple[ast.expr, str | None]]:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self.unpacked(target, value)
            case ast.AnnAssign(target=target, annotation=annotation, value=annotated):
                kind = _named(annotation)
                if kind or annotated is not None:
                    yield target, kind or self.kind(annotated, leaf(target))
            case ast.NamedExpr(target=target, value=value):
                yield target, self.kind(value, leaf(target))
            case ast.AugAssign(target=target, op=operator, value=value):
                kind = self.kind(value, leaf(target)) if isinstance(operator, ast.Add) else _NEUTRAL
                kind = None if kind in ("list", "tuple", "set", "dict") else kind  # a list takes a tuple, too
                scaled = isinstance(operator, (ast.Add, ast.Mult, ast.Mod))
                yield target, (kind or _NEUTRAL) if scaled else None
            case (
                ast.For(target=target)
                | ast.AsyncFor(target=target)
                | ast.withitem(optional_vars=ast.expr() as target)
            ):
                for part in ast.walk(target):
                    if isinstance(part, ast.expr):
                        yield part, None

    def unpacked(self, target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, str | None]]:
        if not isinstance(target, (ast.Tuple, ast.List)):
            yield target, self.kind(value, leaf(target))
            return
        same = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
        for index, part in enumerate(target.elts):
            if same:
                yield from self.unpacked(part, value.elts[index])  # type: ignore[attr-defined]
            elif isinstance(value, ast.Call) and getattr(value.func, "attr", "") in _PIECES:
                yield part, self.kind(value.func.value, leaf(part))  # type: ignore[attr-defined]
            else:
                yield part, None

    def kind(self, node: ast.expr | None, own: str) -> str | None:
        """The type of an expression that is assigned to the attribute or name `own`."""
        match node:
            case ast.Constant(value=value):
                return _NEUTRAL if value is None else type(value).__name__
            case ast.Name(id=name) | ast.Attribute(attr=name) if name == own:
                return _NEUTRAL
            case ast.Name(id=name):
                return self.parameters.get(name)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.kind(left, own) or self.kind(right, own)
            case (
                ast.BinOp(left=left, op=ast.Mod() | ast.Mult()) | ast.Subscript(value=left, slice=ast.Slice())
            ):
                return self.kind(left, own)
            case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
                kinds = {self.kind(one, own), self.kind(other, own)} - {_NEUTRAL}
                return kinds.pop() if len(kinds) == 1 else None
            case ast.Call(func=ast.Attribute(value=value, attr=method)):
                made = {"encode": "bytes", "decode": "str", "join": "", "format": ""}.get(method)
                return made or (self.kind(value, own) if made == "" or method in _SAME else None)
            case ast.Call(func=ast.Name(id=name)):
                return _CALLS.get(name) if name not in self.shadows else None
        return _DISPLAYS.get(type(node)) if node is not None else None


def _setters(owner: ast.ClassDef) -> dict[str, set[str]]:
    """Attribute -> the methods that assign it, themselves or by a method they use; `+=` is no assignment."""
    found: dict[str, set[str]] = defaultdict(set)
    used: dict[str, set[str]] = {}
    for method in (item for item in owner.body if isinstance(item, _Function) and item.name != "__init__"):
        parts = [node for node in ast.walk(method) if isinstance(node, (ast.Attribute, ast.Assign))]
        used[method.name] = {node.attr for node in parts if isinstance(node, ast.Attribute)}
        targets = (target for node in parts if isinstance(node, ast.Assign) for target in node.targets)
        for part in (part for target in targets for part in ast.walk(target)):
            if isinstance(part, ast.Attribute):
                found[part.attr].add(method.name)
    for setters in found.values():
        size = 0
        while len(setters) > size:
            size = len(setters)
            setters |= {name for name, uses in used.items() if uses & setters}
    return found


def _annotated(arguments: ast.arguments) -> dict[str, str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    known = ((item.arg, _named(item.annotation)) for item in every)
    return {name: kind or "" for name, kind in known if kind}


def _named(annotation: ast.expr | None) -> str | None:
    """The builtin type that an annotation names, with or without `None`."""
    match annotation:
        case (
            ast.Name(id=name)
            | ast.Constant(value=str(name))
            | ast.Subscript(value=ast.Name(id="list" | "tuple" as name))
        ):
            return _BUILTINS.get(name)
        case ast.BinOp(left=one, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _named(one)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=one):
            return _named(one)
    return None


def _key(target: ast.expr, prefix: str) -> str:
    if isinstance(target, ast.Attribute):
        return f".{target.attr}"
    return prefix + target.id if isinstance(target, ast.Name) else ""
