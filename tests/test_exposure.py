"""What the rules about exposed debugging rest on: addresses, guards, routes, values followed one step."""

import ast

import pytest
from regions import call, context

from perflint.analysis.exposure.guards import development, guarded
from perflint.analysis.exposure.hosts import reach
from perflint.analysis.exposure.routes import routes
from perflint.analysis.exposure.values import UNKNOWN, call_at, value


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", "[::]", "0.0.0.0:8000", "[::]:80", ":8000", "*"])
def test_public(host: str) -> None:
    assert reach(host) == "public"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.53", "localhost", "::1", "[::1]:80", "unix:/run/a", "/run/a.sock"]
)
def test_local(host: str) -> None:
    assert reach(host) == "local"


@pytest.mark.parametrize("host", [UNKNOWN, None, 0, "10.0.0.1", "example.org", "0.0.0.1"])
def test_nobody_knows(host: object) -> None:
    assert reach(host) == "unknown"


VALUES = [
    ("def f():\n    run('a')", "a"),
    ("H = 'a'\ndef f():\n    run(H)", "a"),
    ("H = 'a'\nH = 'b'\ndef f():\n    run(H)", UNKNOWN),
    ("H = 'a'\ndef f(H):\n    run(H)", UNKNOWN),
    ("def f():\n    h = 'a'\n    run(h)", "a"),
    ("def f():\n    h = 'a'\n    h = 'b'\n    run(h)", UNKNOWN),
    ("class S:\n    HOST = 'a'\ndef f():\n    run(S.HOST)", "a"),
    ("class S:\n    HOST = 'a'\nsettings = S()\ndef f():\n    run(settings.HOST)", "a"),
    ("class S:\n    def __init__(self):\n        self.h = 'a'\n    def f(self):\n        run(self.h)", "a"),
    ("import os\ndef f():\n    run(os.environ['H'])", UNKNOWN),
    ("P = 1\ndef f():\n    run(('a', P))", ("a", 1)),
    ("from other import H\ndef f():\n    run(H)", UNKNOWN),
]


@pytest.mark.parametrize(("code", "expected"), VALUES)
def test_values_are_followed_one_step(code: str, expected: object) -> None:
    found = context(code)
    known = call_at(found, call(found, "run("))
    assert value(found.facts.outline, known.node.args[0], known.home) == expected


GUARDS = [
    ("if app.debug:\n    mark()", "switch"),
    ("if settings.DEBUG and x:\n    mark()", "switch"),
    ("if os.environ.get('X'):\n    mark()", "environment"),
    ("if args.dev:\n    mark()", "switch"),
    ("if TYPE_CHECKING:\n    mark()", "switch"),
    ("def f():\n    if not app.debug:\n        return\n    mark()", "switch"),
    ("if DEBUG:\n    @app.get('/x')\n    def f():\n        mark()", "switch"),
    ("settings.DEBUG and mark()", "switch"),
    ("if x:\n    mark()", None),
    ("if __name__ == '__main__':\n    mark()", None),
    ("mark()", None),
    ("if mark(DEBUG):\n    pass", None),
]


@pytest.mark.parametrize(("code", "expected"), GUARDS)
def test_guards(code: str, expected: str | None) -> None:
    found = context(code)
    node = next(item for item, _ in found.facts.outline.calls if ast.unparse(item).startswith("mark"))
    assert guarded(found.facts.outline, node) == expected


def test_files_for_development() -> None:
    assert development("settings/local.py") and development("app/dev.py") and development("examples/app.py")
    assert development("test_app.py") and development("settings_dev.py")
    assert not development("settings/production.py") and not development("app/developer.py")


ROUTES = [
    ("from flask import Flask\napp = Flask(__name__)\n@app.route('/x')\ndef f(): pass", "/x", False),
    ("from fastapi import APIRouter\nr = APIRouter()\n@r.get('/x')\nasync def f(): pass", "/x", False),
    ("from bottle import route\n@route('/x')\ndef f(): pass", "/x", False),
    ("import flask\ndef f(): pass\napp.add_url_rule('/x', view_func=f)", "/x", False),
    ("from django.urls import path\ndef f(request): pass\nurlpatterns = [path('x/', f)]", "x/", False),
    (
        "from django.urls import path\ndef f(request): pass\nurlpatterns = [path('x/', login_required(f))]",
        "x/",
        True,
    ),
    ("from aiohttp import web\nasync def f(r): pass\napp.add_routes([web.get('/x', f)])", "/x", False),
    ("from starlette.routing import Route\nasync def f(r): pass\nR = [Route('/x', f)]", "/x", False),
    (
        "import tornado.web\nclass H(tornado.web.RequestHandler):\n    def get(self): pass\na = tornado.web.Application([(r'/x', H)])",
        "/x",
        False,
    ),
    ("import fastapi\n@app.get('/x')\ndef f(u=Depends(require_admin)): pass", "/x", True),
    ("import fastapi\n@app.get('/x', dependencies=[Depends(get_current_user)])\ndef f(): pass", "/x", True),
    ("import flask\n@app.route('/x')\n@login_required\ndef f(): pass", "/x", True),
    ("import requests\n@app.get('/x')\ndef f(): pass", None, False),
    ("import flask\n@cache.get('/x').wraps\ndef f(): pass", None, False),
    ("import click, flask\n@cli.command('x')\ndef f(): pass", None, False),
]


@pytest.mark.parametrize(("code", "path", "auth"), ROUTES)
def test_routes(code: str, path: str | None, auth: bool) -> None:
    found = list(routes(context(code).facts.outline).values())
    assert [(item.path, item.guarded_by_login) for item in found] == ([(path, auth)] if path else [])
