"""The connections of the debug server: one thread reads all requests, few threads answer them, all within bounds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from ._debug_http import MOST_BODY, MOST_HEAD, TEXT, Refused, Request, body_length, parse_head
from ._debug_views import DebugViews, refusal
from ._report import log

if TYPE_CHECKING:
    import socket

MOST_WAITING, MOST_HANDLERS = 64, 8  # connections that are read, and that are answered
READ_SECONDS, SEND_SECONDS = 5.0, 10.0  # for a whole request, and for a whole answer
DRAIN_SECONDS = 1.0  # for what a refused client still sends

_END = b"\r\n\r\n"
_ERROR_LOGGED = 40


class _Connection:
    """A request that is arriving; once refused, what still comes is read away so that the client sees the answer."""

    def __init__(self, client: socket.socket, now: float) -> None:
        self.client = client
        self.deadline = now + READ_SECONDS
        self.received = bytearray()
        self.request: Request | None = None
        self.refused = False

    def whole(self) -> Request | None:
        """The request once all of it is there; Refused as soon as it cannot become one."""
        if self.received and not self.received[:1].isalpha():
            raise Refused(400, "The request is not HTTP.")
        end = self.received.find(_END)
        if end < 0 and len(self.received) <= MOST_HEAD:
            return None
        if end < 0 or end > MOST_HEAD:
            raise Refused(431, f"The headers of a request may have {MOST_HEAD} bytes.")
        if self.request is None:
            self.request = parse_head(bytes(self.received[:end]))
        body = self.received[end + len(_END) :]
        length = body_length(self.request)
        return self.request._replace(body=bytes(body[:length])) if len(body) >= length else None


class Connections:
    """Serves one listening socket until it is closed; nothing that a client does ends it."""

    def __init__(self, listener: socket.socket) -> None:
        import selectors
        import socket

        self.closing = threading.Event()
        self.listener = listener
        self.views: DebugViews | None = None
        self._waiting: dict[_Connection, None] = {}  # the oldest first
        self._answering: dict[threading.Thread, socket.socket] = {}
        self._ending: deque[threading.Thread] = deque()  # in their last instructions
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, self._rest)
        self._thread = threading.Thread(target=self._serve, name="perflint-debug", daemon=True)

    def start(self, views: DebugViews) -> None:
        self.views = views
        try:
            self._thread.start()
        except RuntimeError:  # no thread left
            self.release()
            views.close()
            raise

    def threads(self) -> set[int]:
        """The identifiers of our threads."""
        ours = [self._thread, *list(self._answering)]
        return {thread.ident for thread in ours if thread.ident is not None}

    def close(self, timeout: float) -> None:
        """Cancel what runs and wait for our threads, at most `timeout` seconds."""
        self.closing.set()
        self.wake()
        deadline = time.monotonic() + timeout
        if self._thread.ident is not None:
            self._thread.join(timeout)
        for thread, client in list(self._answering.items()):
            with contextlib.suppress(OSError):
                client.shutdown(2)  # both ways: a client that does not read must not keep us
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._join_ending()

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full is fine: it will wake up
            self._wake.send(b"\0")

    def release(self) -> None:
        """Close all descriptors. A forked child does only that, because sockets and epoll are its parent's, too."""
        self._selector.close()
        for held in (self.listener, self._wake, self._woken, *list(self._answering.values())):
            held.close()
        for connection in list(self._waiting):
            connection.client.close()
        self._waiting.clear()

    def _serve(self) -> None:
        try:
            while not self.closing.is_set():
                for key, _ in self._selector.select(self._pause()):
                    key.data()
                if self.views is not None:
                    self.views.heap.tick()
                now = time.monotonic()
                for connection in [item for item in self._waiting if item.deadline <= now]:
                    self._expire(connection)
        except Exception as error:
            log(_ERROR_LOGGED, "serve_debug: the server has stopped", exc=error)
        finally:
            self.closing.set()
            self.release_reading()

    def release_reading(self) -> None:
        """What the reading thread owns; answers under way keep their sockets until they are done."""
        for connection in list(self._waiting):
            self._drop(connection)
        self._selector.close()
        for held in (self.listener, self._wake, self._woken):
            held.close()

    def _pause(self) -> float | None:
        """Seconds until there is something to do; None as long as no client wants anything."""
        now = time.monotonic()
        due = [connection.deadline for connection in self._waiting]
        if self.views is not None and self.views.heap.until is not None:
            due.append(now + 1.0)
        return max(0.0, min(due) - now) if due else None

    def _rest(self) -> None:
        with contextlib.suppress(OSError):
            self._woken.recv(1024)
        self._join_ending()

    def _join_ending(self) -> None:
        with contextlib.suppress(IndexError):  # both the reading thread and `close` take from it
            while True:
                self._ending.popleft().join()

    def _accept(self) -> None:
        import selectors
        import socket

        try:
            client, _ = self.listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:  # no descriptor left: give others time to close some
            self.closing.wait(0.05)
            return
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._waiting) >= MOST_WAITING:
            self._refuse(next(iter(self._waiting)), Refused(503, "There are too many connections."))
        while len(self._waiting) >= MOST_WAITING:  # who is only drained goes first
            self._drop(next(iter(self._waiting)))
        connection = _Connection(client, time.monotonic())
        self._waiting[connection] = None
        self._selector.register(client, selectors.EVENT_READ, lambda: self._read(connection))
        self._read(connection)  # mostly it is all there

    def _read(self, connection: _Connection) -> None:
        if connection not in self._waiting:  # dropped by an event before this one
            return
        try:
            data = connection.client.recv(MOST_HEAD + MOST_BODY)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
        elif not connection.refused:
            connection.received += data
            try:
                request = connection.whole()
            except Refused as refused:
                self._refuse(connection, refused)
            else:
                if request is not None:
                    self._hand_over(connection, request)

    def _expire(self, connection: _Connection) -> None:
        if not connection.refused and connection.received:
            self._refuse(
                connection, Refused(408, f"The request took more than {READ_SECONDS:.0f} s to arrive.")
            )
        else:
            self._drop(connection)

    def _refuse(self, connection: _Connection, refused: Refused) -> None:
        """Answer as far as the client's buffer allows, then drain: closing at once could take the answer back."""
        try:
            connection.client.send(refusal(refused, TEXT).encoded())
            connection.client.shutdown(1)  # no more from us
        except OSError:
            self._drop(connection)
            return
        connection.refused = True
        connection.received.clear()
        connection.deadline = time.monotonic() + DRAIN_SECONDS

    def _drop(self, connection: _Connection) -> None:
        self._waiting.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.client)
        connection.client.close()

    def _hand_over(self, connection: _Connection, request: Request) -> None:
        if len(self._answering) >= MOST_HANDLERS:
            self._refuse(
                connection, Refused(503, "Too many requests are being answered; try again.", Retry_After="1")
            )
            return
        client = connection.client
        thread = threading.Thread(
            target=self._answer, args=(client, request), name="perflint-debug-request", daemon=True
        )
        self._answering[thread] = client
        try:
            thread.start()
        except RuntimeError:  # no thread left
            del self._answering[thread]
            self._refuse(connection, Refused(503, "No thread can be started.", Retry_After="1"))
            return
        self._waiting.pop(connection, None)
        self._selector.unregister(client)

    def _answer(self, client: socket.socket, request: Request) -> None:
        try:
            if self.views is not None:
                answer = self.views.respond(request, gone=lambda: is_gone(client)).encoded()
                client.settimeout(SEND_SECONDS)  # for all of it
                client.sendall(answer)
                client.shutdown(1)
        except OSError:  # the client has left
            pass
        finally:
            client.close()
            self._ending.append(threading.current_thread())  # before it leaves the other: `close` joins both
            self._answering.pop(threading.current_thread(), None)
            self.wake()


def is_gone(client: socket.socket) -> bool:
    """Whether a client that waits for an answer has closed its end."""
    import socket

    try:
        return not client.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
