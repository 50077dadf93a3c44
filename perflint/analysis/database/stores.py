"""Stores that are no SQL databases, as data: which of their methods ask the server once, and which ask for many."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.database import drivers

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

Table = dict[str, dict[str, str]]  # type -> its methods for one object -> how many are handled at once

_MONGO_BULK = "bulk_write(.., ordered=False)"
_PIPELINE = "pipeline(transaction=False)"
_REDIS_WRITES = (
    *("set", "setex", "setnx", "hset", "hmset", "hsetnx", "hdel", "lpush", "rpush", "sadd", "srem", "zadd", "zrem"),
    *("incr", "incrby", "decr", "hincrby", "expire", "persist", "delete", "unlink", "rename", "publish", "xadd"),
)  # fmt: skip
WRITES: Table = {
    drivers.MONGO_COLLECTION: {
        "insert_one": "insert_many()",
        **dict.fromkeys(("update_one", "replace_one", "delete_one"), _MONGO_BULK),
    },
    drivers.REDIS: dict.fromkeys(_REDIS_WRITES, _PIPELINE),
    drivers.ASYNC_REDIS: dict.fromkeys(_REDIS_WRITES, _PIPELINE),
    drivers.DYNAMO_TABLE: dict.fromkeys(("put_item", "delete_item"), "batch_writer()"),
    drivers.ELASTICSEARCH: dict.fromkeys(("index", "create", "update", "delete"), "helpers.bulk()"),
}
_REDIS_READS = {
    "get": "mget()",
    **dict.fromkeys(
        ("hget", "hgetall", "hmget", "exists", "ttl", "smembers", "lrange", "zscore", "type"), _PIPELINE
    ),
}
READS: Table = {
    drivers.MONGO_COLLECTION: {"find_one": 'find({.. {"$in": ..}})', "count_documents": "aggregate()"},
    drivers.REDIS: _REDIS_READS,
    drivers.ASYNC_REDIS: _REDIS_READS,
    drivers.DYNAMO_TABLE: {"get_item": "batch_get_item()"},
    drivers.ELASTICSEARCH: {"get": "mget()", "search": "msearch()"},
}
WRITING = frozenset().union(*WRITES.values())
READING = frozenset().union(*READS.values())
# For gates: a file without one of these proves no receiver of the stores, sessions and models, Django's apart.
PACKAGES = tuple(
    sorted({*drivers.IMPORTS, "peewee", "playhouse", "pymongo", "motor", "redis", "boto3", "elasticsearch"})
)


@cache
def writers(method: str) -> frozenset[str]:
    """The types that have the method, for one object."""
    return frozenset(kind for kind, methods in WRITES.items() if method in methods)


def bulk(context: Context, node: cst.Call, table: Table) -> str | None:
    """What handles many objects at once where the call handles one, on a receiver whose type is known."""
    found = context.objects.method(node)
    if found is None or found[1] not in table.get(found[0], {}):
        return None
    conditional = (
        item.keyword is not None and item.keyword.value.startswith("Condition") for item in node.args
    )
    return None if any(conditional) else table[found[0]][found[1]]
