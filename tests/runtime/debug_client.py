"""Clients of a debug server, and work for it to show."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from runtime_helpers import LONG


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]

    @property
    def data(self) -> Any:
        return json.loads(self.text)


def ask(
    port: int, path: str, method: str = "GET", *, host: str | None = None, body: bytes = b"", **headers: str
) -> Answer:
    """One request; `host` replaces the Host header, keywords are headers, with `_` for `-`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"127.0.0.1:{port}" if host is None else host)
        if method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        response = connection.getresponse()
        return Answer(
            response.status, response.read().decode(), {k.lower(): v for k, v in response.getheaders()}
        )
    finally:
        connection.close()


def raw(port: int, sent: bytes, *, half: bool = False) -> bytes:
    """Send bytes as they are and read to the end; `half` says that nothing more will come."""
    with socket.create_connection(("127.0.0.1", port), LONG) as client:
        try:
            client.sendall(sent)
            if half:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was sent: the answer is there all the same
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    received = bytearray()
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionError:
        pass
    return bytes(received)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0


@contextmanager
def working(target: Callable[[threading.Event], object], name: str = "worker") -> Iterator[threading.Event]:
    """A thread that runs `target(stop)` until the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=target, args=(stop,), name=name)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(LONG)


def busy_function(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(number * number for number in range(2000))
