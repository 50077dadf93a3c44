"""What it costs to open an HTTP connection per request: `python bench/sessions.py [--requests N] [--rounds N]`.

Prints a Markdown table; `--write docs/runtime.md` puts it between that page's markers. Ratios of elapsed time, medians over
interleaved rounds: how many times longer the requests take one by one than over a kept connection, to a server on
loopback in a process of its own, plain and with TLS. Certificates are read as in production: the usual bundle, and the server's
own at its end. Needs `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.page import parser, publish  # noqa: E402
from perflint.runtime import http_client, http_session  # noqa: E402

BEGIN, END = (
    "<!-- figures: python bench/sessions.py --write docs/runtime.md -->",
    "<!-- end of HTTP figures -->",
)
LIBRARIES = ("requests", "httpx", "httpx2", "aiohttp", "urllib3")

Form = Callable[[str, int], object]


# The server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one segment

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        pass


class Untuned(Handler):
    """As http.server comes: a body waits for the acknowledgement of its head, which the client delays."""

    disable_nagle_algorithm = False
    wbufsize = 0


def serve(certificate: str, untuned: bool) -> None:
    """Serve until terminated; the port is the first line of output."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Untuned if untuned else Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def server(certificate: Path | None = None, *, untuned: bool = False) -> Iterator[str]:
    """The URL of a server in a process of its own."""
    options = ["--serve", str(certificate or "")] + ["--untuned"] * untuned
    with subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that every library here trusts beside those it always trusts."""
    import certifi
    import trustme

    authority = trustme.CA()
    path, bundle = folder / "server.pem", folder / "bundle.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(bundle)
    return path


# The clients; libraries are imported after the environment names the certificates


def each(call: Callable[[str], Any]) -> Form:
    """A call per request that keeps nothing."""

    def form(url: str, count: int) -> None:
        for _ in range(count):
            call(url)

    return form


def kept(make: Callable[[], Any]) -> Form:
    """One client for all requests; the time to make it counts."""

    def form(url: str, count: int) -> None:
        with make() as client:
            for _ in range(count):
                client.get(url)

    return form


def fresh(make: Callable[[], Any]) -> Form:
    """A client per request."""

    def form(url: str, count: int) -> None:
        for _ in range(count):
            with make() as client:
                client.get(url)

    return form


def urlopen(url: str) -> bytes:
    from urllib.request import urlopen

    with urlopen(url) as answer:
        return answer.read()  # type: ignore[no-any-return]


def pool_manager(url: str, count: int) -> None:
    import urllib3

    with urllib3.PoolManager() as pool:
        for _ in range(count):
            pool.request("GET", url)


async def fetch(session: Any, url: str) -> None:
    async with session.get(url) as answer:
        await answer.read()


def aiohttp_fresh(url: str, count: int) -> None:
    import aiohttp

    async def main() -> None:
        for _ in range(count):
            async with aiohttp.ClientSession() as session:
                await fetch(session, url)

    asyncio.run(main())


def aiohttp_kept(url: str, count: int) -> None:
    import aiohttp

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                await fetch(session, url)

    asyncio.run(main())


def pairs() -> list[tuple[str, str, Form, Form]]:
    """Without and with: what the table calls them, and the two forms."""
    import requests

    found: list[tuple[str, str, Form, Form]] = [
        ("`requests.get`", "one `Session`", each(requests.get), kept(requests.Session)),
        ("`requests.get`", "one `http_session`", each(requests.get), kept(http_session)),
    ]
    for name in ("httpx", "httpx2"):
        library = import_module(name)
        found.append((f"`{name}.get`", "one `Client`", each(library.get), kept(library.Client)))
        if name == "httpx":  # the one that http_client takes
            found.append(("`httpx.get`", "one `http_client`", each(library.get), kept(http_client)))
            found.append(
                ("a `Client` each", "an `http_client` each", fresh(library.Client), fresh(http_client))
            )
    found.append(("an `aiohttp.ClientSession` each", "one", aiohttp_fresh, aiohttp_kept))
    found.append(("`urllib.request.urlopen`", "one `urllib3.PoolManager`", each(urlopen), pool_manager))
    return found


# The figures


def elapsed(form: Form, url: str, count: int) -> float:
    begun = time.perf_counter()
    form(url, count)
    return time.perf_counter() - begun


def ratio(without: Form, with_: Form, url: str, count: int, rounds: int) -> float:
    """How many times longer the first takes; a round of each goes first, for caches and imports."""
    for form in (without, with_):
        form(url, 1)
    return statistics.median(elapsed(without, url, count) / elapsed(with_, url, count) for _ in range(rounds))


def table(count: int, rounds: int) -> str:
    lines = [f"| {count} requests | kept | plain | TLS |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        path = certificate(Path(folder))
        with server() as plain, server(path) as tls:
            for before, after, without, with_ in pairs():
                figures = [ratio(without, with_, url, count, rounds) for url in (plain, tls)]
                lines.append(
                    f"| {before} | {after} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |"
                )
        with server(untuned=True) as url:
            before, after, without, with_ = pairs()[0]
            stalled = ratio(without, with_, url, count, rounds)
            lines.append(f"| {before}, a server with Nagle's algorithm | {after} | {stalled:.2f} | |")
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"Python {platform.python_version()}, {' '.join(ssl.OPENSSL_VERSION.split()[:2])}, {versions}"
    return "\n".join(
        [*lines, "", f"Times as long as over a kept connection; medians of {rounds} rounds; {python}."]
    )


def main() -> None:
    command = parser(__doc__, rounds=5)
    command.add_argument("--requests", type=int, default=50)
    command.add_argument("--serve", metavar="CERTIFICATE", help=argparse.SUPPRESS)
    command.add_argument("--untuned", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.serve is not None:
        serve(options.serve, options.untuned)
        return
    publish(table(options.requests, options.rounds), BEGIN, END, options.write)


if __name__ == "__main__":
    main()
