"""HTTP clients that keep their connections: one pool of known size, a timeout by default, no cookies carried over.

`requests` and `httpx` (or `httpx2`) are imported when first used; the runtime itself needs neither.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Hashable
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._checks import check_count, check_seconds

if TYPE_CHECKING:
    import ssl

HTTPTimeout = float | tuple[float, float] | None  # seconds; (connect, read)

_TIMEOUT_POSITION = 6  # of requests' Session.request, after method and url
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # what httpx reads with trust_env

_sessions = threading.local()
_contexts: dict[Hashable, Any] = {}
_contexts_lock = threading.Lock()


def http_session(
    *,
    pool: int = 10,
    timeout: HTTPTimeout = (3.05, 30),
    retries: int = 0,
    raise_on_missing: bool = True,
) -> Any:
    """A `requests.Session` that keeps up to `pool` connections to each of `pool` hosts.

    It stands in for `requests.get` in loops: `timeout` (seconds, or connect and read) holds where a call names none,
    an explicit `timeout=None` waits for ever, and cookies are neither kept nor sent unless a call passes them.
    `retries` are for connections that cannot be made. A Session is for one thread; see `shared_session`.

    Raises ImportError without requests, or returns None with `raise_on_missing=False`.
    """
    check_count("pool", pool, 1)
    check_count("retries", retries, 0)
    for seconds in timeout if isinstance(timeout, tuple) else (timeout,):
        if seconds is not None:
            check_seconds("timeout", seconds)
    try:
        requests = import_module("requests")
    except ImportError as error:
        if not raise_on_missing:
            return None
        raise ImportError("http_session() needs requests; install it") from error
    session, adapter = _session_class()(timeout), requests.adapters.HTTPAdapter
    for scheme in ("http://", "https://"):
        # both numbers: with pool_connections alone left at 10, the eleventh host evicts the first
        session.mount(scheme, adapter(pool_connections=pool, pool_maxsize=pool, max_retries=retries))
    return session


def shared_session(key: Hashable = None) -> Any:
    """This thread's own `http_session()` for `key`, made at the first call and closed when the thread ends.

    A forked child gets sessions of its own: connections of the parent are never used by two processes.
    """
    held: dict[Hashable, _Held] | None = getattr(_sessions, "held", None)
    if held is None or _sessions.pid != os.getpid():
        held = _sessions.held = {}
        _sessions.pid = os.getpid()
    if key not in held:
        held[key] = _Held(http_session())
    return held[key].session


def http_client(*, verify: Any = True, cert: Any = None, trust_env: bool = True, **options: Any) -> Any:
    """An `httpx.Client(**options)` whose SSL context is made once for all clients with the same three arguments.

    Reading the certificates is most of what an httpx client costs to make, even for plain http. Use one client per
    process where possible: they are safe to share between threads. Raises ImportError without httpx.
    """
    httpx = _httpx()
    return httpx.Client(verify=_context(httpx, verify, cert, trust_env), trust_env=trust_env, **options)


class _Held:
    """A session that is closed when nobody holds this any more: at the end of the thread."""

    def __init__(self, session: Any) -> None:
        self.session = session
        weakref.finalize(self, session.close)


@lru_cache(maxsize=1)
def _session_class() -> Any:
    from http.cookiejar import DefaultCookiePolicy

    base: Any = import_module("requests").Session

    class Session(base):  # type: ignore[misc]
        """With a timeout for calls that name none."""

        def __init__(self, timeout: HTTPTimeout) -> None:
            super().__init__()
            self.default_timeout = timeout
            self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
            if len(args) <= _TIMEOUT_POSITION:
                kwargs.setdefault("timeout", self.default_timeout)
            return super().request(method, url, *args, **kwargs)

        def send(self, request: Any, **kwargs: Any) -> Any:
            kwargs.setdefault("timeout", self.default_timeout)  # of a prepared request
            return super().send(request, **kwargs)

    return Session


def _httpx() -> Any:
    for name in ("httpx", "httpx2"):
        try:
            return import_module(name)
        except ImportError as error:
            missing = error
    raise ImportError("http_client() needs httpx; install it") from missing


def _context(httpx: Any, verify: Any, cert: Any, trust_env: bool) -> ssl.SSLContext | bool:
    """The shared context; one that the caller made is the caller's."""
    if not isinstance(verify, (bool, str)) or not isinstance(cert, (str, tuple, type(None))):
        return verify  # type: ignore[no-any-return]
    seen = tuple(os.environ.get(name) for name in _CERTIFICATES) if trust_env else ()
    key = verify, cert, trust_env, seen
    with _contexts_lock:
        if key not in _contexts:
            _contexts[key] = httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        return _contexts[key]  # type: ignore[no-any-return]
