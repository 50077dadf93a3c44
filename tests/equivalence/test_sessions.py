"""What the fixes of PRF601, PRF602 and PRF605 change over a real connection: fewer of them, and cookies that last."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source

pytest.importorskip("requests")
pytest.importorskip("httpx")


class Seen(NamedTuple):
    """One request as the server had it."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def cookie(self) -> str:
        return dict(self.headers).get("Cookie", dict(self.headers).get("cookie", ""))

    def without_cookie(self) -> "Seen":
        return self._replace(headers=tuple(item for item in self.headers if item[0].lower() != "cookie"))


class Handler(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, -1
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(Seen(self.command, self.path, tuple(self.headers.items()), body))
        answer = b"x" * 200_000 if self.path == "/large" else f"{self.command} {self.path} {body!r}".encode()
        redirects = self.path == "/moved"
        self.send_response(302 if redirects else 404 if self.path == "/missing" else 200)
        if redirects:
            self.send_header("Location", "/there")
        if self.path.startswith("/cookie"):
            self.send_header("Set-Cookie", f"at={self.path[1:]}; Path=/")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_DELETE = do_GET

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.seen: list[Seen] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave in the middle of an answer."""


class Outcome(NamedTuple):
    returned: Any
    error: str
    seen: list[Seen]
    connections: int


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def outcome(text: str, paths: list[str], server: Server) -> Outcome:
    server.connections, server.seen = 0, []
    space: dict[str, Any] = {}
    exec(compile(text, "function", "exec"), space)
    host = "localhost" if "aiohttp" in text else "127.0.0.1"  # aiohttp keeps no cookies of plain addresses
    urls = [f"http://{host}:{server.server_port}{path}" for path in paths]
    returned, error = None, ""
    try:
        found = space["f"](urls)
        returned = asyncio.run(found) if inspect.iscoroutine(found) else found
    except Exception as raised:
        error = type(raised).__name__
    return Outcome(returned, error, server.seen, server.connections)


@cache
def fixed(code: str, text: str) -> str:
    config = Config(select=(code,))
    source = Source("function.py", text.encode())
    result = fix(source, lambda item: engine.check(item, config), Applicability.UNSAFE)
    assert not result.defects, result.defects
    assert result.source.text != text, f"{code} fixes nothing"
    return result.source.text


GET = """
import {lib}
def f(urls):
    found = []
    for u in urls:
        r = {lib}.get(u, timeout=5, headers={{"X-Own": u[-3:]}})
        found.append((r.status_code, r.text))
    return found
"""
POST = """
import {lib}
def f(urls):
    found = []
    for u in urls:
        found.append({lib}.post(u, json={{"u": 1}}, timeout=5).text)
        found.append({lib}.request("DELETE", u, timeout=5).status_code)
    return found
"""
RAISES = """
import {lib}
def f(urls):
    found = []
    for u in urls:
        r = {lib}.get(u, timeout=5)
        r.raise_for_status()
        found.append(r.text)
        if "last" in u:
            break
    else:
        found.append("all")
    return found
"""
WHILE = """
import {lib}
def f(urls):
    found = []
    while urls:
        found.append({lib}.get(urls.pop(0), timeout=5).content)
    return found
"""
OWN = """
import {lib}
def f(urls):
    found = []
    for u in urls:
        with {lib}.{client}() as c:
            found.append(c.get(u).text)
    return found
"""
OWN_ASYNC = """
import httpx
async def f(urls):
    found = []
    for u in urls:
        async with httpx.AsyncClient() as c:
            r = await c.get(u)
            found.append((r.status_code, r.text))
    return found
"""
OWN_AIOHTTP = """
import aiohttp
async def f(urls):
    found = []
    for u in urls:
        async with aiohttp.ClientSession() as s:
            async with s.get(u) as r:
                found.append((r.status, await r.text()))
    return found
"""

TEXTS = {
    **{
        f"{name}, {lib}": ("PRF601", text.format(lib=lib))
        for lib in ("requests", "httpx")
        for name, text in {"get": GET, "post": POST, "raises": RAISES, "while": WHILE}.items()
    },
    "get, httpx2": ("PRF601", GET.format(lib="httpx2")),
    "own session, requests": ("PRF602", OWN.format(lib="requests", client="Session")),
    "own client, httpx": ("PRF602", OWN.format(lib="httpx", client="Client")),
    "own client, httpx2": ("PRF602", OWN.format(lib="httpx2", client="Client")),
    "own client, httpx async": ("PRF602", OWN_ASYNC),
    "own session, aiohttp": ("PRF602", OWN_AIOHTTP),
}
PATHS = {
    "nothing": [],
    "one": ["/a"],
    "several": ["/a", "/b", "/a", "/last"],
    "an error": ["/a", "/missing", "/b"],
    "elsewhere": ["/moved", "/a"],
    "no address": ["/a", "-nowhere", "/b"],
}


def both(text: str, code: str, paths: list[str], server: Server) -> tuple[Outcome, Outcome]:
    for lib in ("aiohttp", "httpx2"):
        if f"import {lib}\n" in text:
            pytest.importorskip(lib)
    return outcome(text, paths, server), outcome(fixed(code, text), paths, server)


@pytest.mark.parametrize("paths", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize(("code", "text"), TEXTS.values(), ids=TEXTS)
def test_the_same_answers_over_fewer_connections(
    code: str, text: str, paths: list[str], server: Server
) -> None:
    before, after = both(text, code, paths, server)
    assert after[:3] == before[:3]
    assert after.connections <= before.connections
    if paths == PATHS["several"]:
        assert (before.connections, after.connections) == (len(before.seen), 1)


@pytest.mark.parametrize(("code", "text"), TEXTS.values(), ids=TEXTS)
def test_cookies_last_which_makes_the_fix_unsafe(code: str, text: str, server: Server) -> None:
    before, after = both(text, code, ["/cookie1", "/a"], server)
    assert (after.returned, after.error) == (before.returned, before.error)
    assert [item.without_cookie() for item in after.seen] == [item.without_cookie() for item in before.seen]
    assert {item.cookie for item in before.seen} == {""}
    assert after.seen[-1].cookie == "at=cookie1"


def test_the_runtime_session_keeps_no_cookies(server: Server) -> None:
    text = GET.format(lib="requests")
    config = Config(select=("PRF601",), runtime_fixes=True)
    source = Source("function.py", text.encode())
    result = fix(source, lambda item: engine.check(item, config), Applicability.UNSAFE).source.text
    assert "http_session()" in result
    before, after = outcome(text, ["/cookie1", "/a"], server), outcome(result, ["/cookie1", "/a"], server)
    assert after[:3] == before[:3]
    assert (before.connections, after.connections) == (2, 1)


STATUS = """
import requests
def f(urls):
    with requests.Session() as s:
        found = []
        for u in urls:
            r = s.get(u, stream=True, timeout=5)
            found.append((r.status_code, r.headers["Content-Length"]))
        return found
"""
PART = """
import requests
def f(urls):
    found = []
    for u in urls:
        r = requests.get(u, stream=True, timeout=5)
        for chunk in r.iter_content(3):
            found.append(chunk)
            if chunk:
                break
    return found
"""
AIO_STATUS = """
import aiohttp
async def f(urls):
    found = []
    async with aiohttp.ClientSession() as s:
        for u in urls:
            r = await s.get(u)
            found.append((r.status, r.headers["Content-Length"]))
    return found
"""
OPENED = """
from urllib.request import urlopen
def f(urls):
    found = []
    for u in urls:
        r = urlopen(u)
        found.append((r.status, r.headers["Content-Length"]))
    return found
"""
STREAMED = {
    "a status": STATUS,
    "a part": PART,
    "aiohttp": AIO_STATUS,
    "urlopen": OPENED,
}


@pytest.mark.filterwarnings("ignore")  # the unclosed ones are the subject
@pytest.mark.parametrize("paths", [[], ["/a"], ["/a", "/large", "/b"], ["/missing", "/a"]])
@pytest.mark.parametrize("text", STREAMED.values(), ids=STREAMED)
def test_a_response_in_a_with_answers_the_same(text: str, paths: list[str], server: Server) -> None:
    before, after = both(text, "PRF605", paths, server)
    assert (after.returned, after.error) == (before.returned, before.error)
    assert after.seen == before.seen
