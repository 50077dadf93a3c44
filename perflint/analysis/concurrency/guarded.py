"""Whether a function lets no Exception out: its caller has nothing to look at then."""

from __future__ import annotations

import ast
import re

import libcst as cst

from perflint.analysis.objects import Objects
from perflint.analysis.outline import FunctionNode, Outline, callee, leaf

_CATCHES = re.compile(
    r"(log|catch|handle|suppress|swallow|guard|ignore)(s|es)?_?(all_?)?(exceptions?|errors?)", re.I
)
_WIDE = {"Exception", "BaseException"}
_SURE = {"set", "clear", "append", "add", "discard", "sleep", "wait", "cancel", "print", "put_nowait", "len"}
_STATES = {"monotonic", "time", "perf_counter", "now", "utcnow", "get_running_loop", "random", "frozenset"}
_TELLS = re.compile(r"(^|_)(print|log|logger|logging)(_|$)", re.I)
_DEEP = 3  # functions that await functions
BINDING = {"staticmethod", "classmethod", "override"}
_PLAIN = (ast.Assign, ast.AnnAssign, ast.Pass, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)


def guarded(function: FunctionNode, outline: Outline | None = None, depth: int = 0) -> bool:
    """Whether all that the function does stands in a `try` that catches every Exception and raises none.

    What calls nothing may stand beside it: assignments, `return`, a docstring; and calls that log, sleep
    or ask the clock. A decorator named after what it does, such as `@log_exceptions`, is such a `try`.
    With the outline, awaiting a function of the file that is guarded itself counts as well.
    """
    if any(_catches(item) for item in function.decorator_list):
        return True
    body = [part for item in function.body for part in _within(item)]
    awaits = [item for item in body if outline is not None and _leads(item, function, outline, depth)]
    blocks = any(isinstance(item, (ast.Try, ast.While, ast.For, ast.AsyncFor)) for item in body)
    return (blocks or bool(awaits)) and all(item in awaits or _calm(item) for item in body)


def _within(item: ast.stmt) -> list[ast.stmt]:
    """The statements under `async with self._lock:`, which cannot fail; anything else stays whole."""
    match item:
        case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
            if not any(_calls(part.context_expr) for part in items):
                return [part for below in body for part in _within(below)]
    return [item]


def _leads(item: ast.stmt, function: FunctionNode, outline: Outline, depth: int) -> bool:
    """`await self._save()`, where that is guarded."""
    match item:
        case ast.Expr(value=ast.Await(value=ast.Call(func=called, args=args, keywords=keywords))):
            if depth < _DEEP and not any(_calls(part) for part in (*args, *keywords)):
                found = outline.referred(called, outline.inside(function))
                return found is not None and found is not function and guarded(found, outline, depth + 1)
    return False


def catches(function: FunctionNode) -> bool:
    """Whether the main part of the function stands in a `try` that catches every Exception: more generous
    than `guarded`, as what stands around it may raise."""
    return any(_tries(item) for item in function.body)


def _tries(item: ast.stmt) -> bool:
    match item:
        case ast.Try(handlers=handlers):
            return any(_wide(handler) for handler in handlers)
        case ast.With(body=body) | ast.AsyncWith(body=body) | ast.While(body=body) | ast.For(body=body):
            return any(_tries(part) for part in body)
    return False


def decorated(function: FunctionNode) -> bool:
    """Whether a decorator may change what the function does with its errors, and not only how it is bound."""
    return any(ast.unparse(item).rpartition(".")[2] not in BINDING for item in function.decorator_list)


def may_fail(function: FunctionNode) -> bool:
    """Whether the function does anything that is not sure to succeed: calls, computes, looks up, raises."""
    for node in (part for item in function.body for part in ast.walk(item)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in _SURE:
                continue
            case ast.Call() | ast.Raise() | ast.BinOp() | ast.Subscript() | ast.Assert():
                return True
    return False


def called(objects: Objects, call: cst.BaseExpression) -> FunctionNode | None:
    """The function or method of this file that a call such as `fetch(x)` or `self.fetch(x)` calls."""
    return referred(objects, call.func) if isinstance(call, cst.Call) else None


def referred(objects: Objects, node: cst.BaseExpression) -> FunctionNode | None:
    """The function or method of this file that an expression such as `fetch` or `self.fetch` names."""
    owner = objects.home(node).owner
    match node:
        case cst.Attribute(value=cst.Name(value=first), attr=cst.Name(value=name)):
            if owner is not None and first == owner.name:  # `Loader.fetch(..)` in a method of Loader
                return objects.outline.method(owner, name)
    return objects.referred(node)


def _calm(item: ast.stmt) -> bool:
    match item:
        case ast.Try(handlers=handlers, orelse=orelse):
            return any(_wide(handler) for handler in handlers) and all(_calm(part) for part in orelse)
        case ast.While(body=body) | ast.For(body=body) | ast.AsyncFor(body=body):
            return all(_calm(part) for part in body)
        case ast.If(body=body, orelse=orelse):
            return all(_calm(part) for part in (*body, *orelse))
        case ast.With(body=body) | ast.AsyncWith(body=body):
            return all(_calm(part) for part in body)
        case ast.Expr(value=ast.Constant()) | ast.Continue() | ast.Break():
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=receiver))):
            return _TELLS.search(leaf(receiver)) is not None
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))):
            return _TELLS.search(name) is not None
        case ast.Expr(value=ast.Await(value=ast.Call(func=ast.Attribute(attr="sleep")))):
            return True
        case ast.Return(value=value):
            return value is None or not _calls(value)
    return isinstance(item, _PLAIN) and not _calls(item)


def _catches(decorator: ast.expr) -> bool:
    return _CATCHES.search(leaf(callee(decorator))) is not None


def _wide(handler: ast.ExceptHandler) -> bool:
    if any(isinstance(node, ast.Raise) for node in ast.walk(handler)):
        return False
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _WIDE) for kind in kinds)


def _calls(node: ast.AST) -> bool:
    """Whether anything in it may fail; asking the clock and making an object of plain values do not."""
    return any(
        isinstance(part, (ast.Await, ast.Subscript)) or (isinstance(part, ast.Call) and not _sure(part))
        for part in ast.walk(node)
    )


def _sure(call: ast.Call) -> bool:
    name = leaf(call.func)
    return name in _STATES or (isinstance(call.func, ast.Name) and name[:1].isupper())
