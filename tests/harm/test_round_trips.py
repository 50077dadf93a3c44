"""What the round trip rules warn of is there to count, and the cure takes it away."""

import pytest
from programs import fixed, run

from perflint.analysis import engine
from perflint.analysis.connections.loopback import SERVER
from perflint.model.config import Config
from perflint.model.source import Source

CONNECTING = """
import os
import sqlite3
import tempfile
from contextlib import closing

folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "users.db")
with closing(sqlite3.connect(path)) as made:
    made.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)")
    made.executemany("INSERT INTO users VALUES (?, ?)", [(key, f"name {key}") for key in range(100)])
    made.commit()

opened = []


class Counted(sqlite3.Connection):
    def __init__(self, *args, **options):
        opened.append(args)
        super().__init__(*args, **options)


def names_of(keys):
    found = []
    for key in keys:
        with closing(sqlite3.connect(path, factory=Counted)) as conn:
            found += conn.execute("SELECT name FROM users WHERE id = ?", (key,)).fetchone()
    return found


found = names_of(range(100))
print(len(found), found[-1], len(opened))
"""


def test_a_connection_per_turn() -> None:
    assert run(CONNECTING).out.split() == ["100", "name", "99", "100"]
    assert run(fixed("PRF512", CONNECTING)).out.split() == ["100", "name", "99", "1"]


QUERIES = """
from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

engine = create_engine("sqlite://", poolclass=StaticPool)
Base.metadata.create_all(engine)
statements = []
with Session(engine) as session:
    session.add_all(User(id=key, name=f"name {key}") for key in range(50))
    session.commit()
event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
"""
ONE_BY_ONE = """
def names(session: Session, keys):
    return [session.get(User, key).name for key in keys]
"""
TOGETHER = """
def names(session: Session, keys):
    found = {user.id: user.name for user in session.scalars(select(User).where(User.id.in_(keys)))}
    return [found[key] for key in keys]
"""
COUNT = """
with Session(engine) as session:
    found = names(session, range(50))
print(len(found), found[-1], len(statements))
engine.dispose()
"""


@pytest.mark.parametrize(("code", "count"), [(ONE_BY_ONE, 50), (TOGETHER, 1)], ids=["N+1", "one"])
def test_a_query_per_item(code: str, count: int) -> None:
    pytest.importorskip("sqlalchemy")
    ended = run(QUERIES + code + COUNT)
    assert ended.out.split() == ["50", "name", "49", str(count)], ended.err
    source = Source("users.py", (QUERIES + code).encode())
    assert bool(engine.check(source, Config(select=("PRF503",)))) is (count > 1)


DJANGO = """
import sys
import types

from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, INSTALLED_APPS=[]
)
import django

django.setup()
from django.db import connection, models
from django.db.models import signals
from django.test.utils import CaptureQueriesContext

Meta = type("Meta", (), {"app_label": "shop"})
columns = {"name": models.TextField(), "Meta": Meta, "__module__": "shop.models"}
sys.modules["shop"] = types.ModuleType("shop")
sys.modules["shop.models"] = types.ModuleType("shop.models")
sys.modules["shop.models"].Item = type("Item", (models.Model,), columns)
from shop.models import Item

with connection.schema_editor() as editor:
    editor.create_model(Item)
"""
CREATING = """
def load(rows):
    for row in rows:
        Item.objects.create(name=row)


with CaptureQueriesContext(connection) as queries:
    load(str(number) for number in range(40))
print(Item.objects.count(), len(queries))
"""


def test_an_insert_per_object() -> None:
    pytest.importorskip("django")
    ended = run(DJANGO + CREATING)
    assert ended.out.split() == ["40", "40"], ended.err
    ended = run(fixed("PRF504", DJANGO.replace("from django.db.models import signals\n", "") + CREATING))
    rows, queries = map(int, ended.out.split())
    assert rows == 40 and queries <= 3, ended.err  # one INSERT, and BEGIN and COMMIT


CROWD = """
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import create_engine, exc

folder = tempfile.TemporaryDirectory()
engine = create_engine(f"sqlite:///{folder.name}/a.db", pool_timeout=0.3, OPTIONS)
arrived = threading.Barrier(20)
settled = threading.Barrier(20)

def work(number):
    arrived.wait()
    try:
        with engine.connect():
            settled.wait()
    except exc.TimeoutError:
        settled.wait()
        return "failed"
    return "served"

with ThreadPoolExecutor(max_workers=20) as executor:
    answers = list(executor.map(work, range(20)))
print(answers.count("served"), answers.count("failed"))
engine.dispose()
"""


@pytest.mark.parametrize(
    ("options", "out"), [("", ["15", "5"]), ("pool_size=20", ["20", "0"])], ids=["5 + 10", "20"]
)
def test_twenty_threads_and_a_pool(options: str, out: list[str]) -> None:
    pytest.importorskip("sqlalchemy")
    ended = run(CROWD.replace("OPTIONS", options))
    assert ended.out.split() == out, ended.err


BURST = (
    "n = 1\n"
    + SERVER
    + """
from concurrent.futures import ThreadPoolExecutor

import requests

together = threading.Barrier(16)
connections = []


class Together(Handler):
    def setup(self):
        connections.append(self.client_address)
        super().setup()

    def do_GET(self):
        together.wait()
        super().do_GET()


server.RequestHandlerClass = Together
server.socket.listen(64)
session = requests.Session()


def fetch(number):
    return session.get(urls[0], timeout=10).text


with ThreadPoolExecutor(max_workers=16) as executor:
    for burst in range(3):
        assert set(executor.map(fetch, range(16))) == {"ok"}
session.close()
server.shutdown()
server.server_close()
print(len(connections))
"""
)


def test_a_burst_of_sixteen_and_a_pool_of_ten() -> None:
    ended = run(BURST)
    assert ended.out.split() == [str(16 + 6 + 6)], ended.err  # six are thrown away after each burst
    ended = run(fixed("PRF603", BURST, runtime_fixes=True, pedantic=True))
    assert ended.out.split() == ["16"], ended.err


@pytest.mark.parametrize("rule", ["PRF503", "PRF504"])
def test_migrations_run_once(rule: str) -> None:
    text = b"from shop.models import Item\ndef f(rows):\n    for row in rows:\n        Item.objects.create(name=row)\n"
    text = text.replace(b"create(name", b"get(pk") if rule == "PRF503" else text
    found = [
        engine.check(Source(path, text), Config(select=(rule,)))
        for path in ("shop/load.py", "shop/migrations/0002_load.py")
    ]
    assert [len(items) for items in found] == [1, 0]
