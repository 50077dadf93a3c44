"""A debug server beside real applications: their port knows nothing of it, and it sees what they do."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from debug_client import ask
from runtime_helpers import LONG, until

from perflint.runtime import DebugServer, _debug_views, serve_debug


class App(NamedTuple):
    port: int
    debug: DebugServer


class Gate:
    """Lets handlers work until it is opened."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def handle_order(self) -> str:
        self.entered.set()
        while not self.open.is_set():
            sum(number * number for number in range(2000))
        return "done"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@contextmanager
def served(serve: Any, stop: Any) -> Iterator[None]:
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(LONG)


@pytest.fixture
def flask_app(gate: Gate) -> Iterator[App]:
    flask = pytest.importorskip("flask")
    from werkzeug.serving import make_server

    app = flask.Flask("shop")
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/order", "order", gate.handle_order)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with serve_debug(0) as debug, served(server.serve_forever, server.shutdown):
        assert not [rule for rule in app.url_map.iter_rules() if "debug" in rule.rule]
        yield App(server.server_port, debug)
    server.server_close()


@pytest.fixture
def plain_app(gate: Gate) -> Iterator[App]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/": lambda: "home", "/order": gate.handle_order}
            text = known[self.path]().encode() if self.path in known else b""
            self.send_response(200 if text else 404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serve_debug(0) as debug, served(server.serve_forever, server.shutdown):
        yield App(server.server_port, debug)
    server.server_close()


@pytest.fixture
def fastapi_app(gate: Gate) -> Iterator[App]:
    fastapi, uvicorn = pytest.importorskip("fastapi"), pytest.importorskip("uvicorn")
    started: list[DebugServer] = []

    @asynccontextmanager
    async def lifespan(_: object) -> Any:
        with serve_debug(0) as debug:  # in the loop, so it is watched
            started.append(debug)
            yield

    app = fastapi.FastAPI(lifespan=lifespan)
    app.add_api_route("/", lambda: "home")
    app.add_api_route("/order", gate.handle_order)  # in a thread of the pool

    async def blocking_handler() -> str:
        return gate.handle_order()  # on the loop, which is the mistake

    app.add_api_route("/blocking", blocking_handler)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None

    def stop() -> None:
        server.should_exit = True

    with served(lambda: asyncio.run(server.serve()), stop):
        assert until(lambda: server.started)
        assert not [route for route in app.routes if "debug" in getattr(route, "path", "")]
        yield App(server.servers[0].sockets[0].getsockname()[1], started[0])


@pytest.fixture(params=["flask_app", "plain_app", "fastapi_app"])
def app(request: pytest.FixtureRequest) -> App:
    found: App = request.getfixturevalue(request.param)
    return found


def test_the_application_answers_nothing_under_debug(app: App) -> None:
    assert ask(app.port, "/").status == 200
    for path, route in _debug_views.ROUTES.items():
        for method in ("GET", "POST"):
            assert ask(app.port, path, method).status in (404, 405, 501)
        if route.method == "GET" and path != "/debug/profile":
            assert ask(app.debug.port, path).status in (200, 404, 409)
    assert ask(app.debug.port, "/order").status == 404


def test_a_profile_shows_the_handler_at_work(app: App, gate: Gate) -> None:
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(ask(app.port, "/order").status))
    client.start()
    assert gate.entered.wait(LONG)
    found = ask(app.debug.port, "/debug/profile?seconds=0.6&hz=200&format=json").data
    gate.open.set()
    client.join(LONG)
    assert answers == [200]
    total = sum(stack["count"] for stack in found["stacks"])
    busy = sum(
        stack["count"]
        for stack in found["stacks"]
        if any(frame["name"].endswith("handle_order") for frame in stack["stack"])
    )
    assert busy > total / 2, found["stacks"]


def test_a_blocked_loop_of_uvicorn_shows_its_handler(fastapi_app: App, gate: Gate) -> None:
    client = threading.Thread(target=ask, args=(fastapi_app.port, "/blocking"))
    client.start()
    assert gate.entered.wait(LONG)
    (blocked,) = ask(fastapi_app.debug.port, "/debug/tasks?format=json").data["loops"]
    gate.open.set()
    client.join(LONG)
    assert blocked["state"] == "blocked"
    assert any(frame["name"].endswith("blocking_handler") for frame in blocked["stack"])
    (again,) = ask(fastapi_app.debug.port, "/debug/tasks?format=json").data["loops"]
    assert again["state"] == "answers" and again["count"] >= 1
