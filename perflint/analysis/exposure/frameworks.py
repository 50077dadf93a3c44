"""The web frameworks and servers that perflint knows, as data: what starts them, where, and what debugging shows.

Positions, names and defaults are those of the installed sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CONSOLE = "the interactive debugger and tracebacks"
TRACEBACKS = "tracebacks"


@dataclass(frozen=True)
class Server:
    """A call that binds an address and serves an application."""

    host: int | None = None  # the position of the address; None: by keyword only
    keyword: str = "host"
    switches: Mapping[str, int | None] = field(default_factory=dict)  # what turns debugging on -> position
    app: int | None = None  # the position of the application; None: it is the receiver
    public: bool = False  # without an address it listens on every one
    reload: str = ""  # the switch of a reloader that shows nothing by itself
    shows: str = TRACEBACKS


_FLASK = Server(0, switches={"debug": 2, "use_debugger": None}, shows=CONSOLE)
_QUART = Server(0, switches={"debug": 2})
_DASH = Server(0, switches={"debug": 3}, shows=CONSOLE)
_HTTP = Server(1, keyword="address", public=True)

# (type, method) -> the server it starts.
METHODS = {
    ("flask.Flask", "run"): _FLASK,
    ("quart.Quart", "run"): _QUART,
    ("quart.Quart", "run_task"): _QUART,
    ("flask_socketio.SocketIO", "run"): Server(1, switches={"debug": None}, app=0, shows=CONSOLE),
    ("sanic.Sanic", "run"): Server(0, switches={"debug": None, "dev": None}),
    ("bottle.Bottle", "run"): Server(switches={"debug": None}),
    ("dash.Dash", "run"): _DASH,
    ("dash.Dash", "run_server"): _DASH,
    ("tornado.web.Application", "listen"): _HTTP,
    ("tornado.httpserver.HTTPServer", "listen"): _HTTP,
    ("tornado.httpserver.HTTPServer", "bind"): _HTTP,
}
FUNCTIONS = {
    "uvicorn.run": Server(switches={"debug": None}, app=0, reload="reload"),
    "uvicorn.Config": Server(1, switches={"debug": None}, app=0, reload="reload"),
    "werkzeug.serving.run_simple": Server(
        0, "hostname", switches={"use_debugger": 4}, app=2, reload="", shows=CONSOLE
    ),
    "bottle.run": Server(2, switches={"debug": 8}, app=0),
    "aiohttp.web.run_app": Server(app=0, public=True),
    "hypercorn.asyncio.serve": Server(1, "config", app=0),  # the address is the configuration's `bind`
    "hypercorn.trio.serve": Server(1, "config", app=0),
}
HYPERCORN = "hypercorn.config.Config"

# Arguments of the constructor that turn debugging on.
CONSTRUCTORS = {
    "fastapi.FastAPI": ("debug",),
    "starlette.applications.Starlette": ("debug",),
    "litestar.Litestar": ("debug",),
    "tornado.web.Application": ("debug", "serve_traceback"),
}
ROUTERS = frozenset({"fastapi.APIRouter", "flask.Blueprint", "quart.Blueprint", "starlette.routing.Router"})

CLASSES = (
    frozenset(kind for kind, _ in METHODS)
    | frozenset(CONSTRUCTORS)
    | ROUTERS
    | {"aiohttp.web.Application", HYPERCORN}
)
ALIASES = {
    "flask.app.Flask": "flask.Flask",
    "flask.blueprints.Blueprint": "flask.Blueprint",
    "quart.app.Quart": "quart.Quart",
    "quart.blueprints.Blueprint": "quart.Blueprint",
    "sanic.app.Sanic": "sanic.Sanic",
    "dash.dash.Dash": "dash.Dash",
    "fastapi.applications.FastAPI": "fastapi.FastAPI",
    "fastapi.routing.APIRouter": "fastapi.APIRouter",
    "litestar.app.Litestar": "litestar.Litestar",
    "aiohttp.web_app.Application": "aiohttp.web.Application",
    "hypercorn.Config": HYPERCORN,
    "werkzeug.run_simple": "werkzeug.serving.run_simple",
    "uvicorn.config.Config": "uvicorn.Config",
    "uvicorn.main.run": "uvicorn.run",
}
ATTRIBUTES = {("dash.Dash", "server"): "flask.Flask"}
