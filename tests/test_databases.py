"""What the database rules rest on: drivers, receivers, SQL texts, loops over items, what may move, lifetimes."""

import ast
import textwrap

import libcst as cst
import pytest
from regions import call, context, loop

from perflint.analysis.connections.capacity import capacity
from perflint.analysis.connections.lifetimes import bound_to, lifetime, owned_elsewhere
from perflint.analysis.connections.reuse import kept, same_in_loop
from perflint.analysis.database import sql
from perflint.analysis.database.drivers import CLASSES, CONNECTS, DRIVERS
from perflint.analysis.database.items import in_batches, per_item
from perflint.analysis.database.migrations import migrates, reads_rows
from perflint.analysis.database.models import chain, model
from perflint.analysis.database.purity import pure
from perflint.analysis.database.receivers import receiver
from perflint.analysis.database.rows import rows_of
from perflint.analysis.database.statements import statement, table_of, text_of
from perflint.analysis.database.transactions import connection_of
from perflint.analysis.library import canonical
from perflint.analysis.places import is_migration

HEAD = "import sqlite3, psycopg, psycopg2, asyncpg, aiosqlite, redis, pymongo, boto3\nfrom contextlib import closing\nfrom sqlalchemy import create_engine, text, insert\nfrom sqlalchemy.orm import Session, sessionmaker\nfrom flask_sqlalchemy import SQLAlchemy\n"


def made(code: str, text: str, function: str | None = "f") -> str | None:
    found = context(HEAD + code, function)
    node = call(found, text).func
    assert isinstance(node, cst.Attribute)
    return found.objects.type(node.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f():\n    x = sqlite3.connect(p)\n    x.run()", "sqlite3.Connection"),
        ("def f():\n    x = sqlite3.connect(p).cursor()\n    x.run()", "sqlite3.Cursor"),
        ("def f():\n    x = sqlite3.connect(p).execute(q)\n    x.run()", "sqlite3.Cursor"),
        ("def f():\n    with closing(sqlite3.connect(p)) as x:\n        x.run()", "sqlite3.Connection"),
        ("def f():\n    with psycopg.connect() as c, c.cursor() as x:\n        x.run()", "psycopg.Cursor"),
        ("def f():\n    x = psycopg2.connect()\n    x.run()", "psycopg2.extensions.connection"),
        (
            "async def f():\n    async with aiosqlite.connect(p) as x:\n        await x.run()",
            "aiosqlite.Connection",
        ),
        ("async def f():\n    x = await asyncpg.connect()\n    await x.run()", "asyncpg.Connection"),
        (
            "async def f(p: asyncpg.Pool):\n    async with p.acquire() as x:\n        await x.run()",
            "asyncpg.Connection",
        ),
        ("def f(x: sqlite3.Cursor | None):\n    x.run()", "sqlite3.Cursor"),
        ("def f(x):\n    x.run()", None),
        (
            "E = create_engine(u)\ndef f():\n    with E.begin() as x:\n        x.run()",
            "sqlalchemy.engine.Connection",
        ),
        ("S = sessionmaker(E)\ndef f():\n    x = S()\n    x.run()", "sqlalchemy.orm.Session"),
        (
            "S = sessionmaker(E)\ndef f():\n    with S.begin() as x:\n        x.run()",
            "sqlalchemy.orm.Session",
        ),
        ("db = SQLAlchemy()\ndef f():\n    db.session.run()", "sqlalchemy.orm.Session"),
        ("def f():\n    x = pymongo.MongoClient()['a'].b\n    x.run()", "pymongo.collection.Collection"),
        ("def f():\n    pymongo.MongoClient().a.b.run()", "pymongo.collection.Collection"),
        ("def f():\n    with redis.Redis().pipeline() as x:\n        x.run()", "redis.client.Pipeline"),
        ("def f():\n    x = sqlite3.connect(p)\n    x = other()\n    x.run()", None),
        ("def f():\n    x = boto3.resource('dynamodb').Table('t')\n    x.run()", "boto3.dynamodb.Table"),
        ("X = boto3.resource('dynamodb').Table('t')\ndef f():\n    X.run()", "boto3.dynamodb.Table"),
        ("def f():\n    x = boto3.resource('s3')\n    x.run()", None),
    ],
)
def test_receivers_are_followed_to_what_makes_them(code: str, expected: str | None) -> None:
    assert made(code, "run") == expected


def test_a_cursor_kept_by_a_class() -> None:
    code = """
    class Store:
        def __init__(self, path):
            conn = sqlite3.connect(path)
            self.conn = conn
            self.cur = self.conn.cursor()
        def f(self):
            self.cur.run()
            self.conn.run2()
    """
    found = context(HEAD + textwrap.dedent(code), "f")
    assert found.objects.type(call(found, "run()").func.value) == "sqlite3.Cursor"
    assert found.objects.type(call(found, "run2").func.value) == "sqlite3.Connection"


def test_attributes_that_rest_on_one_another_are_nobodys() -> None:
    code = "class A:\n    def a(self):\n        self.x = self.y.cursor()\n        self.y = self.x.cursor()\n    def f(self):\n        self.x.run()\n"
    assert made(code, "run") is None


def test_every_driver_has_its_types() -> None:
    assert {driver.connection for driver in DRIVERS} <= CLASSES
    assert all(CONNECTS[name] is driver for driver in DRIVERS for name in driver.connects)


@pytest.mark.parametrize(
    ("imports", "name", "kind", "driver"),
    [
        ("import sqlite3", "cur", "cursor", "sqlite3"),
        ("import sqlite3", "self.conn", "connection", "sqlite3"),
        ("import psycopg2", "self.db_conn", "connection", "psycopg2"),
        ("import psycopg2", "conn.cursor()", "cursor", "psycopg2"),
        ("import psycopg2, sqlite3", "db", "connection", None),
        ("import psycopg", "conn", "connection", "psycopg"),
        ("import sqlalchemy", "session", "session", "SQLAlchemy"),
        ("import sqlite3", "executor", None, None),
        ("import sqlite3", "session", None, None),
        ("import os", "cur", None, None),
    ],
)
def test_names_suggest_a_receiver_beside_a_drivers_import(imports, name, kind, driver) -> None:
    found = context(f"{imports}\ndef f(self, cur, conn, db, executor, session):\n    {name}.run()\n", "f")
    answer = receiver(found, call(found, "run").func.value)
    assert (answer and answer.kind) == kind
    assert answer is None or not answer.proved
    assert (answer and answer.driver and answer.driver.name) == driver


def test_the_heuristic_can_be_switched_off() -> None:
    found = context("import sqlite3\ndef f(cur):\n    cur.run()\n", "f", db_receiver_heuristic=False)
    assert receiver(found, call(found, "run").func.value) is None


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("insert into t values (?)", "INSERT"),
        ("  -- why\n /* and */ ( SELECT 1)", "SELECT"),
        ("WITH a AS (SELECT 1), b(c) AS (INSERT INTO x VALUES (')')) UPDATE t SET a = 1", "UPDATE"),
        ("with recursive a as (select 1 union select 2) select * from a", "SELECT"),
        ("INSERT coin", "INSERT"),
        ("hello world", None),
        ("", None),
        ("selected", None),
        ("{} INTO t", None),
    ],
)
def test_the_first_keyword(text: str, verb: str | None) -> None:
    assert sql.verb(text) == verb


def test_what_a_text_says() -> None:
    assert sql.returns_rows("INSERT INTO t VALUES (?) RETURNING id")
    assert not sql.returns_rows("INSERT INTO t VALUES ('RETURNING')")
    assert sql.table('INSERT OR IGNORE INTO "Users" VALUES (?)') == "users"
    assert sql.table("UPDATE s.t SET a = 1") == "s.t"
    assert sql.point_lookup("SELECT * FROM t WHERE id = %s")
    assert not sql.point_lookup("SELECT * FROM t")
    assert sql.locks("SELECT 1 FROM t FOR UPDATE") and sql.pages("SELECT 1 LIMIT 3")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("'SELECT 1'", "SELECT 1"),
        ("'SELECT ' '1'", "SELECT 1"),
        ("Q", "DELETE FROM t"),
        ("LOCAL", "UPDATE t"),
        ("f'INSERT INTO {table}'", "INSERT INTO {}"),
        ("f'INSERT INTO {row.table}'", None),
        ("'INSERT INTO ' + table", "INSERT INTO {}"),
        ("'INSERT INTO %s' % row", None),
        ("'INSERT INTO %s' % table", "INSERT INTO %s"),
        ("'INSERT INTO {}'.format(table)", "INSERT INTO {}"),
        ("text('UPDATE t')", "UPDATE t"),
        ("INSIDE", "REPLACE INTO t"),
        ("CHANGING", None),
        ("build()", None),
    ],
)
def test_texts_in_sight(query: str, expected: str | None) -> None:
    code = f"Q = 'DELETE FROM t'\ndef f(cur, rows, table):\n    LOCAL = 'UPDATE t'\n    for row in rows:\n        INSIDE = 'REPLACE INTO t'\n        CHANGING = f'UPDATE {{row}}'\n        cur.execute({query}, row)\n"
    found = context(HEAD + code, "f")
    assert text_of(found, call(found, "cur.execute").args[0].value, loop(found)) == expected


def test_statements_of_constructs() -> None:
    code = "def f(s: Session, rows):\n    for r in rows:\n        s.execute(insert(T).values(a=r))\n"
    found = context(HEAD + code, "f")
    known = statement(found, call(found, "s.execute"))
    assert known is not None and known.verb == "INSERT" and known.writes and known.receiver.proved


LOOPS = [
    ("for r in rows:\n        X", True),
    ("for r in rows:\n        with a:\n            if b:\n                X", True),
    ("for k in ('a', 'b'):\n        X", False),
    ("for r in rows:\n        for k in ('a', 'b'):\n            X", True),
    ("for attempt in range(5):\n        X", False),
    ("for attempt_id in rows:\n        X", True),
    (
        "for i in range(3):\n        try:\n            X\n            break\n        except E:\n            pass",
        False,
    ),
    ("while True:\n        m = q.recv()\n        X", False),
    ("while True:\n        X\n        time.sleep(1)", False),
    ("while True:\n        line = fh.readline()\n        if not line: break\n        X", True),
    ("while True:\n        X\n        selector.select()", False),
    ("for r in rows:\n        X\n        q = select(T)", True),
    ("for m in consumer:\n        X", False),
    ("for m in iter(q.get, None):\n        X", False),
    ("for m in rows:\n        X\n        m.ack()", False),
    ("for r in rows:\n        X\n        break", False),
    ("for r in rows:\n        pass\n    else:\n        X", False),
    ("for r in rows:\n        def g():\n            X", False),
    ("[X for r in rows]", True),
    ("list(X for r in rows)", True),
    ("g = (X for r in rows)", False),
    ("for _ in range(n):\n        X", False),
]


@pytest.mark.parametrize(("code", "expected"), LOOPS)
def test_loops_over_items(code: str, expected: bool) -> None:
    found = context(f"def f(rows, a, b, q, fh, n):\n    {code.replace('X', 'mark()')}\n", "f")
    assert (per_item(found, call(found, "mark")) is not None) is expected


def test_batches() -> None:
    found = context("def f(rows):\n    for chunk in rows:\n        mark()\n", "f")
    assert in_batches(per_item(found, call(found, "mark")))
    found = context("def f(rows, c):\n    for r in rows:\n        c.executemany(q, r)\n", "f")
    assert in_batches(per_item(found, call(found, "executemany")))
    found = context("def f(rows, c):\n    for r in rows:\n        c.execute(q, r)\n", "f")
    assert not in_batches(per_item(found, call(found, "execute")))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(u.name, u['age'], 1, -x, a + b)", True),
        ("{'a': f'{u}', 'b': str(u)}", True),
        ("(json.dumps(u), u.name.strip().lower(), d.get(u))", True),
        ("(a if b else c, not d, x < y)", True),
        ("(compute(u),)", False),
        ("(u.save(),)", False),
        ("(lambda: 1,)", False),
        ("[x for x in u]", False),
        ("(r.get(u),)", False),
    ],
)
def test_what_may_move(expression: str, expected: bool) -> None:
    code = f"import json, redis\ndef f(u, d):\n    r = redis.Redis()\n    mark({expression})\n"
    found = context(code, "f")
    assert pure(found, call(found, "mark(").args[0].value) is expected


LIVES = [
    ("x.run()", (False, False)),
    ("return x", (True, False)),
    ("yield x", (True, False)),
    ("return x, 1", (True, False)),
    ("return x if a else None", (True, False)),
    ("return a if x else None", (False, False)),
    ("self.x = x", (True, False)),
    ("y = x", (True, False)),
    ("pool.append(x)", (True, False)),
    ("Repo(x)", (True, False)),
    ("print(x)", (False, False)),
    ("d['x'] = x", (True, False)),
    ("def g():\n        x.run()", (True, False)),
    ("z = [x]", (True, False)),
    ("stack.enter_context(x)", (True, False)),
    ("atexit.register(x.close)", (True, False)),
    ("x.close()", (False, True)),
    ("try:\n        x.run()\n    finally:\n        x.close()", (False, True)),
    ("try:\n        x.run()\n    except E:\n        x.close()", (False, False)),
    ("with x:\n        pass", (False, True)),
    ("with closing(x):\n        pass", (True, True)),
    ("pool.putconn(x)", (False, True)),
]


@pytest.mark.parametrize(("code", "expected"), LIVES)
def test_lifetimes(code: str, expected: tuple[bool, bool]) -> None:
    found = context(
        f"import sqlite3\ndef f(self, pool, stack, d, a):\n    x = sqlite3.connect(p)\n    {code}\n", "f"
    )
    name = bound_to(found, call(found, "sqlite3.connect"))
    life = lifetime(found, name)
    assert (life.escapes, life.closed) == expected


def test_migrations() -> None:
    assert is_migration("shop/migrations/0001_initial.py") and is_migration("alembic/versions/ab12.py")
    assert is_migration("db/_migrations/versions/sqlite/ab12.py")
    assert not is_migration("shop/models.py") and not is_migration("migrations/shop/a/b/models.py")


MODELS = [
    ("from shop.models import Item", "Item", "django"),
    ("from . import models", "models.Item", "django"),
    ("from django.db.models import Q", "Q", None),
    ("from shop.models import item", "item", None),
    ("from shop import Item", "Item", None),
    ("import mongoengine\nfrom shop.models import Item", "Item", None),
    ("import peewee\nfrom shop.models import Item", "Item", "peewee"),
    ("import peewee\nclass Item(peewee.Model): pass", "Item", "peewee"),
    ("from django.db import models\nclass Item(models.Model): pass", "Item", "django"),
    ("class Item: pass", "Item", None),
    ("from django.contrib.auth import get_user_model\nItem = get_user_model()", "Item", "django"),
]


@pytest.mark.parametrize(("head", "name", "orm"), MODELS)
def test_models(head: str, name: str, orm: str | None) -> None:
    found = context(f"{head}\ndef f():\n    {name}.run()\n", "f")
    assert model(found, call(found, "run").func.value) == orm


def test_queries() -> None:
    head = "from shop.models import Item\n"
    found = context(f"{head}def f():\n    Item.objects.filter(a=1).all().run()\n", "f")
    assert chain(found, call(found, "run()")).methods == ["run", "all", "filter"]


KEPT = [
    ("found.append(connect('x'))", True),
    ("c = connect('x')\n        found.append(c)", True),
    ("c = connect('x')\n        use(c)", False),
    ("self.c = connect('x')", True),
    ("found['x'] = connect('x')", True),
    ("yield connect('x')", True),
    ("connect('x').run()", False),
    ("with connect('x') as c:\n            use(c)", False),
]


@pytest.mark.parametrize(("code", "expected"), KEPT)
def test_what_a_turn_makes_to_keep(code: str, expected: bool) -> None:
    found = context(f"def f(self, rows, found):\n    for r in rows:\n        {code}\n", "f")
    assert kept(found, call(found, "connect"), loop(found)) is expected


SAME = [
    ("'x'", True),
    ("host=HOST, port=5432", True),
    ("r", False),
    ("host=r.host", False),
    ("os.environ['X']", True),
    ("os.getenv('X')", True),
    ("next_host()", False),
    ("**options", True),
    ("self.dsn", True),
]


@pytest.mark.parametrize(("arguments", "expected"), SAME)
def test_arguments_that_stay_the_same(arguments: str, expected: bool) -> None:
    code = f"import os\ndef f(self, rows, options):\n    for r in rows:\n        connect({arguments})\n"
    found = context(code, "f")
    assert same_in_loop(found, call(found, "connect"), loop(found)) is expected


SIZES = [
    ("create_engine(u)", 15),
    ("create_engine(u, pool_size=N, max_overflow=0)", 7),
    ("create_engine(u, max_overflow=-1)", None),
    ("create_engine(u, pool_size=size)", None),
    ("create_engine(u, **options)", None),
    ("create_engine('sqlite://')", None),
    ("psycopg_pool.ConnectionPool(u)", 4),
    ("psycopg_pool.ConnectionPool(u, min_size=2, max_size=9)", 9),
    ("asyncpg.create_pool(u)", 10),
    ("redis.ConnectionPool()", None),
    ("redis.ConnectionPool(max_connections=3)", 3),
    ("requests.Session()", 10),
    ("urllib3.PoolManager()", 1),
    ("urllib3.PoolManager(block=True)", None),
    ("httpx.Client()", 100),
    ("aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=5))", 5),
]


@pytest.mark.parametrize(("code", "size"), SIZES)
def test_how_many_connections_a_pool_keeps(code: str, size: int | None) -> None:
    head = "import asyncpg, psycopg_pool, redis, requests, urllib3, httpx, aiohttp\nfrom sqlalchemy import create_engine\nN = 7\n"
    found = context(f"{head}def f(u, size, options):\n    x = {code}\n", "f")
    made = next(
        item
        for item, _ in found.facts.outline.calls
        if ast.unparse(item) == ast.unparse(ast.parse(code, mode="eval"))
    )
    kind = canonical(found.facts.outline.qualified(made.func))
    pool = capacity(kind, made, found.facts.outline)
    assert (pool.size if pool else None) == size


def test_set_up_for_others() -> None:
    found = context("@pytest.fixture\ndef f():\n    sqlite3.connect(p)\n", "f")
    assert owned_elsewhere(found, call(found, "connect"))
    found = context("class A:\n    def setUp(self):\n        sqlite3.connect(p)\n", "setUp")
    assert owned_elsewhere(found, call(found, "connect"))
    found = context("def f():\n    sqlite3.connect(p)\n", "f")
    assert not owned_elsewhere(found, call(found, "connect"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("cur.execute(Q, (r.a, r.b))", "((r.a, r.b) for r in rows)"),
        ("cur.execute(Q, r)", "rows"),
        ("if r.a:\n            cur.execute(Q, r)", "(r for r in rows if r.a)"),
        ("if r is None: continue\n        cur.execute(Q, r)", "(r for r in rows if r is not None)"),
        ("if a or r: continue\n        cur.execute(Q, r)", "(r for r in rows if not (a or r))"),
        ("x = r + 1\n        cur.execute(Q, (x * 2,))", "(((r + 1) * 2,) for r in rows)"),
        ("x = r.strip()\n        cur.execute(Q, {'x': x})", "({'x': r.strip()} for r in rows)"),
        ("x = r\n        cur.execute(Q, (x, x))", None),
        ("x = r\n        cur.execute(Q, (f'{x}',))", None),
        ("cur.execute(Q, (compute(r),))", None),
        ("print(r)\n        cur.execute(Q, r)", None),
        ("# why\n        cur.execute(Q, r)", None),
    ],
)
def test_the_rows_of_a_loop(body: str, expected: str | None) -> None:
    found = context(f"def f(cur, rows, a):\n    for r in rows:\n        {body}\n", "f")
    write = call(found, "cur.execute")
    rows = rows_of(found, loop(found), write.args[1:], [found.tree.parent(write)])
    assert (rows and rows.generator()) == expected


def test_values_apart() -> None:
    found = context("def f(c, rows):\n    for r in rows:\n        c.execute(Q, r.a, *r.b)\n", "f")
    write = call(found, "c.execute")
    rows = rows_of(found, loop(found), write.args[1:], [found.tree.parent(write)], apart=True)
    assert rows is not None and rows.listed(found, loop(found)) == "[(r.a, *r.b) for r in rows]"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("insert(users).values(a=1)", "users"),
        ("users.insert()", "users"),
        ("update(users).where(users.c.a == 1)", "users"),
        ("change", "users"),
        ("text('x')", None),
    ],
)
def test_what_a_construct_is_about(code: str, expected: str | None) -> None:
    found = context(HEAD + f"def f(users):\n    change = insert(users)\n    mark({code})\n", "f")
    table = table_of(found, call(found, "mark(").args[0].value)
    assert (table and found.tree.code(table)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("cur = conn.cursor()\n    mark(cur)", "conn"),
        ("with conn.cursor() as cur:\n        mark(cur)", "conn"),
        ("with closing(self.conn.cursor()) as cur:\n        mark(cur)", "self.conn"),
        ("mark(conn.cursor())", "conn"),
        ("mark(conn)", "conn"),
        ("cur = other()\n    mark(cur)", "cur"),
    ],
)
def test_the_connection_of_a_cursor(code: str, expected: str) -> None:
    found = context(HEAD + f"def f(self, conn):\n    {code}\n", "f")
    assert found.tree.code(connection_of(found, call(found, "mark(").args[0].value)) == expected


def test_migrations_by_import() -> None:
    found = context("from alembic import op\ndef f(rows):\n    for r in rows:\n        mark(r)\n", "f")
    assert migrates(found) and not reads_rows(found, loop(found))
    found = context("def f(s: Session):\n    for r in s.query(T).all():\n        mark(r)\n", "f")
    assert not migrates(found) and reads_rows(found, loop(found))
