"""`serve_debug`: profiles, heap, threads, tasks and the collector of a process, on a loopback port of their own."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._checks import check_count
from ._debug_connections import Connections
from ._debug_views import DebugViews
from ._forks import survive_fork
from ._report import log

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop

_CLOSING_SECONDS = 2.0
_BACKLOG = 1024  # in the kernel: with fewer, a burst of connections waits for retransmissions
_HIGHEST_PORT = 65_535
_WARNING_LOGGED = 30


def serve_debug(
    port: int = 6060,
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    allow_profile: bool = True,
    fallback: bool = False,
) -> DebugServer:
    """Serve what Go's pprof serves, under /debug/ on a port of its own: never on the application, only on loopback.

    Open `.url` in a browser, or `curl` it; from another machine through `ssh -L 6060:127.0.0.1:6060 host`. It serves
    CPU profiles of all threads by sampling, the heap by tracemalloc (only while asked for), threads, asyncio tasks,
    the collector and a few figures: functions, files and lines, never source text, locals or the environment.

    port           0 for any free one. The same port again returns the server that is there; two ports, two servers
    host           a name or address on loopback; all that it resolves to must be
    token          then asked of every request: `Authorization: Bearer`, or as the password of the browser's dialog,
                   with any user name. For machines that others use as well
    allow_profile  False switches off profiles and tracing, which cost time
    fallback       take a free port and log a warning, where `port` is in use by another process

    Its threads are daemons. Called in a coroutine it watches the running event loop; others by `watch_loop`.
    A forked child has no server, for it would share the parent's: call this in its post-fork hook, with port 0.

    Raises ValueError for a host that is not on loopback, a port out of range, an empty token, or arguments that
    differ from those of the server that is there; OSError for a port in use and a name that does not resolve.
    """
    _check(port, token)
    options = (host, token, bool(allow_profile))
    with _Servers.lock:
        server = _Servers.by_port.get(port) if port else None
        if server is None:
            server = DebugServer(_listen(host, port, fallback), options)
            _Servers.add(server, port)
        elif server._options != options:
            raise ValueError(f"port {port} is served with other arguments; close() that server first")
    server._views.loops.add_running()
    return server


def _check(port: int, token: str | None) -> None:
    check_count("port", port, 0)
    if port > _HIGHEST_PORT:
        raise ValueError(f"port must be at most {_HIGHEST_PORT}, got {port!r}")
    if token is not None and (not isinstance(token, str) or not token or token != token.strip()):
        raise ValueError(
            "token must be a string without space around it; secrets.token_urlsafe() makes a good one"
        )


class DebugServer:
    """A debug server that runs; made by `serve_debug`, ended by `close` or the end of `with`.

    `port` and `url` say where it is; `closed` is True in a forked child, too.
    """

    def __init__(self, listener: socket.socket, options: tuple[str, str | None, bool]) -> None:
        address: tuple[Any, ...] = listener.getsockname()
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.port: int = address[1]
        self.url = f"http://{name}:{self.port}/debug/"
        self.closed = False
        self._options = _, token, allow_profile = options
        self._connections = Connections(listener)
        hosts = frozenset({"localhost", "127.0.0.1", "[::1]", name})
        self._views = DebugViews(
            hosts, token, allow_profile, self._connections.closing, self._connections.threads
        )
        survive_fork(self)
        self._connections.start(self._views)

    def watch_loop(self, loop: AbstractEventLoop) -> None:
        """Show the tasks of `loop` under /debug/tasks, and where it stands when it is blocked.

        May be called from any thread. Raises TypeError for what is no event loop.
        """
        self._views.loops.add(loop)

    def close(self) -> None:
        """End the server: profiles are cancelled, tracing that it started is stopped. At most 2 seconds."""
        with _Servers.lock:
            if self.closed:
                return
            self.closed = True
            _Servers.remove(self)
        self._connections.close(_CLOSING_SECONDS)
        self._views.close()

    def after_fork(self) -> None:
        """Leave the parent's sockets to the parent, which else would answer for the child."""
        if not self.closed:
            self.closed = True
            self._connections.closing.set()
            self._connections.release()
            self._views.after_fork()
        _Servers.after_fork()

    def __enter__(self) -> DebugServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else self.url}>"


class _Servers:
    """Those of this process, by the ports that were asked for and those that they have."""

    lock = threading.RLock()
    by_port: dict[int, DebugServer] = {}  # noqa: RUF012  # one per process
    _hooked = False

    @classmethod
    def add(cls, server: DebugServer, asked: int) -> None:
        cls.by_port[server.port] = server
        if asked:
            cls.by_port[asked] = server
        if not cls._hooked:
            cls._hooked = True
            atexit.register(cls.close_all)

    @classmethod
    def remove(cls, server: DebugServer) -> None:
        for port in [port for port, other in cls.by_port.items() if other is server]:
            del cls.by_port[port]

    @classmethod
    def close_all(cls) -> None:
        for server in list(cls.by_port.values()):
            server.close()

    @classmethod
    def after_fork(cls) -> None:
        cls.lock = threading.RLock()
        cls.by_port = {}


def _listen(host: str, port: int, fallback: bool) -> socket.socket:
    """A listening socket on the first address of `host` that can be had."""
    addresses = list(_loopback_addresses(host, port))
    for number, (family, address) in enumerate(addresses):
        try:
            return _bound(family, address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and fallback and port:
                message = "serve_debug: port %d is in use, so another one is taken"
                log(_WARNING_LOGGED, message, port)
                return _bound(family, (address[0], 0, *address[2:]))
            if error.errno == errno.EADDRINUSE:
                text = (
                    f"port {port} on {host} is in use; choose another, or pass fallback=True for any free one"
                )
                raise OSError(error.errno, text) from None
            if number == len(addresses) - 1:
                raise
    raise OSError(errno.EADDRNOTAVAIL, f"{host} has no address")


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    import socket

    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # else others could listen on the same port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _loopback_addresses(host: str, port: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """What `host` resolves to, IPv4 first; ValueError if any of it can be reached from outside."""
    import ipaddress
    import socket

    cure = "use 127.0.0.1, and `ssh -L` from outside"
    if not isinstance(host, str) or not host:
        raise ValueError(f"host must be on loopback, got {host!r}, which stands for every interface: {cure}")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for _, _, _, _, address in found:
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
                continue
        raise ValueError(f"host must be on loopback, but {host} is {address[0]}: {cure}")
    for family, _, _, _, address in sorted(found, key=lambda item: item[0] != socket.AF_INET):
        yield family, address
