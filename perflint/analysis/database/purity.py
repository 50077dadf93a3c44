"""Expressions that may move into a generator or list: nothing in them runs code that could notice.

A generator that touches the connection it feeds hangs psycopg 3 (its executemany holds the
connection's lock while it takes rows), so the list of what may move is short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.tree import children

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_FUNCTIONS = frozenset(
    f"builtins.{name}" for name in ("int", "str", "float", "bool", "len", "round", "tuple", "list", "dict", "bytes")
) | {"json.dumps"}  # fmt: skip
_METHODS = frozenset(
    {"strip", "lower", "upper", "isoformat", "get", "encode", "decode", "format"}
    | {"title", "lstrip", "rstrip"}
)
_PLAIN = (
    *(cst.Name, cst.SimpleString, cst.Integer, cst.Float, cst.Attribute, cst.Subscript, cst.ConcatenatedString),
    *(cst.FormattedString, cst.FormattedStringExpression, cst.FormattedStringText, cst.BinaryOperation),
    *(cst.UnaryOperation, cst.Tuple, cst.List, cst.Dict, cst.Set, cst.Element, cst.StarredElement, cst.DictElement),
    *(cst.StarredDictElement, cst.SubscriptElement, cst.Index, cst.Slice, cst.Comparison, cst.ComparisonTarget),
    *(cst.BooleanOperation, cst.IfExp, cst.BaseCompOp, cst.Arg),
)  # fmt: skip


def pure(context: Context, node: cst.CSTNode) -> bool:
    """Whether evaluating the expression runs no code of the user's that a reader would think of.

    Attributes and subscripts count as pure: a property that queries the database is beyond sight.
    """
    if isinstance(node, cst.Call):
        if not _known(context, node):
            return False
        owner = node.func.value if isinstance(node.func, cst.Attribute) else None
        return all(pure(context, part) for part in (*node.args, *((owner,) if owner is not None else ())))
    if not isinstance(node, _PLAIN):
        return False
    if isinstance(node, (cst.Name, cst.SimpleString)):
        return True
    return all(pure(context, child) for child in children(node))


def _known(context: Context, call: cst.Call) -> bool:
    if context.names.qualified(call.func) in _FUNCTIONS:
        return True
    return (
        isinstance(call.func, cst.Attribute)
        and call.func.attr.value in _METHODS
        and context.objects.of(call.func.value) is None  # redis.get asks a server
    )
