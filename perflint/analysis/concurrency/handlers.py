"""What an `except` clause catches, and what it does with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import takewhile

import libcst as cst

from perflint.analysis import library
from perflint.analysis.match import last_name
from perflint.analysis.names import Names
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Function, Tree, walk, walk_scope

WIDE = frozenset({"builtins.Exception", "builtins.BaseException", ""})  # "" is a bare `except`
CANCELLED = frozenset(
    {
        "asyncio.CancelledError",
        "asyncio.exceptions.CancelledError",
        "concurrent.futures.CancelledError",
        "trio.Cancelled",
        "anyio.get_cancelled_exc_class",
    }
)
_SILENT = (ast.Pass, ast.Continue, ast.Break, ast.Expr, ast.Return)
_QUIET = (cst.Pass, cst.Continue, cst.Break)


def caught(names: Names, handler: cst.ExceptHandler) -> set[str]:
    """The qualified names of what the clause catches; "" for a bare `except`, "?" for what is not known."""
    match handler.type:
        case None:
            return {""}
        case cst.Tuple(elements=elements):
            return {_name(names, item.value) for item in elements}
    return {_name(names, handler.type)}


def is_wide(names: Names, handler: cst.ExceptHandler) -> bool:
    """Whether the clause catches every Exception."""
    return not caught(names, handler).isdisjoint(WIDE)


def covering(tree: Tree, node: cst.CSTNode, within: cst.CSTNode) -> Iterator[cst.Try]:
    """The `try` statements whose body holds `node`, innermost first, inside `within` and its function."""
    below = node
    for above in tree.ancestors(node):
        if isinstance(above, cst.Try) and above.body is below:
            yield above
        if above is within or isinstance(above, Function):
            return
        below = above


def isolated(names: Names, node: cst.CSTNode, within: cst.CSTNode) -> bool:
    """Whether an Exception raised at `node` is caught, and not raised again, before it leaves `within`."""
    for item in covering(names.tree, node, within):
        for handler in item.handlers:
            if is_wide(names, handler):
                if not always_raises(handler):
                    return True
                break  # a wide clause before any other one: it goes on outward
    own = takewhile(lambda above: not isinstance(above, Function), names.tree.ancestors(node, within))
    return any(
        isinstance(above, cst.With) and any(suppresses(names, item.item) for item in above.items)
        for above in own
    )


def is_silent(handler: cst.ExceptHandler | cst.Finally) -> bool:
    """Whether the clause does nothing: `pass`, `continue`, `...`, a docstring, or a bare `return`."""
    for small in smalls(handler):
        match small:
            case cst.Expr(value=cst.SimpleString() | cst.Ellipsis() | cst.ConcatenatedString()):
                continue
            case cst.Return(value=None | cst.Name(value="None")):
                continue
        if not isinstance(small, _QUIET):
            return False
    return True


def may_be_silent(sketch: Sketch) -> list[ast.ExceptHandler]:
    """The clauses of the region that do nothing, as far as their statements tell."""
    return [part for part in sketch.of(ast.ExceptHandler) if all(isinstance(x, _SILENT) for x in part.body)]


def ends(handler: cst.ExceptHandler, kind: type[cst.CSTNode]) -> bool:
    """Whether a statement of the clause itself is a `break`, a `return` or the like."""
    return any(isinstance(item, kind) for item in smalls(handler))


def smalls(handler: cst.ExceptHandler | cst.Finally) -> Iterator[cst.CSTNode]:
    """The statements of the clause: small ones, and compound ones whole."""
    for item in handler.body.body:
        yield from item.body if isinstance(item, cst.SimpleStatementLine) else (item,)


def always_raises(handler: cst.ExceptHandler) -> bool:
    """Whether every path through the clause ends in a `raise` (of its own level)."""
    return _raises(handler.body)


def raises(handler: cst.ExceptHandler) -> bool:
    """Whether some path through the clause raises."""
    return any(isinstance(node, cst.Raise) for node in walk_scope(handler.body))


def leaves(handler: cst.ExceptHandler) -> bool:
    """Whether every path through the clause leaves the loop around: `break`, `return` or `raise`."""
    return _raises(handler.body, (cst.Raise, cst.Break, cst.Return))


def _raises(body: cst.CSTNode, kinds: tuple[type[cst.CSTNode], ...] = (cst.Raise,)) -> bool:
    for item in getattr(body, "body", ()):
        match item:
            case cst.SimpleStatementLine(body=smalls):
                if any(isinstance(small, kinds) for small in smalls):
                    return True
            case cst.If(body=yes, orelse=cst.Else(body=no)):
                if _raises(yes, kinds) and _raises(no, kinds):
                    return True
            case cst.If(body=yes, orelse=cst.If() as other):
                if _raises(yes, kinds) and _chain(other, kinds):
                    return True
            case cst.With(body=inner):
                if _raises(inner, kinds):
                    return True
            case cst.Try(body=inner, finalbody=final):
                if (final is not None and _raises(final.body, kinds)) or (
                    _raises(inner, kinds) and all(_raises(part.body, kinds) for part in item.handlers)
                ):
                    return True
        if isinstance(item, kinds):
            return True
    return False


def _chain(item: cst.If, kinds: tuple[type[cst.CSTNode], ...]) -> bool:
    if not _raises(item.body, kinds):
        return False
    if isinstance(item.orelse, cst.If):
        return _chain(item.orelse, kinds)
    return item.orelse is not None and _raises(item.orelse.body, kinds)


def suppresses(names: Names, item: cst.BaseExpression) -> bool:
    """`suppress(Exception)`, and a guard of `perflint.runtime` or of that name."""
    if not isinstance(item, cst.Call):
        return False
    qualified = names.qualified(item.func) or ""
    if qualified == "contextlib.suppress":
        return any(names.qualified(part.value) in WIDE for part in item.args)
    return last_name(item.func) == "guard"


def _name(names: Names, node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Call):
        node = node.func
    qualified = names.qualified(node)
    return library.canonical(qualified) if qualified else "?"


def mentions_name(handler: cst.ExceptHandler) -> bool:
    """Whether the clause looks at the exception that it names."""
    if handler.name is None or not isinstance(handler.name.name, cst.Name):
        return False
    bound = handler.name.name.value
    return any(isinstance(node, cst.Name) and node.value == bound for node in walk(handler.body))
