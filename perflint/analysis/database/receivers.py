"""Which driver's connection, cursor or session a method is called on, and how sure that is.

Proved: followed to its constructor or an annotation (see `objects`). Guessed: the file imports a driver
and the name says what it is; a guess carries a finding where the SQL text is in sight, never a fix.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.database.drivers import (
    DRIVERS,
    PACKAGES,
    ROLES,
    SESSION_PACKAGES,
    SQLALCHEMY,
    Driver,
    Kind,
)
from perflint.analysis.match import last_name

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_CURSOR = re.compile(r"^_*(.*_)?(cur|cursor|crsr|curs)\d?$|^c$")
_CONNECTION = re.compile(r"^_*(.*_)?(conn?|connection|db|database|tx|trans|transaction|dbh)\d?$")
_SESSION = re.compile(r"^_*(.*_)?(session|sess)$")


class Receiver(NamedTuple):
    """What a method is called on."""

    driver: Driver | None  # None: one of several that the file imports
    kind: Kind
    proved: bool

    @property
    def local(self) -> bool:
        """Whether it is proved that no server is asked."""
        return self.proved and self.driver is not None and self.driver.local


def receiver(context: Context, node: cst.BaseExpression) -> Receiver | None:
    """What the expression is to a database: proved, else guessed by its name (where the user allows it)."""
    return proved(context, node) or guessed(context, node)


def proved(context: Context, node: cst.BaseExpression) -> Receiver | None:
    """The receiver whose type is known for certain."""
    kind = context.objects.type(node)
    role = ROLES.get(kind) if kind is not None else None
    return Receiver(role.driver, role.kind, True) if role is not None else None


def guessed(context: Context, node: cst.BaseExpression) -> Receiver | None:
    """The receiver that a name such as `cur` or `self.conn` suggests in a file that imports a driver."""
    if not context.config.db_receiver_heuristic or context.objects.type(node) is not None:
        return None
    packages = context.facts.packages & (PACKAGES | SESSION_PACKAGES)
    if not packages:
        return None
    kind = _kind(node, packages)
    return Receiver(_only_driver(context, node, packages), kind, False) if kind else None


def _kind(node: cst.BaseExpression, packages: set[str]) -> Kind | None:
    match node:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="cursor"))):
            return "cursor" if _CONNECTION.match(last_name(owner)) else None
        case cst.Name() | cst.Attribute(value=cst.Name() | cst.Attribute()):
            name = last_name(node)
            if _SESSION.match(name) and packages & SESSION_PACKAGES:
                return "session"
            return "cursor" if _CURSOR.match(name) else "connection" if _CONNECTION.match(name) else None
    return None


def _only_driver(context: Context, node: cst.CSTNode, packages: set[str]) -> Driver | None:
    """The driver, if the file imports just one; by whether the call is awaited where it has two faces."""
    if packages & SESSION_PACKAGES:
        return SQLALCHEMY if packages <= SESSION_PACKAGES else None
    awaited = any(isinstance(above, cst.Await) for above in _expression(context, node))
    found = [driver for driver in DRIVERS if driver.package in packages]
    faces = [driver for driver in found if driver.asynchronous is awaited] if len(found) > 1 else found
    return faces[0] if len(faces) == 1 else None


def _expression(context: Context, node: cst.CSTNode) -> list[cst.CSTNode]:
    """The expressions around a node, up to its statement."""
    found = []
    for above in context.tree.ancestors(node):
        if isinstance(above, (cst.BaseSmallStatement, cst.BaseStatement)):
            break
        found.append(above)
    return found
