"""What the rules about open connections, cursors and transactions rest on."""

import textwrap

import libcst as cst
import pytest
from regions import call, context

from perflint.analysis.connections.blocks import closes, sees
from perflint.analysis.connections.cursors import (
    connection_name,
    cursor,
    ends_with_connection,
    named,
    unbuffered,
)
from perflint.analysis.connections.derived import exhausted, hands_on, reach, top
from perflint.analysis.connections.lifetimes import bound_to, managed
from perflint.analysis.connections.openings import closed_here, opening
from perflint.analysis.connections.wrapping import wrapped
from perflint.analysis.rule import Context
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Edit

HEAD = (
    "import sqlite3, psycopg, psycopg2, asyncpg, aiosqlite, pymysql, oracledb, mysql.connector\n"
    "from contextlib import closing, contextmanager\n"
    "from sqlalchemy import create_engine\n"
    "from sqlalchemy.orm import Session, scoped_session, sessionmaker\n"
    "E = create_engine(u)\nS = sessionmaker(E)\nMySession = sessionmaker(E)\nThreadSession = scoped_session(S)\n"
)


def region(body: str, head: str = "def f(p, q, conn, engine):") -> Context:
    return context(HEAD + head + "\n" + textwrap.indent(textwrap.dedent(body), "    "), "f")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return x.execute(q).fetchall()", False),
        ("return x.execute(q)", True),
        ("return x.cursor()", True),
        ("c = x.cursor()\nreturn c", True),
        ("c = x.cursor()\nc.execute(q)\nreturn c.fetchone()", False),
        ("c = x.cursor()\nself.c = c", True),
        ("c = x.cursor()\nr = c.execute(q)\nreturn r", True),
        ("with x.cursor() as c:\n    return c", True),
        ("with x.cursor() as c:\n    return c.fetchall()", False),
        ("for row in x.execute(q):\n    print(row)", False),
        ("return [row for row in x.execute(q)]", False),
        ("return (row for row in x.execute(q))", True),
        ("return list(row for row in x.execute(q))", False),
        ("return list(x.execute(q))", False),
        ("return partial(x.execute, q)", True),
        ("return x.total_changes", False),
        ("x.row_factory = Row", False),
        ("return x.execute(q).rowcount", False),
        ("c = x.cursor()\ndef g():\n    return c.fetchall()", True),
        ("x.commit()\nreturn x.rollback()", False),
    ],
)
def test_how_far_a_connection_goes(body: str, expected: bool) -> None:
    found = region("x = sqlite3.connect(p)\n" + body)
    name = bound_to(found, call(found, "sqlite3.connect"))
    assert name is not None
    assert reach(found, name).escapes is expected


def test_objects_of_a_session_go_on_loading() -> None:
    for body, expected in (("return x.query(U).first()", True), ("x.add(q)\nx.commit()", False)):
        found = region("x = Session(E)\n" + body)
        name = bound_to(found, call(found, "Session(E)"))
        assert name is not None
        assert reach(found, name).escapes is expected


def test_what_is_used_includes_cursors_and_results() -> None:
    found = region("x = sqlite3.connect(p)\nc = x.cursor()\nr = c.execute(q)\nprint(r.fetchone())")
    name = bound_to(found, call(found, "sqlite3.connect"))
    assert name is not None
    far = reach(found, name)
    assert [item.value for item in far.names] == ["x", "c", "r"]
    assert [item.value for item in far.uses] == ["x", "c", "r"]


def test_the_expression_around_a_connection() -> None:
    found = region("x = 1\nreturn (await conn.execute(q)).fetchall().pop", "async def f(conn, q):")
    read = next(item for item in walk(found.tree.root) if isinstance(item, cst.Name) and item.value == "conn")
    reads = [item for item in walk(found.tree.root) if isinstance(item, cst.Name) and item.value == "conn"]
    expression, method = top(found, reads[-1])
    assert (found.tree.code(expression), method) == ("(await conn.execute(q)).fetchall().pop", "pop")
    assert top(found, read)[1] in ("", "pop")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("sqlite3.connect(p).execute(q)", False),
        ("return sqlite3.connect(p).execute(q).fetchone()", False),
        ("return sqlite3.connect(p).cursor()", True),
        ("c = sqlite3.connect(p).cursor()\nreturn c.fetchone()", False),
        ("c = sqlite3.connect(p).cursor()\nreturn c", True),
        ("use(sqlite3.connect(p).cursor())", True),
    ],
)
def test_what_an_unnamed_connection_hands_on(body: str, expected: bool) -> None:
    found = region(body)
    assert hands_on(found, call(found, "sqlite3.connect(p)")) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return x.fetchall()", True),
        ("return x.fetchone()", False),
        ("return next(x)", False),
        ("return list(x)", True),
        ("return sorted(x.execute(q))", True),
        ("return [row for row in x]", True),
        ("for row in x:\n    print(row)", True),
        ("for row in x:\n    break", False),
        ("for row in x:\n    return row", False),
        ("for row in x:\n    for y in row:\n        break", True),
        ("yield from x", True),
        ("while row := x.fetchone():\n    print(row)", True),
        ("rows = iter(x.fetchone, None)", False),
        ("return list(x.fetchone())", False),
    ],
)
def test_results_that_are_read_to_their_end(body: str, expected: bool) -> None:
    found = region("x = conn.cursor()\n" + body, "def f(conn: sqlite3.Connection, q):")
    name = bound_to(found, call(found, "conn.cursor"))
    assert name is not None
    assert exhausted(found, reach(found, name).uses) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("with X as c:\n    c.a()\nc.b()", [False, True]),
        ("with X as c:\n    c.a()\nwith X as c:\n    c.b()", [False, False]),
        ("with X as c:\n    c.a()\nc = 1\nc.b()", [False, False]),
        ("with X as c:\n    c.a()\nif p:\n    c = 1\nc.b()", [False, True]),
        ("c = 1\nc.a()\nwith X as c:\n    c.b()", [False, False]),
        ("for p in q:\n    c.a()\n    with X as c:\n        c.b()", [True, False]),
        ("for p in q:\n    c = 1\n    c.a()\n    with X as c:\n        c.b()", [False, False]),
    ],
)
def test_who_sees_what_a_with_binds(body: str, expected: list[bool]) -> None:
    found = region(body)
    node = next(item for item in walk(found.tree.root) if isinstance(item, cst.With))
    reads = [call(found, f"c.{method}()").func for method in "ab"]
    names = [item.value for item in reads if isinstance(item, cst.Attribute)]
    assert [sees(found, item, node) for item in names if isinstance(item, cst.Name)] == expected


def test_closing_by_hand_and_by_with() -> None:
    found = region("x.close()\nclosing(x)\nx.commit()\nprint(x)", "def f(x):")
    reads = [item for item in walk(found.tree.root) if isinstance(item, cst.Name) and item.value == "x"]
    assert [closes(found, item) for item in reads[1:]] == [True, True, False, False]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("sqlite3.connect(p)", ("connection", "with contextlib.closing")),
        ("psycopg.connect(p)", ("connection", "'with ... as n:'")),
        ("await aiosqlite.connect(p)", ("connection", "'async with ... as n:'")),
        ("aiosqlite.connect(p)", None),
        ("await asyncpg.connect(p)", ("connection", "await n.close()")),
        ("E.connect()", ("connection", "'with ... as n:'")),
        ("S()", None),
        ("MySession()", ("session", "'with ... as n:'")),
        ("MySession(bind=conn)", None),
        ("ThreadSession()", None),
        ("Session(E)", ("session", "'with ... as n:'")),
        ("Session(engine)", ("session", "'with ... as n:'")),
        ("Session(bind=conn)", None),
        ("await a.acquire()", ("connection", "'async with pool.acquire() as n:'")),
        ("b.getconn()", ("connection", "putconn(n)")),
        ("lock.acquire()", None),
        ("E.begin()", None),
    ],
)
def test_openings(body: str, expected: tuple[str, str] | None) -> None:
    head = "async def f(p, conn, engine, lock, a: asyncpg.Pool, b: psycopg2.pool.SimpleConnectionPool):"
    found = context("import psycopg2.pool\n" + HEAD + head + f"\n    x = {body}\n", "f")
    known = opening(found, call(found, body.removeprefix("await ")))
    assert (known is None) is (expected is None)
    if known is not None and expected is not None:
        assert known.word == expected[0] and expected[1] in known.remedy("n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("c = sqlite3.connect(p)\nc.run()\nc.close()", True),
        ("c = sqlite3.connect(p)\nc.run()", False),
        ("with closing(sqlite3.connect(p)) as c:\n    c.run()", True),
        ("d = sqlite3.connect(p)\nc = d.cursor()\nc.run()\nd.close()", True),
        ("with conn.cursor() as c:\n    c.run()", False),
        ("c = conn\nc.run()", False),
        ("sqlite3.connect(p).run()", True),
    ],
)
def test_connections_that_the_function_closes(body: str, expected: bool) -> None:
    found = region(body)
    node = call(found, "run()").func
    assert isinstance(node, cst.Attribute)
    assert closed_here(found, node.value) is expected


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("import psycopg2", "conn.cursor(name='x')", ("psycopg2", False, True)),
        ("import psycopg2", "conn.cursor('x')", ("psycopg2", False, True)),
        ("import psycopg2", "conn.cursor(None)", ("psycopg2", False, False)),
        ("import psycopg2", "conn.cursor()", ("psycopg2", False, False)),
        ("import psycopg2, sqlite3", "conn.cursor()", None),
        ("import psycopg2", "screen.cursor()", None),
        ("import asyncpg", "conn.cursor(q)", None),
        ("import sqlite3", "conn.execute(q)", None),
        ("import psycopg2", "other.cursor()", None),
    ],
)
def test_cursors(head: str, body: str, expected: tuple[str, bool, bool] | None) -> None:
    found = context(f"{head}\ndef f(conn, screen, q, other_conn: Wrapper):\n    x = {body}\n", "f")
    known = cursor(found, call(found, body))
    assert (known and (known.driver.name, known.proved, named(known))) == expected


def test_a_guess_yields_to_an_annotation() -> None:
    found = context("import sqlite3\ndef f(conn: Wrapper):\n    x = conn.cursor()\n", "f")
    assert cursor(found, call(found, "conn.cursor")) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x = conn.cursor(pymysql.cursors.SSCursor)", True),
        ("x = conn.cursor()", False),
        ("y = pymysql.connect(cursorclass=SSDictCursor)\nx = y.cursor()", True),
        ("y = pymysql.connect(cursorclass=SSDictCursor)\nx = y.cursor(DictCursor)", False),
    ],
)
def test_unbuffered_cursors(body: str, expected: bool) -> None:
    found = region(body, "def f(conn: pymysql.connections.Connection):")
    known = cursor(found, call(found, ".cursor("))
    assert known is not None and unbuffered(found, known) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("conn.run()", (False, "conn")),
        ("with conn:\n    conn.run()", (True, "conn")),
        ("c = sqlite3.connect(p)\nc.run()", (True, "c")),
        ("c = conn.cursor()\nc.run()", (True, "conn")),
        ("sqlite3.connect(p).run()", (True, "")),
        ("c = a\nc = b\nc.run()", (True, "")),
    ],
)
def test_the_connection_of_a_cursor(body: str, expected: tuple[bool, str]) -> None:
    found = region(body)
    node = call(found, "run()").func
    assert isinstance(node, cst.Attribute)
    assert (ends_with_connection(found, node.value), connection_name(found, node.value)) == expected


def test_a_with_around_the_rest_of_the_block() -> None:
    body = 'x = f(p)  # opened\nx.a()\n\n# then\nx.b("""\n  text""")\nx = q\nprint(1)\n'
    for text, whole in ((body.replace("x = q\n", ""), True), (body, False)):
        found = region(text)
        name = bound_to(found, call(found, "f(p)"))
        assert name is not None
        edits = wrapped(found, name, reach(found, name).uses, "with f(p) as x:")
        assert (edits is not None) is whole
        if edits is not None:
            fixed = applied(found, edits)
            assert 'with f(p) as x:  # opened\n        x.a()\n\n        # then\n        x.b("""\n' in fixed
            assert fixed.endswith("\n    print(1)\n")


def applied(found: Context, edits: tuple[Edit, ...]) -> str:
    data = found.source.data
    for edit in sorted(edits, key=lambda item: item.span.start, reverse=True):
        data = data[: edit.span.start] + edit.text.encode() + data[edit.span.end :]
    return data.decode()


def test_context_managers_by_their_decorator() -> None:
    for decorator, expected in (
        ("contextmanager", True),
        ("pytest.fixture(scope='module')", True),
        ("cache", False),
    ):
        found = context(HEAD + f"@{decorator}\ndef f():\n    yield run()\n", "f")
        assert managed(found, call(found, "run()")) is expected
