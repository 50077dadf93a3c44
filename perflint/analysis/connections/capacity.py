"""How many connections a pool keeps, as far as constants tell."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NamedTuple

from perflint.analysis import library
from perflint.analysis.connections import clients
from perflint.analysis.database import drivers
from perflint.analysis.objects import argument
from perflint.analysis.outline import Outline, is_none, leaf

HTTP_DEFAULT = 10  # requests, botocore
_UNKNOWN = -1


class Capacity(NamedTuple):
    """What a pool holds, and what becomes of those who want more."""

    size: int
    beyond: str  # for messages: what happens beyond the size, and what to do
    grave: bool  # the rest fail


Sizing = Callable[[ast.Call, Outline], int | None]


def capacity(kind: str, call: ast.Call, outline: Outline) -> Capacity | None:
    """The capacity of the pool that a call of this canonical name makes; None for unlimited and unknown."""
    sizing, beyond, grave = POOLS[kind]
    size = sizing(call, outline)
    return Capacity(size, beyond, grave) if size is not None and size > 0 else None


def integer(node: ast.expr | None, outline: Outline) -> int | None:
    """The whole number that an expression is: a literal, or a constant of the module."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            return -number
        case ast.Name(id=name):
            constant = outline.facts.constant(name)
            return integer(constant, outline) if isinstance(constant, ast.Constant) else None
    return None


def _number(
    call: ast.Call, outline: Outline, name: str, default: int, position: int | None = None
) -> int | None:
    given = argument(call, name, position)
    return default if given is None else integer(given, outline)


def _made(node: ast.expr | None, outline: Outline) -> ast.Call | None:
    """The call that makes what an argument is, written there or bound once at module level."""
    if isinstance(node, ast.Name):
        node = outline.facts.constant(node.id)
    return node if isinstance(node, ast.Call) else None


def _requests(call: ast.Call, outline: Outline) -> int | None:
    """What the adapters that the file mounts keep for each host."""
    mounts = [item for item, _ in outline.calls if leaf(item.func) == "mount"]
    if not mounts:
        return HTTP_DEFAULT
    adapters = [item for item, _ in outline.calls if leaf(item.func).endswith("Adapter")]
    if not adapters or any(leaf(item.func) != "HTTPAdapter" for item in adapters):
        return None
    if any(argument(item, "pool_block", 3) is not None for item in adapters):
        return None
    sizes = [_number(item, outline, "pool_maxsize", HTTP_DEFAULT, 1) for item in adapters]
    return None if None in sizes else max(size for size in sizes if size is not None)


def _urllib3(call: ast.Call, outline: Outline) -> int | None:
    return None if argument(call, "block") is not None else _number(call, outline, "maxsize", 1)


def _httpx(call: ast.Call, outline: Outline) -> int | None:
    if argument(call, "transport") is not None or argument(call, "mounts") is not None:
        return None
    given = argument(call, "limits")
    limits = _made(given, outline)
    if given is None:
        return 100
    return _number(limits, outline, "max_connections", _UNKNOWN, 0) if limits is not None else None


def _aiohttp(call: ast.Call, outline: Outline) -> int | None:
    given = argument(call, "connector")
    connector = _made(given, outline)
    if given is None:
        return 100
    if connector is None or leaf(connector.func) != "TCPConnector":
        return None
    whole = _number(connector, outline, "limit", 100)
    each = _number(connector, outline, "limit_per_host", 0)
    sizes = [size for size in (whole, each) if size]
    return min(sizes) if sizes and whole is not None and each is not None else None


def _engine(call: ast.Call, outline: Outline) -> int | None:
    """`pool_size + max_overflow`, of an engine that keeps a queue of connections to a server."""
    address = call.args[0] if call.args else argument(call, "url")
    if isinstance(address, ast.Name):
        address = outline.facts.constant(address.id)
    if isinstance(address, ast.Constant) and str(address.value).startswith("sqlite"):
        return None
    if any(argument(call, name) is not None for name in ("poolclass", "pool", "creator", "async_creator")):
        return None
    size = _number(call, outline, "pool_size", 5)
    overflow = _number(call, outline, "max_overflow", 10)
    if not size or overflow is None or overflow < 0:
        return None
    return size + overflow


def _most(name: str, default: int | None, position: int | None = None) -> Sizing:
    """A pool with one number."""

    def size(call: ast.Call, outline: Outline) -> int | None:
        return _number(call, outline, name, default or _UNKNOWN, position)

    return size


def _psycopg(call: ast.Call, outline: Outline) -> int | None:
    least = _number(call, outline, "min_size", 4)
    given = argument(call, "max_size")
    return least if given is None or is_none(given) else integer(given, outline)


def _boto3(call: ast.Call, outline: Outline) -> int | None:
    given = argument(call, "config")
    config = _made(given, outline)
    if given is None:
        return HTTP_DEFAULT
    return _number(config, outline, "max_pool_connections", HTTP_DEFAULT) if config is not None else None


_OPENS = "the rest are opened and thrown away each time"
_WAIT = "the rest wait for one"
_FAIL = "the rest wait, and fail after a time"
_RAISE = "the rest get an error"
POOLS: dict[str, tuple[Sizing, str, bool]] = {
    clients.REQUESTS.session: (_requests, _OPENS, False),
    "requests.session": (_requests, _OPENS, False),
    clients.URLLIB3.session: (_urllib3, _OPENS, False),
    **{
        client.session: (_httpx, _FAIL, False)
        for client in clients.CLIENTS
        if client.name.startswith("httpx")
    },
    clients.AIOHTTP.session: (_aiohttp, _WAIT, False),
    **dict.fromkeys(("boto3.client", "boto3.resource"), (_boto3, _OPENS, False)),
    **{
        name: (_engine, _FAIL, True)
        for name, kind in drivers.RETURNS.items()
        if kind in (drivers.ENGINE, drivers.ASYNC_ENGINE)
    },
    **dict.fromkeys(
        ("psycopg_pool.ConnectionPool", "psycopg_pool.AsyncConnectionPool"), (_psycopg, _FAIL, True)
    ),
    "asyncpg.create_pool": (_most("max_size", 10), _WAIT, False),
    "psycopg2.pool.ThreadedConnectionPool": (_most("maxconn", None, 1), _RAISE, True),
    **dict.fromkeys(
        ("redis.ConnectionPool", drivers.REDIS, drivers.ASYNC_REDIS),
        (_most("max_connections", None), _RAISE, True),
    ),
    "redis.BlockingConnectionPool": (_most("max_connections", 50), _FAIL, True),
    **{client: (_most("maxPoolSize", 100), _WAIT, False) for client in drivers.MONGO_CLIENTS},
}
SPELLINGS = library.spellings(POOLS)
