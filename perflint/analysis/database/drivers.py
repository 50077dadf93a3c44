"""The drivers that perflint knows, as data: how each connects, what its `with` and `executemany` do.

What `with conn:` does and what `executemany` gains was tried on the installed versions (sqlite3 of
CPython 3.10-3.13, psycopg 3.3, psycopg2 2.9, asyncpg 0.32, aiosqlite, PyMySQL, mysql-connector);
pyodbc and oracledb are as their documentation says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["connection", "cursor", "session", "pool", "engine", "collection", "client", "pipeline"]
Batch = Literal[
    "loop",  # a loop of execute: nothing gained
    "prepared",  # one statement, prepared once; rows before an error stay, as in a loop
    "pipelined",  # sent without waiting for each answer
    "atomic",  # all rows or none
    "rewritten",  # INSERT .. VALUES becomes one statement; anything else is a loop
    "array",  # one round trip with all rows
    "flagged",  # a loop unless the cursor's `fast_executemany` is set
]


@dataclass(frozen=True)
class Driver:
    """A driver of the DB-API, or one like it. The types are named as their class is documented."""

    name: str  # as messages call it
    connects: tuple[str, ...]  # functions that return (or await to) a connection
    connection: str
    cursor: str
    closes: bool  # whether the end of `with conn:` closes the connection
    batch: Batch  # what executemany does
    aborts: bool = False  # an error ends the transaction: every later statement fails
    local: bool = False  # the database lives in this process: no round trip
    asynchronous: bool = False
    chained: bool = False  # execute() returns a cursor

    @property
    def package(self) -> str:
        return self.connection.partition(".")[0]


SQLITE3 = Driver(
    name="sqlite3",
    connects=("sqlite3.connect",),
    connection="sqlite3.Connection",
    cursor="sqlite3.Cursor",
    closes=False,
    batch="prepared",
    local=True,
    chained=True,
)
AIOSQLITE = Driver(
    name="aiosqlite",
    connects=("aiosqlite.connect",),
    connection="aiosqlite.Connection",
    cursor="aiosqlite.Cursor",
    closes=True,
    batch="prepared",
    local=True,
    asynchronous=True,
    chained=True,
)
PSYCOPG = Driver(
    name="psycopg",
    connects=("psycopg.connect", "psycopg.Connection.connect"),
    connection="psycopg.Connection",
    cursor="psycopg.Cursor",
    closes=True,
    batch="pipelined",
    aborts=True,
    chained=True,
)
PSYCOPG_ASYNC = Driver(
    name="psycopg",
    connects=("psycopg.AsyncConnection.connect",),
    connection="psycopg.AsyncConnection",
    cursor="psycopg.AsyncCursor",
    closes=True,
    batch="pipelined",
    aborts=True,
    asynchronous=True,
    chained=True,
)
PSYCOPG2 = Driver(
    name="psycopg2",
    connects=("psycopg2.connect",),
    connection="psycopg2.extensions.connection",
    cursor="psycopg2.extensions.cursor",
    closes=False,
    batch="loop",
    aborts=True,
)
ASYNCPG = Driver(
    name="asyncpg",
    connects=("asyncpg.connect",),
    connection="asyncpg.Connection",
    cursor="asyncpg.cursor.Cursor",
    closes=False,
    batch="atomic",
    aborts=True,
    asynchronous=True,
)
PYMYSQL = Driver(
    name="PyMySQL",
    connects=("pymysql.connect", "pymysql.Connect"),
    connection="pymysql.connections.Connection",
    cursor="pymysql.cursors.Cursor",
    closes=True,
    batch="rewritten",
)
MYSQL_CONNECTOR = Driver(
    name="mysql-connector",
    connects=("mysql.connector.connect",),
    connection="mysql.connector.connection.MySQLConnection",
    cursor="mysql.connector.cursor.MySQLCursor",
    closes=True,
    batch="rewritten",
)
MYSQLDB = Driver(
    name="MySQLdb",
    connects=("MySQLdb.connect", "MySQLdb.Connect"),
    connection="MySQLdb.connections.Connection",
    cursor="MySQLdb.cursors.Cursor",
    closes=True,
    batch="rewritten",
)
PYODBC = Driver(
    name="pyodbc",
    connects=("pyodbc.connect",),
    connection="pyodbc.Connection",
    cursor="pyodbc.Cursor",
    closes=False,
    batch="flagged",
    chained=True,
)
ORACLEDB = Driver(
    name="oracledb",
    connects=("oracledb.connect", "cx_Oracle.connect"),
    connection="oracledb.Connection",
    cursor="oracledb.Cursor",
    closes=True,
    batch="array",
)
SQLALCHEMY = Driver(
    name="SQLAlchemy",
    connects=(),  # an engine's connect()
    connection="sqlalchemy.engine.Connection",
    cursor="sqlalchemy.engine.CursorResult",
    closes=True,
    batch="pipelined",
)
SQLALCHEMY_ASYNC = Driver(
    name="SQLAlchemy",
    connects=(),
    connection="sqlalchemy.ext.asyncio.AsyncConnection",
    cursor="sqlalchemy.engine.CursorResult",
    closes=True,
    batch="pipelined",
    asynchronous=True,
)
DRIVERS = (
    SQLITE3, AIOSQLITE, PSYCOPG, PSYCOPG_ASYNC, PSYCOPG2, ASYNCPG, PYMYSQL, MYSQL_CONNECTOR, MYSQLDB,
    PYODBC, ORACLEDB, SQLALCHEMY, SQLALCHEMY_ASYNC,
)  # fmt: skip
CONNECTS = {name: driver for driver in DRIVERS for name in driver.connects}
PACKAGES = frozenset({driver.package for driver in DRIVERS} | {"cx_Oracle", "psycopg_pool"})
SESSION_PACKAGES = frozenset({"sqlalchemy", "flask_sqlalchemy", "sqlmodel"})
IMPORTS = tuple(
    sorted(PACKAGES | SESSION_PACKAGES)
)  # for gates: without one of these nothing is proved or guessed

# SQLAlchemy's and Django's objects, and stores that are no SQL databases.

SESSION = "sqlalchemy.orm.Session"
ASYNC_SESSION = "sqlalchemy.ext.asyncio.AsyncSession"
SESSIONS = frozenset({SESSION, ASYNC_SESSION})
SESSION_MAKERS = {
    "sqlalchemy.orm.sessionmaker": SESSION,
    "sqlalchemy.orm.scoped_session": SESSION,
    "sqlalchemy.ext.asyncio.async_sessionmaker": ASYNC_SESSION,
}
ENGINE = "sqlalchemy.engine.Engine"
ASYNC_ENGINE = "sqlalchemy.ext.asyncio.AsyncEngine"
FLASK_SQLALCHEMY = "flask_sqlalchemy.SQLAlchemy"
POOLS = {
    "asyncpg.Pool": ASYNCPG,
    "psycopg_pool.ConnectionPool": PSYCOPG,
    "psycopg_pool.AsyncConnectionPool": PSYCOPG_ASYNC,
    "psycopg2.pool.SimpleConnectionPool": PSYCOPG2,
    "psycopg2.pool.ThreadedConnectionPool": PSYCOPG2,
}
MONGO_CLIENTS = frozenset(
    {"pymongo.MongoClient", "motor.motor_asyncio.AsyncIOMotorClient", "pymongo.AsyncMongoClient"}
)
MONGO_DATABASE = "pymongo.database.Database"
MONGO_COLLECTION = "pymongo.collection.Collection"
REDIS = "redis.Redis"
ASYNC_REDIS = "redis.asyncio.Redis"
REDIS_PIPELINE = "redis.client.Pipeline"
ELASTICSEARCH = "elasticsearch.Elasticsearch"
DYNAMO = "boto3.dynamodb"  # what boto3.resource("dynamodb") returns; it has no name of its own
DYNAMO_TABLE = "boto3.dynamodb.Table"
DYNAMO_WRITER = "boto3.dynamodb.table.BatchWriter"

CLASSES = (
    frozenset({item for driver in DRIVERS for item in (driver.connection, driver.cursor)})
    | SESSIONS | {ENGINE, ASYNC_ENGINE, FLASK_SQLALCHEMY} | SESSION_MAKERS.keys() | POOLS.keys()
    | MONGO_CLIENTS | {MONGO_DATABASE, MONGO_COLLECTION, REDIS, ASYNC_REDIS, REDIS_PIPELINE, ELASTICSEARCH}
)  # fmt: skip

RETURNS = {
    **{name: driver.connection for name, driver in CONNECTS.items()},
    "sqlalchemy.create_engine": ENGINE,
    "sqlalchemy.ext.asyncio.create_async_engine": ASYNC_ENGINE,
    "sqlmodel.create_engine": ENGINE,
    "asyncpg.create_pool": "asyncpg.Pool",
    "redis.from_url": REDIS,
    "redis.Redis.from_url": REDIS,
    "redis.asyncio.from_url": ASYNC_REDIS,
    "redis.asyncio.Redis.from_url": ASYNC_REDIS,
}

# Functions that return what their first argument names.
NAMED = {"boto3.resource": {"dynamodb": DYNAMO}}

# (type of the receiver, method) -> what the call returns, awaits to, or enters as.
METHODS = {
    **{(driver.connection, "cursor"): driver.cursor for driver in DRIVERS},
    **{(kind, "execute"): driver.cursor for driver in DRIVERS if driver.chained for kind in (driver.connection, driver.cursor)},
    **{(ENGINE, method): SQLALCHEMY.connection for method in ("connect", "begin")},
    **{(ASYNC_ENGINE, method): SQLALCHEMY_ASYNC.connection for method in ("connect", "begin")},
    **{(maker, method): session for maker, session in SESSION_MAKERS.items() for method in ("__call__", "begin")},
    (SESSION, "connection"): SQLALCHEMY.connection,
    (ASYNC_SESSION, "connection"): SQLALCHEMY_ASYNC.connection,
    **{(pool, method): driver.connection for pool, driver in POOLS.items() for method in ("acquire", "connection", "getconn")},
    **{(client, "get_database"): MONGO_DATABASE for client in MONGO_CLIENTS},
    (MONGO_DATABASE, "get_collection"): MONGO_COLLECTION,
    **{(client, "pipeline"): REDIS_PIPELINE for client in (REDIS, ASYNC_REDIS)},
    (DYNAMO, "Table"): DYNAMO_TABLE,
    (DYNAMO_TABLE, "batch_writer"): DYNAMO_WRITER,
}  # fmt: skip
# (type, attribute) -> the attribute's type; "*" is any that no other row names, and any subscript.
ATTRIBUTES = {
    (FLASK_SQLALCHEMY, "session"): SESSION,
    (FLASK_SQLALCHEMY, "engine"): ENGINE,
    **{(client, "*"): MONGO_DATABASE for client in MONGO_CLIENTS},
    (MONGO_DATABASE, "*"): MONGO_COLLECTION,
}
ALIASES = {
    "sqlite3.dbapi2.connect": "sqlite3.connect",
    "sqlite3.dbapi2.Connection": SQLITE3.connection,
    "sqlite3.dbapi2.Cursor": SQLITE3.cursor,
    "aiosqlite.core.Connection": AIOSQLITE.connection,
    "aiosqlite.cursor.Cursor": AIOSQLITE.cursor,
    "psycopg.connection.Connection": PSYCOPG.connection,
    "psycopg.cursor.Cursor": PSYCOPG.cursor,
    "psycopg.ClientCursor": PSYCOPG.cursor,
    "psycopg2._psycopg.connection": PSYCOPG2.connection,
    "psycopg2._psycopg.cursor": PSYCOPG2.cursor,
    **{f"psycopg2.extras.{name}Connection": PSYCOPG2.connection for name in ("Dict", "RealDict", "NamedTuple")},
    **{f"psycopg2.extras.{name}Cursor": PSYCOPG2.cursor for name in ("Dict", "RealDict", "NamedTuple")},
    "asyncpg.connection.Connection": ASYNCPG.connection,
    "asyncpg.pool.Pool": "asyncpg.Pool",
    "asyncpg.pool.create_pool": "asyncpg.create_pool",
    "pymysql.Connection": PYMYSQL.connection,
    "pymysql.cursors.DictCursor": PYMYSQL.cursor,
    "mysql.connector.MySQLConnection": MYSQL_CONNECTOR.connection,
    "cx_Oracle.Connection": ORACLEDB.connection,
    "cx_Oracle.Cursor": ORACLEDB.cursor,
    "sqlalchemy.Engine": ENGINE,
    "sqlalchemy.engine.base.Engine": ENGINE,
    "sqlalchemy.engine.create_engine": "sqlalchemy.create_engine",
    "sqlalchemy.Connection": SQLALCHEMY.connection,
    "sqlalchemy.engine.base.Connection": SQLALCHEMY.connection,
    "sqlalchemy.orm.session.Session": SESSION,
    "sqlalchemy.orm.session.sessionmaker": "sqlalchemy.orm.sessionmaker",
    "sqlmodel.Session": SESSION,
    "sqlmodel.ext.asyncio.session.AsyncSession": ASYNC_SESSION,
    "sqlalchemy.ext.asyncio.session.AsyncSession": ASYNC_SESSION,
    "pymongo.mongo_client.MongoClient": "pymongo.MongoClient",
    "redis.StrictRedis": REDIS,
    "redis.client.Redis": REDIS,
    "redis.client.StrictRedis": REDIS,
    "redis.asyncio.client.Redis": ASYNC_REDIS,
    "redis.asyncio.StrictRedis": ASYNC_REDIS,
}  # fmt: skip


class Role(NamedTuple):
    """What a type is to the rules."""

    driver: Driver
    kind: Kind


ROLES = {
    **{driver.connection: Role(driver, "connection") for driver in DRIVERS},
    **{driver.cursor: Role(driver, "cursor") for driver in DRIVERS if driver.package != "sqlalchemy"},
    SESSION: Role(SQLALCHEMY, "session"),
    ASYNC_SESSION: Role(SQLALCHEMY_ASYNC, "session"),
    ENGINE: Role(SQLALCHEMY, "engine"),
    ASYNC_ENGINE: Role(SQLALCHEMY_ASYNC, "engine"),
    **{pool: Role(driver, "pool") for pool, driver in POOLS.items()},
}
