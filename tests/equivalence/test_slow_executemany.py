"""PRF511: execute_batch sends several statements at once; all that differs is where an error strikes."""

import re

import pytest
from databases import Database
from differences import differences
from fixes import repaired

from perflint.model.diagnostics import Applicability

MANY = """
def f(conn: psycopg2.extensions.connection, rows):
    cur = conn.cursor()
    cur.executemany("INSERT INTO t(a, b) VALUES (?, ?)", rows)
"""
WELL = re.compile(r"(an iterator of )?(no|\d) rows?(, in a transaction)?:|an empty|keys that")


@pytest.mark.parametrize("database", ["psycopg2", "psycopg2 autocommit"], indirect=True)
def test_pages(database: Database) -> None:
    before, after = repaired("PRF511", "import psycopg2", database.translate(MANY), Applicability.UNSAFE)
    assert "execute_batch(cur" in after
    found = differences(before, after, database)
    assert not any(WELL.match(line) for line in found)
    aspects = {match[1] for line in found if (match := re.search(r": (\w+) was ", line))}
    assert aspects <= {"own", "committed", "state", "error"}
    if database.autocommit:  # a page of statements is one transaction
        assert "committed" in aspects
