"""Calls that open a connection or session, and what closes it whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.connections.lifetimes import lifetime
from perflint.analysis.database import drivers
from perflint.analysis.database.drivers import Driver
from perflint.analysis.match import last_name

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_TAKES = {"acquire", "getconn"}


class Opening(NamedTuple):
    """A call that opens a connection or session."""

    call: cst.Call
    driver: Driver
    word: str  # connection or session
    pool: bool = False  # it is taken from a pool

    def remedy(self, name: str) -> str:
        """What closes it whatever happens."""
        if self.pool and self.driver.package == "psycopg2":
            return f"give it back by putconn({name}) in a finally"
        if self.pool:
            method = "acquire" if self.driver is drivers.ASYNCPG else "connection"
            return f"use '{self.keyword} pool.{method}() as {name}:'"
        if self.driver is drivers.ASYNCPG:
            return f"use 'await {name}.close()' in a finally"
        if self.direct:
            return f"use '{self.keyword} ... as {name}:'"
        return f"use 'with contextlib.closing(...) as {name}:'"

    @property
    def keyword(self) -> str:
        return "async with" if self.driver.asynchronous else "with"

    @property
    def direct(self) -> bool:
        """Whether its own `with` closes it."""
        return self.driver.asynchronous or self.driver in (drivers.PSYCOPG, drivers.SQLALCHEMY)


def opening(context: Context, node: cst.Call) -> Opening | None:
    """The connection or session that a call opens and its caller owns; None for any other call."""
    function = context.objects.function(node.func)
    driver = drivers.CONNECTS.get(function or "")
    if driver is not None:
        return Opening(node, driver, "connection") if _awaited_as(context, node, driver) else None
    if function in drivers.SESSIONS or _maker(context, node):
        role = drivers.ROLES.get(context.objects.type(node) or "")
        own = _takes_from_engine(context, node, made=function not in drivers.SESSIONS)
        return Opening(node, role.driver, "session") if role is not None and own else None
    word = last_name(node.func)
    if word in _TAKES | {"connect"} and isinstance(node.func, cst.Attribute):
        role = drivers.ROLES.get(context.objects.type(node.func.value) or "")
        if role is not None and role.kind == ("engine" if word == "connect" else "pool"):
            pool = role.kind == "pool"
            fits = _awaited_as(context, node, role.driver)
            return Opening(node, role.driver, "connection", pool) if fits else None
    return None


def _awaited_as(context: Context, node: cst.Call, driver: Driver) -> bool:
    return isinstance(context.tree.parent(node), cst.Await) is driver.asynchronous


def _takes_from_engine(context: Context, node: cst.Call, *, made: bool) -> bool:
    """Whether a session takes connections of its own: `Session(engine)`, not `Session(bind=connection)`."""
    given = [arg.value for arg in node.args if arg.keyword is None or arg.keyword.value == "bind"]
    if not given:
        return made
    engines = (drivers.ENGINE, drivers.ASYNC_ENGINE)
    return any(context.objects.type(item) in engines or "engine" in last_name(item) for item in given)


def _maker(context: Context, node: cst.Call) -> bool:
    """`SessionLocal()`, where that is a sessionmaker of this file; a scoped session is the thread's."""
    if "ession" not in (last_name(node.func) or context.tree.code(node.func)):
        return False
    maker = context.objects.type(node.func)
    return maker in drivers.SESSION_MAKERS and maker != "sqlalchemy.orm.scoped_session"


def closed_here(context: Context, on: cst.BaseExpression) -> bool:
    """Whether the function opens the connection (of a cursor) and closes it, or holds it in no name."""
    if isinstance(on, cst.Call):
        return True
    owner = context.scope(on).owner(on.value) if isinstance(on, cst.Name) else None
    if not isinstance(on, cst.Name) or owner is None or owner.kind != "function":
        return False
    for binding in owner.bindings[on.value]:
        if binding.kind == "parameter":
            return False
        made = binding.node.item if isinstance(binding.node, cst.WithItem) else binding.value
        match made:
            case cst.Call(func=cst.Attribute(value=connection, attr=cst.Name(value="cursor"))):
                return closed_here(context, connection)
        if isinstance(binding.node, cst.WithItem):
            return True
    life = lifetime(context, on)
    return life is not None and life.closed
