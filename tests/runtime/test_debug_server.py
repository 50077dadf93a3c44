"""`serve_debug`: where it listens, how it ends, and what forks and second servers do."""

import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from debug_client import ask, open_files
from runtime_helpers import gone, script

from perflint.runtime import DebugServer, serve_debug


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


class TestWhere:
    @pytest.mark.parametrize(
        "host", ["0.0.0.0", "::", "", "0", None, "192.0.2.1", "10.0.0.1", "::ffff:10.0.0.1"]
    )
    def test_a_public_host_is_refused(self, host: Any) -> None:
        with pytest.raises(ValueError, match=r"must be on loopback.*use 127\.0\.0\.1"):
            serve_debug(0, host=host)

    @pytest.mark.parametrize("addresses", [["192.0.2.7"], ["127.0.0.1", "192.0.2.7"], ["::1", "2001:db8::1"]])
    def test_a_name_that_leaves_loopback_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
    ) -> None:
        def resolve(host: str, port: int, **_: object) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(ValueError, match=f"app.example is {addresses[-1]}"):
            serve_debug(0, host="app.example")

    def test_a_name_that_does_not_resolve(self) -> None:
        with pytest.raises(OSError):
            serve_debug(0, host="no-such-host.invalid")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
    def test_loopback(self, host: str) -> None:
        with serve_debug(0, host=host) as server, socket.create_connection((host, server.port), 30) as client:
            assert client.getpeername()[0].startswith("127.")
            assert server.url == f"http://{client.getpeername()[0]}:{server.port}/debug/"

    def test_ipv6(self) -> None:
        try:
            server = serve_debug(0, host="::1")
        except OSError:
            pytest.skip("no IPv6 on loopback")
        with server:
            assert server.url == f"http://[::1]:{server.port}/debug/"

    @pytest.mark.parametrize("port", [-1, 65_536, True, "6060", 1.5])
    def test_bad_ports(self, port: Any) -> None:
        with pytest.raises(ValueError, match="port"):
            serve_debug(port)

    @pytest.mark.parametrize("token", ["", " x", "x\n", 7, b"x"])
    def test_bad_tokens(self, token: Any) -> None:
        with pytest.raises(ValueError, match="token must be"):
            serve_debug(0, token=token)

    def test_a_port_in_use(self, busy_port: int) -> None:
        with pytest.raises(OSError, match="is in use; choose another, or pass fallback=True") as caught:
            serve_debug(busy_port)
        assert caught.value.errno == errno.EADDRINUSE

    def test_fallback_takes_another_and_says_so_once(
        self, busy_port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            caplog.at_level(logging.WARNING, "perflint.runtime"),
            serve_debug(busy_port, fallback=True) as server,
        ):
            assert server.port != busy_port
            assert serve_debug(busy_port, fallback=True) is server
        assert [record.getMessage() for record in caplog.records] == [
            f"serve_debug: port {busy_port} is in use, so another one is taken"
        ]


class TestLife:
    def test_the_same_port_is_the_same_server(self) -> None:
        with serve_debug(0) as server:
            assert serve_debug(server.port) is server
            with pytest.raises(ValueError, match="served with other arguments"):
                serve_debug(server.port, token="secret")
        assert server.closed
        with serve_debug(server.port) as another:
            assert another is not server and another.port == server.port

    def test_two_servers(self) -> None:
        with serve_debug(0) as one, serve_debug(0) as two:
            assert one.port != two.port
            assert [ask(server.port, "/debug/vars").status for server in (one, two)] == [200, 200]
            one.close()
            assert ask(two.port, "/debug/vars").status == 200

    def test_close_leaves_no_thread_and_no_descriptor(self) -> None:
        threads, files = set(threading.enumerate()), open_files()
        for _ in range(3):
            server = serve_debug(0)
            idle = socket.create_connection(("127.0.0.1", server.port), 30)
            ask(server.port, "/debug/threads")
            server.close()
            server.close()
            idle.close()
            assert set(threading.enumerate()) == threads
        assert open_files() == files
        with pytest.raises(ConnectionError):
            ask(server.port, "/debug/")

    def test_close_cancels_a_profile(self) -> None:
        server = serve_debug(0)
        found: list[object] = []

        def profile() -> None:
            try:
                found.append(ask(server.port, "/debug/profile?seconds=100").status)
            except (OSError, ValueError) as error:
                found.append(error)

        before = set(threading.enumerate())
        thread = threading.Thread(target=profile)
        thread.start()
        while not any(one.name == "perflint-debug-request" for one in threading.enumerate()):
            pass
        server.close()
        thread.join(30)
        assert gone(before)
        assert found and (found[0] == 503 or isinstance(found[0], Exception))

    def test_closed_from_many_threads(self) -> None:
        server = serve_debug(0)
        threads = [threading.Thread(target=server.close) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert server.closed and repr(server) == "<DebugServer closed>"

    def test_repr_has_no_token(self) -> None:
        with serve_debug(0, token="s3cret-token") as server:
            assert repr(server) == f"<DebugServer {server.url}>"
            assert isinstance(server, DebugServer)

    def test_the_exit_of_the_interpreter(self) -> None:
        ran = script("from perflint.runtime import serve_debug\nserve_debug(0)\nprint('served')")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "served\n", "")

    def test_importing_the_runtime_loads_nothing_of_it(self) -> None:
        heavy = ("socket", "selectors", "tracemalloc", "json", "ipaddress", "asyncio", "http.server")
        ran = script(
            f"import sys, perflint.runtime\nprint([name for name in {heavy} if name in sys.modules])"
        )
        assert (ran.stdout, ran.stderr) == ("[]\n", "")


FORK = """
import os, socket, sys, tracemalloc, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from debug_client import ask
from perflint.runtime import serve_debug

server = serve_debug(0)
assert ask(server.port, "/debug/heap/start", "POST").status == 200
ask(server.port, "/debug/threads")
reads, writes = os.pipe()
done, finish = os.pipe()
pid = os.fork()
if not pid:
    import gc, threading
    assert server.closed and threading.active_count() == 1
    assert not tracemalloc.is_tracing()
    assert not [item for item in gc.callbacks if "perflint" in item.__module__]
    server.close()
    os.write(writes, b"1")
    os.read(done, 1)
    with serve_debug(0) as own:  # what a post-fork hook does
        assert own.port != server.port
        assert ask(own.port, "/debug/vars?format=json").data["pid"] == os.getpid()
        assert ask(own.port, "/debug/profile?seconds=0.1").status == 200
    os._exit(0)
os.read(reads, 1)
assert ask(server.port, "/debug/vars?format=json").data["pid"] == os.getpid()
assert tracemalloc.is_tracing()
server.close()
try:
    ask(server.port, "/debug/")
except ConnectionError:
    print("nobody listens")
os.write(finish, b"1")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_no_server() -> None:
    ran = script(FORK)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "nobody listens\n", "")
