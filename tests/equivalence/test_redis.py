"""What PRF504 says to do on Redis: a pipeline without a transaction leaves the same keys as a command per item."""

import os
import random
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from perflint.analysis import engine
from perflint.model.config import Config
from perflint.model.source import Source

redis = pytest.importorskip("redis", reason="needs the client: pip install '.[test]'")
URL = os.environ.get("PERFLINT_TEST_REDIS", "")  # redis://host:port/database
pytestmark = pytest.mark.skipif(
    not URL,
    reason="needs a Redis server: set PERFLINT_TEST_REDIS, or run `source .ci/servers; start_servers`",
)
PREFIX = f"perflint:test:{os.getpid()}:"  # tests may run side by side

ONE_BY_ONE = """
def save(client: "redis.Redis", rows):
    for name, count in rows:
        client.hset(f"{PREFIX}{name}", "count", count)
"""
PIPELINED = """
def save(client: "redis.Redis", rows):
    with client.pipeline(transaction=False) as pipeline:
        for name, count in rows:
            pipeline.hset(f"{PREFIX}{name}", "count", count)
        pipeline.execute()
"""


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(URL) as client:
        yield client
        for key in client.scan_iter(f"{PREFIX}*"):
            client.delete(key)


def kept(client: Any, code: str, rows: list[tuple[str, Any]]) -> tuple[dict[bytes, Any], str]:
    """The keys after a run from nothing, and the error that ended it."""
    for key in client.scan_iter(f"{PREFIX}*"):
        client.delete(key)
    names: dict[str, Any] = {"PREFIX": PREFIX}
    exec(code, names)
    error = ""
    try:
        names["save"](client, rows)
    except redis.RedisError as caught:
        error = type(caught).__name__
    return {key: client.hgetall(key) for key in client.scan_iter(f"{PREFIX}*")}, error


@pytest.mark.parametrize("seed", range(20))
def test_the_same_keys(client: Any, seed: int) -> None:
    chance = random.Random(seed)
    rows = [(chance.choice("abcdef"), chance.randint(0, 9)) for _ in range(chance.choice([0, 1, 5, 50]))]
    assert kept(client, ONE_BY_ONE, rows) == kept(client, PIPELINED, rows)


def test_an_item_that_redis_cannot_take_loses_the_whole_pipeline(client: Any) -> None:
    rows: list[tuple[str, Any]] = [("a", 1), ("b", object()), ("c", 3)]
    one_by_one, pipelined = kept(client, ONE_BY_ONE, rows), kept(client, PIPELINED, rows)
    assert one_by_one == ({f"{PREFIX}a".encode(): {b"count": b"1"}}, "DataError")
    assert pipelined == ({}, "DataError")  # why there is no fix


@pytest.mark.parametrize(("code", "found"), [(ONE_BY_ONE, ["PRF504"]), (PIPELINED, [])])
def test_the_rule_tells_them_apart(code: str, found: list[str]) -> None:
    source = Source("keys.py", textwrap.dedent(f"import redis\n{code}").encode())
    assert [item.code for item in engine.check(source, Config(select=("PRF504",)))] == found
