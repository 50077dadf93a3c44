"""The HTTP clients that perflint knows, as data: their sessions, calls and responses."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request")


@dataclass(frozen=True)
class Client:
    """A library of HTTP calls, and the object of it that keeps connections."""

    name: str  # the package
    session: str  # the class whose objects keep connections; "" where there is none
    word: str  # what messages call one
    calls: tuple[str, ...]  # functions that open a connection each
    response: str = ""
    asynchronous: bool = False


def _functions(package: str, *more: str) -> tuple[str, ...]:
    return tuple(f"{package}.{verb}" for verb in (*VERBS, *more))


REQUESTS = Client("requests", "requests.Session", "Session", _functions("requests"), "requests.Response")
HTTPX = Client("httpx", "httpx.Client", "Client", _functions("httpx", "stream"), "httpx.Response")
HTTPX_ASYNC = Client("httpx", "httpx.AsyncClient", "AsyncClient", (), "httpx.Response", asynchronous=True)
HTTPX2 = Client("httpx2", "httpx2.Client", "Client", _functions("httpx2", "stream"), "httpx2.Response")
HTTPX2_ASYNC = Client("httpx2", "httpx2.AsyncClient", "AsyncClient", (), "httpx2.Response", asynchronous=True)
AIOHTTP = Client(
    "aiohttp", "aiohttp.ClientSession", "ClientSession", ("aiohttp.request",), "aiohttp.ClientResponse", asynchronous=True
)  # fmt: skip
URLLIB3 = Client(  # urllib3.request() keeps connections, in a pool of the module
    "urllib3", "urllib3.PoolManager", "PoolManager", (), "urllib3.response.BaseHTTPResponse"
)  # fmt: skip
URLLIB = Client(
    "urllib", "", "opener", ("urllib.request.urlopen", "urllib.request.urlretrieve"), "http.client.HTTPResponse"
)  # fmt: skip
CLIENTS = (REQUESTS, HTTPX, HTTPX_ASYNC, HTTPX2, HTTPX2_ASYNC, AIOHTTP, URLLIB3, URLLIB)
SESSIONS = {client.session: client for client in CLIENTS if client.session}
CALLS = {name: client for client in CLIENTS for name in client.calls}

# Clients of services, which hold a pool of connections and a TLS context each.
SERVICE_CLIENTS = frozenset(
    f"{package}.{name}"
    for package, names in {
        "openai": ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"),
        "anthropic": ("Anthropic", "AsyncAnthropic"),
        "google.genai": ("Client",),
        "stripe": ("StripeClient",),
        "slack_sdk": ("WebClient",),
    }.items()
    for name in names
)

CLASSES = frozenset(SESSIONS) | {client.response for client in CLIENTS}
RETURNS = {
    **{name: client.response for name, client in CALLS.items() if not name.endswith("urlretrieve")},
    "requests.session": REQUESTS.session,
    "urllib3.request": URLLIB3.response,
}
METHODS = {
    (client.session, verb): client.response
    for client in SESSIONS.values()
    for verb in (*VERBS, "send", "stream", "urlopen")
}
ALIASES = {
    **{f"requests.api.{verb}": f"requests.{verb}" for verb in VERBS},
    "requests.sessions.Session": REQUESTS.session,
    "requests.models.Response": REQUESTS.response,
    "aiohttp.client.ClientSession": AIOHTTP.session,
    "urllib3.poolmanager.PoolManager": URLLIB3.session,
    "urllib3.HTTPResponse": URLLIB3.response,
}
