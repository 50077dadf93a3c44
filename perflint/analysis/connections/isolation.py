"""Clients that belong to one item or user: cookies, credentials and logins that nobody else may see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.concurrency.fates import loads
from perflint.analysis.connections.lifetimes import bound_to
from perflint.analysis.match import keyword, names_in

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_SETTINGS = {"auth", "headers", "cookies", "cookie_jar", "cert", "verify", "proxies", "params", "hooks"}
_LOGIN = re.compile(r"log_?in\b|sign_?in\b|csrf|authenticate|oauth|/session", re.I)
_CLIENT = re.compile(r"session|client|http", re.I)
_OWN = ("cookies", "cookie_jar")


def held_as(context: Context, node: cst.BaseExpression) -> cst.Name | None:
    """The name that an assignment or a `with` gives to the object."""
    match context.tree.parent(node):
        case cst.WithItem(asname=cst.AsName(name=cst.Name() as name)):
            return name
    return bound_to(context, node)


def personal(context: Context, node: cst.Call, own: set[str]) -> bool:
    """Whether a client has cookies, or is set up with what one item or call alone has: the names in `own`."""
    if any(keyword(node, word) is not None for word in _OWN):
        return True
    name = held_as(context, node)
    return name is not None and any(_sets(context, read, own) for read in loads(context.names, name))


def _sets(context: Context, read: cst.Name, own: set[str]) -> bool:
    """Whether this use of the client gives it something of one item's: `client.headers.update(user.headers)`."""
    attribute = context.tree.parent(read)
    if not isinstance(attribute, cst.Attribute) or attribute.value is not read:
        return False
    word = attribute.attr.value
    if word in ("cookies", "cookie_jar"):
        return True
    statement = context.tree.statement(read)
    if word in _SETTINGS:
        return bool((names_in(statement) - {read.value}) & own)
    return (
        _LOGIN.search(context.tree.code(statement)) is not None
        if isinstance(statement, cst.SimpleStatementLine)
        else False
    )


def on_demand(context: Context, node: cst.Call) -> bool:
    """Whether it is made where the caller gave none: `if not self.session:`."""
    for above in context.tree.ancestors(node):
        if isinstance(above, (cst.FunctionDef, cst.Lambda)):
            return False
        test = getattr(above, "left", None) if isinstance(above, cst.BooleanOperation) else None
        test = above.test if isinstance(above, (cst.If, cst.IfExp)) else test
        if (
            test is not None
            and _CLIENT.search(context.tree.code(test))
            and not context.flow.inside(node, test)
        ):
            return True
    return False
