"""The nodes below an `ast` node, without contexts and operators: those say how, never what."""

from __future__ import annotations

import ast

_NO_NODES = {  # fields that hold names, numbers, contexts or operators
    *("arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level"),
    *("module", "name", "op", "ops", "rest", "simple", "tag", "type_comment", "type_ignores"),
}
_fields: dict[type[ast.AST], tuple[str, ...]] = {
    **dict.fromkeys((ast.Constant, ast.MatchSingleton, ast.Name, ast.Global, ast.Nonlocal), ()),
}


def fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a node type that may hold nodes."""
    found = _fields.get(kind)
    if found is None:
        found = _fields[kind] = tuple(name for name in kind._fields if name not in _NO_NODES)
    return found


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly below, in the order of the fields."""
    found: list[ast.AST] = []
    for name in fields(node.__class__):
        child = getattr(node, name, None)
        if child.__class__ is list:
            found += [item for item in child if item is not None]
        elif child is not None:
            found.append(child)
    return found
