"""Whether anybody looks at how a task that an attribute keeps has ended."""

from __future__ import annotations

import ast

from perflint.analysis.facts import Facts

_BLIND = {
    "cancel",
    "done",
    "cancelled",
    "get_name",
    "set_name",
    "get_loop",
}  # methods that tell nothing of a failure
_CONTAINER = {"add", "append", "appendleft", "discard", "remove", "clear", "keys"}
_FORGETS = {"discard", "remove", "pop"}


def observed(facts: Facts, attribute: str) -> bool:
    """Whether anything in the file may learn from an attribute of that name how the task in it ended."""
    parents = {child: node for node in ast.walk(facts.tree) for child in ast.iter_child_nodes(node)}
    return any(
        isinstance(node, ast.Attribute) and node.attr == attribute and not _looks_away(node, parents)
        for node in ast.walk(facts.tree)
    )


def _looks_away(node: ast.expr, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether this use of the attribute tells nothing about a failure."""
    parent = parents[node]
    if not isinstance(getattr(node, "ctx", None), ast.Load):
        return True
    match parent:
        case ast.Attribute(attr=method):
            return _method(parent, method, parents)
        case ast.Subscript(value=value) if value is node:
            return _looks_away(parent, parents)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if test is node:
            return True
        case ast.UnaryOp(op=ast.Not()) | ast.Compare() | ast.Delete() | ast.Assert():
            return True
        case ast.BoolOp():
            return not isinstance(parents[parent], (ast.Assign, ast.Return, ast.Call, ast.Await))
        case ast.Call(func=ast.Name(id="len" | "bool")):
            return True
        case ast.For(iter=iterable, target=ast.Name(id=item), body=body) if iterable is node:
            return all(
                _looks_away(part, parents)
                for statement in body
                for part in ast.walk(statement)
                if isinstance(part, ast.Name) and part.id == item
            )
    return False


def _method(parent: ast.Attribute, method: str, parents: dict[ast.AST, ast.AST]) -> bool:
    call = parents[parent]
    if method in _FORGETS and isinstance(call, ast.Call) and call.func is not parent:
        return True  # handed over as a callback
    if not isinstance(call, ast.Call) or call.func is not parent:
        return False
    if method == "add_done_callback":
        match call.args:
            case [ast.Attribute(attr=name)] | [ast.Lambda(body=ast.Call(func=ast.Attribute(attr=name)))]:
                return name in _FORGETS
        return False
    if method == "pop":
        return isinstance(parents[call], (ast.Expr, ast.Lambda))
    return method in _BLIND | _CONTAINER
