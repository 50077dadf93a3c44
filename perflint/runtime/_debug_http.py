"""HTTP for the debug server: one small request per connection, refused unless it comes from this machine's user."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

MOST_HEAD, MOST_BODY = 16_384, 1024  # bytes of a request
HTML, TEXT, JSON = "text/html", "text/plain", "application/json"

_MOST_FIELDS = 20
_REASONS = {
    200: "OK",
    303: "See Other",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_ONCE = {"host", "origin", "authorization", "content-length", "sec-fetch-site"}


class Refused(Exception):
    """The answer to a request that is not carried out: a status and one plain sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Request(NamedTuple):
    method: str
    path: str
    query: str
    headers: dict[str, str]  # by their names in lower case
    body: bytes = b""

    def fields(self) -> dict[str, str]:
        """The parameters of the address and of a form that was sent."""
        from urllib.parse import parse_qsl

        text = self.query
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            text += "&" + self.body.decode("latin-1")
        try:
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError:
            raise Refused(400, "The request has too many parameters.") from None


class Response(NamedTuple):
    status: int
    kind: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self) -> bytes:
        body = self.text.encode("utf-8", "backslashreplace")
        headers = {
            "Content-Type": f"{self.kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "same-origin",  # with no-referrer, browsers say "Origin: null" for our own forms
            **dict(self.headers),
        }
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def parse_head(head: bytes) -> Request:
    """The request line and the headers, strictly; Refused where they are not HTTP/1.0 or 1.1."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[0].isalpha() or not words[2].startswith("HTTP/"):
        raise Refused(400, "The request is not HTTP.")
    method, target, version = words
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Refused(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if not target.startswith("/") or not target.isascii() or not target.isprintable():
        raise Refused(400, "The address of the request is not a path.")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise Refused(400, "A header of the request is malformed.")
        if name in headers and name in _ONCE:
            raise Refused(400, "A header of the request is given twice.")
        headers[name] = value.strip(" \t")
    path, _, query = target.partition("?")
    return Request(method, path, query, headers)


def body_length(request: Request) -> int:
    """How many bytes follow the headers."""
    if "transfer-encoding" in request.headers:
        raise Refused(400, "Transfer-Encoding is not supported; send Content-Length.")
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refused(400, "Content-Length is not a number.")
    if len(length) > 9 or int(length) > MOST_BODY:
        raise Refused(413, f"The body of a request may have {MOST_BODY} bytes.")
    return int(length)


def check_caller(request: Request, hosts: Collection[str], token: str | None) -> None:
    """Refuse what another site, or another user, makes a browser or a program ask for.

    A page of another site can reach loopback through the user's browser, also under a name of its own that it makes
    resolve to 127.0.0.1: its name is then in Host, or the browser says in Origin or Sec-Fetch-Site who asks.
    """
    host = request.headers.get("host", "").lower()
    if not host:
        raise Refused(400, "The Host header is missing.")
    if _name_of(host) not in hosts:
        raise Refused(403, "The Host header must name this machine: localhost, 127.0.0.1 or [::1].")
    origin = request.headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        raise Refused(403, "A page of another origin asks; this server answers only its own pages.")
    if request.headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
        raise Refused(403, "A page of another site asks; this server answers only its own pages.")
    if token is not None and not _is_token(request.headers.get("authorization", ""), token):
        raise Refused(
            401,
            "The token is missing or wrong: send Authorization: Bearer, or give it to the browser as the password.",
            WWW_Authenticate='Basic realm="perflint debug", charset="UTF-8"',
        )


def _name_of(host: str) -> str:
    """A Host header without its port; empty where the port is none."""
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        name, colon, port = name + bracket, port[:1], port[1:]
    else:
        name, colon, port = host.partition(":")
    return name if (not colon and not port) or (colon == ":" and port.isascii() and port.isdigit()) else ""


def _is_token(authorization: str, token: str) -> bool:
    """Browsers can send a password with each request of this origin, and no header of our own without scripts.

    A cookie would not do: browsers send it to every port of the host, so to any other program.
    """
    scheme, _, given = authorization.partition(" ")
    said = given.strip().encode("latin-1")
    if scheme.lower() == "basic":
        import base64

        try:
            said = base64.b64decode(said, validate=True).partition(b":")[2]
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    import hmac  # loads OpenSSL, which ends subinterpreters of 3.12

    return hmac.compare_digest(said, token.encode())
