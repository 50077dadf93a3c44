"""The contract of `http_session`, `shared_session` and `http_client`, against a server on loopback."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from runtime_helpers import LONG, script, until

from perflint.runtime import _http, http_client, http_session, shared_session


class Server(ThreadingHTTPServer):
    """Counts connections, notes cookies, and answers when told to."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.open = 0
        self.cookies: list[str | None] = []
        self.lock = threading.Lock()
        self.answer = threading.Event()
        self.answer.set()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.connections += 1
            self.open += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.open -= 1
        super().shutdown_request(request)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment per answer: otherwise delayed acknowledgements stall kept connections
    server: Server

    def do_GET(self) -> None:
        self.server.cookies.append(self.headers.get("Cookie"))
        self.server.answer.wait(LONG)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/")
        else:
            self.send_response(200)
        self.send_header("Set-Cookie", "session=secret")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.answer.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_one_connection_for_many_requests(server: Server) -> None:
    with http_session() as session:
        for _ in range(50):
            assert session.get(server.url).text == "ok"
    assert server.connections == 1


def test_a_burst_is_kept(server: Server) -> None:
    workers = 8
    server.answer.clear()
    with http_session(pool=workers) as session, ThreadPoolExecutor(workers) as executor:
        first = [executor.submit(session.get, server.url) for _ in range(workers)]
        assert until(lambda: server.connections == workers)  # all at once
        server.answer.set()
        assert all(future.result(LONG).ok for future in first)
        assert all(answer.ok for answer in executor.map(session.get, [server.url] * 5 * workers))
    assert server.connections == workers


def test_the_timeout_holds_unless_a_call_names_one(server: Server) -> None:
    server.answer.clear()
    with http_session(timeout=0.05) as session:
        with pytest.raises(requests.ReadTimeout):
            session.get(server.url)
        with pytest.raises(requests.ReadTimeout):
            session.send(session.prepare_request(requests.Request("GET", server.url)))
    threading.Timer(0.2, server.answer.set).start()
    with http_session(timeout=0.05) as session:
        assert session.get(server.url, timeout=None).text == "ok"  # waits, as it was told


def test_a_timeout_by_position_is_the_callers(server: Server) -> None:
    server.answer.clear()
    with http_session() as session, pytest.raises(requests.ReadTimeout):
        session.request("GET", server.url, None, None, None, None, None, None, 0.05)


def test_cookies_do_not_leak_from_call_to_call(server: Server) -> None:
    with http_session() as session:
        session.get(server.url)
        session.get(server.url + "redirect")  # within one call a redirect carries them, as in requests.get
        session.get(server.url)
        assert not session.cookies
        assert server.cookies == [None, None, "session=secret", None]
        session.get(server.url, cookies={"mine": "1"})
    assert server.cookies[-1] == "mine=1"


def test_the_environments_certificates_win_as_in_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/mine.pem")
    with http_session() as session:
        found = session.merge_environment_settings("https://localhost/", {}, None, None, None)
    assert found["verify"] == "/etc/ssl/mine.pem"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pool": 0}, ValueError, "pool must be an int >= 1, got 0"),
        ({"retries": -1}, ValueError, "retries must be an int >= 0, got -1"),
        ({"timeout": "3"}, TypeError, "timeout must be a number of seconds, got '3'"),
        ({"timeout": (3, -1)}, ValueError, "timeout must be >= 0 seconds, got -1"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        http_session(**options)
    assert str(caught.value) == message


def test_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ImportError, match=r"http_session\(\) needs requests; install it"):
        http_session()
    assert http_session(raise_on_missing=False) is None


def test_each_thread_has_its_own_session_closed_at_its_end(server: Server) -> None:
    assert shared_session() is shared_session()
    assert shared_session("other") is not shared_session()
    seen = []

    def work() -> None:
        seen.append(id(shared_session()))
        shared_session().get(server.url)
        assert server.open == 1

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(LONG)
    assert seen and seen[0] != id(shared_session())
    assert until(lambda: server.open == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_its_own() -> None:
    done = script(
        "import os, sys\n"
        "from perflint.runtime import shared_session\n"
        "mine = shared_session()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(shared_session() is mine)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "sys.exit(os.waitstatus_to_exitcode(status) or shared_session() is not mine)\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library that `http_client` finds; each is looked at as if the other were not installed."""
    library = pytest.importorskip(request.param, reason=f"needs {request.param}: pip install '.[test]'")
    for name in {"httpx", "httpx2"} - {request.param}:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(_http, "_contexts", {})
    return library


class TestClient:
    def test_one_context_for_all(self, httpx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        made = []
        create = httpx.create_ssl_context
        monkeypatch.setattr(
            httpx, "create_ssl_context", lambda **given: made.append(given) or create(**given)
        )
        for _ in range(3):
            http_client(verify=True).close()
        assert len(made) == 1
        http_client(verify=False).close()
        assert len(made) == 2

    def test_the_environment_is_part_of_the_key(
        self, httpx: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        first = _http._context(httpx, True, None, True)
        assert _http._context(httpx, True, None, True) is first
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        assert _http._context(httpx, True, None, True) is not first
        assert _http._context(httpx, True, None, False) is not first

    def test_it_is_the_librarys_own(self, httpx: Any, server: Server) -> None:
        with http_client(timeout=5.0, headers={"X-A": "1"}) as client:
            for _ in range(5):
                assert client.get(server.url).text == "ok"
            assert client.headers["X-A"] == "1" and isinstance(client, httpx.Client)
        assert server.connections == 1

    def test_without_httpx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "httpx", None)
        monkeypatch.setitem(sys.modules, "httpx2", None)
        with pytest.raises(ImportError, match=r"http_client\(\) needs httpx; install it"):
            http_client()
