"""The debug server against other sites, other users, and clients that send anything."""

import base64
import contextlib
import os
import random
import socket
import threading
from collections.abc import Iterator

import pytest
from debug_client import ask, open_files, raw, read_all
from runtime_helpers import LONG, until

from perflint.runtime import DebugServer, _debug_connections, serve_debug

GOOD = b"GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server() -> Iterator[DebugServer]:
    with serve_debug(0) as server:
        yield server
        assert ask(server.port, "/debug/vars").status == 200  # whatever was sent, it is still up


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:7000", 200),  # another port: through ssh -L
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("[::1]", 200),
        ("[::1]:6060", 200),
        ("", 400),
        ("evil.example", 403),
        ("evil.example:6060", 403),
        ("localhost.evil.example", 403),
        ("localhost.", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.0.0.3", 403),
        ("0.0.0.0", 403),
        ("localhost:x", 403),
        ("localhost:", 403),
        ("localhost@evil.example", 403),
        ("[::1]evil", 403),
        ("[::1", 403),
        ("::1", 403),
        ("2130706433", 403),
    ],
)
def test_hosts(server: DebugServer, host: str, status: int) -> None:
    answer = ask(server.port, "/debug/vars", host=host)
    assert answer.status == status
    assert answer.status == 200 or answer.text.count("\n") == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://localhost:6060"}, True),
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "http://localhost:6061"}, False),
        ({"Origin": "https://localhost:6060"}, False),
        ({"Origin": "http://127.0.0.1:6060"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "else"}, False),
        ({"Origin": "http://localhost:6060", "Sec_Fetch_Site": "cross-site"}, False),
    ],
)
def test_origins(server: DebugServer, method: str, headers: dict[str, str], allowed: bool) -> None:
    path = "/debug/vars" if method == "GET" else "/debug/heap/stop"
    answer = ask(server.port, path, method, host="localhost:6060", **headers)
    assert answer.status == (200 if allowed else 403)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


class TestToken:
    @pytest.fixture
    def server(self) -> Iterator[DebugServer]:
        with serve_debug(0, token="grüße-1") as server:
            yield server

    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            ("", 401),
            ("Bearer", 401),
            ("Bearer grüße", 401),
            ("Bearer grüße-11", 401),
            ("grüße-1", 401),
            ("Digest grüße-1", 401),
            ("Bearer grüße-1", 200),
            ("bearer grüße-1", 200),
            ("Basic " + base64.b64encode("me:grüße-1".encode()).decode(), 200),
            ("Basic " + base64.b64encode("grüße-1:".encode()).decode(), 401),
            ("Basic !!!", 401),
        ],
    )
    def test_it_is_asked_for(self, server: DebugServer, authorization: str, status: int) -> None:
        for path in ("/debug/", "/debug/vars", "/nowhere"):
            sent = authorization.encode().decode("latin-1")
            answer = ask(server.port, path, **({"Authorization": sent} if sent else {}))
            assert answer.status == (404 if (path, status) == ("/nowhere", 200) else status)
            if status == 401:
                assert answer.headers["www-authenticate"].startswith('Basic realm="perflint debug"')

    def test_a_wrong_host_is_refused_before(self, server: DebugServer) -> None:
        assert ask(server.port, "/debug/", host="evil.example").status == 403

    def test_not_in_the_address(self, server: DebugServer) -> None:
        assert ask(server.port, "/debug/?token=gr%C3%BC%C3%9Fe-1").status == 401


class TestMethods:
    @pytest.mark.parametrize("path", ["heap/start", "heap/stop", "heap/mark"])
    def test_get_changes_nothing(self, server: DebugServer, path: str) -> None:
        answer = ask(server.port, f"/debug/{path}")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
    def test_views_answer_get(self, server: DebugServer, method: str) -> None:
        answer = ask(server.port, "/debug/vars", method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET")

    @pytest.mark.parametrize("path", ["/", "/debug"])
    def test_the_way_there(self, server: DebugServer, path: str) -> None:
        answer = ask(server.port, path)
        assert (answer.status, answer.headers["location"]) == (303, "/debug/")

    @pytest.mark.parametrize("path", ["/debug/nope", "/debug/../etc/passwd", "/metrics", "/debug/%70rofile"])
    def test_nothing_there(self, server: DebugServer, path: str) -> None:
        assert ask(server.port, path).status == 404


class TestMalformed:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),  # TLS
            (b"\r\n\r\n", 400),
            (b"GET\r\n\r\n", 400),
            (b"GET /debug/\r\n\r\n", 400),
            (b"GET /debug/ HTTP/2.0\r\n\r\n", 505),
            (b"GET /debug/ FTP/1.1\r\n\r\n", 400),
            (b"G3T /debug/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET  /debug/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET debug HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET http://localhost/debug/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /debug/ HTTP/1.1\r\n\r\n", 400),  # no Host
            (b"GET /debug/ HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400),
            (b"GET /debug/ HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400),
            (b"GET /debug/ HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n", 400),
            (b"GET /debug/ HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
            (b"GET /debug/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (b"POST /debug/heap/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST /debug/heap/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n", 400),
            (b"POST /debug/heap/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1025\r\n\r\n", 413),
            (
                b"POST /debug/heap/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
                413,
            ),
            (b"GET /debug/ HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000, 431),
            (b"GET /debug/?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
            (b"GET /debug/?" + b"a=1&" * 100 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (GOOD, 200),
            (GOOD + GOOD, 200),  # the first one only
        ],
    )
    def test_answers_are_plain(self, server: DebugServer, sent: bytes, status: int) -> None:
        answer = raw(server.port, sent)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert b"Traceback" not in answer and b"File " not in answer

    def test_garbage(self, server: DebugServer) -> None:
        chance = random.Random(5)
        for _ in range(100):
            sent = GOOD[: chance.randrange(len(GOOD))] + chance.randbytes(chance.randrange(400))
            answer = raw(server.port, sent, half=True)
            assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:100]

    def test_a_body_in_pieces(self, server: DebugServer) -> None:
        head = b"POST /debug/heap/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n"
        head += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), LONG) as client:
            for piece in (head[:30], head[30:-1], head[-1:], b"fra", b"mes=1"):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(piece)
            assert b"Tracing has started" in read_all(client)


class TestCrowds:
    def test_slow_clients_are_cut_off(self, server: DebugServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_debug_connections, "READ_SECONDS", 0.2)
        slow = [socket.create_connection(("127.0.0.1", server.port), LONG) for _ in range(20)]
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.01):  # each byte comes in time; the request as a whole does not
                for client in slow[:10]:
                    with contextlib.suppress(OSError):
                        client.send(b"G")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert ask(server.port, "/debug/vars").status == 200
            answers = [read_all(client) for client in slow]
        finally:
            stop.set()
            thread.join(LONG)
            for client in slow:
                client.close()
        assert all(b" 408 " in answer or not answer for answer in answers[:10])
        assert not any(answers[10:])  # who said nothing gets nothing

    def test_a_client_that_does_not_read(self, server: DebugServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_debug_connections, "SEND_SECONDS", 0.2)
        monkeypatch.setattr(
            _debug_connections.DebugViews,
            "respond",
            lambda *_, **__: _debug_connections.refusal(
                _debug_connections.Refused(403, "x" * 20_000_000), "text/plain"
            ),
        )
        with socket.create_connection(("127.0.0.1", server.port), LONG) as client:
            client.sendall(GOOD)
            assert until(lambda: server._connections._answering)
            assert until(lambda: not server._connections._answering)
        monkeypatch.undo()

    def test_too_many_at_once_get_503(self, server: DebugServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_debug_connections, "MOST_HANDLERS", 0)
        answer = ask(server.port, "/debug/vars")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        monkeypatch.undo()

    def test_a_thousand_idle_connections(self, server: DebugServer, descriptors: None) -> None:
        files = open_files()
        clients = [socket.create_connection(("127.0.0.1", server.port), LONG) for _ in range(1000)]
        try:
            assert ask(server.port, "/debug/vars").status == 200
            assert until(lambda: open_files() <= files + 1000 + _debug_connections.MOST_WAITING + 10)
            assert len(server._connections.threads()) <= 1 + _debug_connections.MOST_HANDLERS
        finally:
            for client in clients:
                client.close()
        assert until(lambda: not server._connections._waiting)

    def test_a_thousand_requests_at_once(self, server: DebugServer, descriptors: None) -> None:
        clients = [socket.create_connection(("127.0.0.1", server.port), LONG) for _ in range(1000)]
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(GOOD)
        statuses = []
        for client in clients:
            with client:
                statuses.append(read_all(client)[9:12])
        assert set(statuses) <= {b"200", b"503", b""}
        assert b"200" in statuses

    def test_no_descriptor_left(self, server: DebugServer, monkeypatch: pytest.MonkeyPatch) -> None:
        listener = server._connections.listener
        fails = [OSError(24, "Too many open files")] * 3

        class Poor:
            def accept(self) -> object:
                if fails:
                    raise fails.pop()
                return listener.accept()

        monkeypatch.setattr(server._connections, "listener", Poor())
        assert ask(server.port, "/debug/vars").status == 200
        assert not fails
        monkeypatch.undo()

    @pytest.fixture
    def descriptors(self) -> Iterator[None]:
        if os.name != "posix":
            yield
            return
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 1500:
            pytest.skip(f"only {hard} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
