"""What the rules about exposed debugging rest on: addresses, guards, routes, values followed one step."""

import ast

import pytest
from regions import call, context

from perflint.analysis.exposure.django import lets_everybody_in, settings_kind, settled
from perflint.analysis.exposure.dumps import handed_out
from perflint.analysis.exposure.guards import conditional, development, guarded
from perflint.analysis.exposure.hosts import address, loopback, reach
from perflint.analysis.exposure.routes import routes
from perflint.analysis.exposure.servers import debugging, listening
from perflint.analysis.exposure.startup import moment
from perflint.analysis.exposure.values import UNKNOWN, call_at, passed, value


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
    ("if request.args.get('debug'):\n    mark()", None),
    ("if 'profile' in self.request.query_params:\n    mark()", None),
    ("if not spans_enabled:\n    pass\nelse:\n    mark()", "switch"),
    ("if enable_profiler:\n    mark()", "switch"),
    ("import os\nA = os.getenv('A')\ndef f():\n    if A:\n        mark()", "environment"),
    ("A = 1\nif A:\n    mark()", None),
    ("if settings.DEBUG and request.args.get('x'):\n    mark()", "switch"),
]


@pytest.mark.parametrize(("code", "expected"), GUARDS)
def test_guards(code: str, expected: str | None) -> None:
    found = context(code)
    node = next(item for item, _ in found.facts.outline.calls if ast.unparse(item).startswith("mark"))
    assert guarded(found.facts.outline, node) == expected


CONDITIONS = [
    ("mark()", False),
    ("if x:\n    mark()", True),
    ("if __name__ == '__main__':\n    mark()", False),
    ("def f():\n    if x:\n        return\n    mark()", True),
    ("x and mark()", True),
    ("for x in y:\n    mark()", False),
]


@pytest.mark.parametrize(("code", "expected"), CONDITIONS)
def test_conditions(code: str, expected: bool) -> None:
    outline = context(code).facts.outline
    node = next(item for item, _ in outline.calls if ast.unparse(item).startswith("mark"))
    assert conditional(outline, node) is expected


def test_files_for_development() -> None:
    assert development("settings/local.py") and development("app/dev.py") and development("examples/app.py")
    assert development("test_app.py") and development("settings_dev.py")
    assert development("examples/chat/main.py") and development("docs_src/a/b.py")
    assert not development("settings/production.py") and not development("app/developer.py")
    assert not development("app/debug.py") and not development("examples/a/b/main.py")


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


ADDRESSES = [
    ("run('0.0.0.0')", "0.0.0.0", "run('127.0.0.1')"),
    ('run("[::]:80")', "[::]:80", 'run("127.0.0.1:80")'),
    ("run(f'0.0.0.0:{p}')", "0.0.0.0:0", "run(f'127.0.0.1:{p}')"),
    ("run(('', 80))", "", "run(('127.0.0.1', 80))"),
    ("run(['0.0.0.0:80'])", "0.0.0.0:80", "run(['127.0.0.1:80'])"),
    ("H = '0.0.0.0'\nrun(H)", "0.0.0.0", "H = '127.0.0.1'\nrun(H)"),
    ("H = '0.0.0.0'\nprint(H)\nrun(H)", "0.0.0.0", None),
    ("__all__ = ['H']\nH = '0.0.0.0'\nrun(H)", "0.0.0.0", None),
    ("run('0.0.' '0.0')", "0.0.0.0", None),
    ("run(f'{h}:80')", UNKNOWN, None),
    ("run(h)", UNKNOWN, None),
]


@pytest.mark.parametrize(("code", "host", "fixed"), ADDRESSES)
def test_addresses_and_their_loopback(code: str, host: object, fixed: str | None) -> None:
    found = context(code)
    known = call_at(found, call(found, "run("))
    argument = known.node.args[0]
    assert address(found.facts.outline, argument, known.home) == host
    fix = loopback(found.facts.outline, argument, known.home)
    text = None
    if fix is not None:
        (edit,) = fix.edits
        text = code[: edit.span.start] + edit.text + code[edit.span.end :]
    assert text == fixed


PASSED = [
    ("run(1)", "1"),
    ("run(a=1)", "1"),
    ("run(b=1)", None),
    ("run(**{'a': 1})", "1"),
    ("O = dict(a=1)\nrun(**O)", "1"),
    ("O = dict(b=1)\nrun(**O)", None),
    ("run(**other)", UNKNOWN),
    ("run(*other)", UNKNOWN),
    ("run(*other, a=1)", "1"),
]


@pytest.mark.parametrize(("code", "expected"), PASSED)
def test_what_a_call_passes(code: str, expected: object) -> None:
    found = context(code)
    given = passed(found.facts.outline, call_at(found, call(found, "run(")), "a", 0)
    assert (ast.unparse(given) if isinstance(given, ast.expr) else given) == expected


MOMENTS = [
    ("mark()", "import"),
    ("class A:\n    mark()", "import"),
    ("def create_app():\n    mark()", "start-up"),
    ("async def lifespan(app):\n    mark()", "start-up"),
    ("@app.on_event('startup')\ndef f():\n    mark()", "start-up"),
    ("@app.on_event('shutdown')\ndef f():\n    mark()", None),
    ("def f():\n    mark()", None),
    ("if __name__ == '__main__':\n    mark()", None),
    ("import flask\nif __name__ == '__main__':\n    mark()", "start-up"),
    ("class A(AppConfig):\n    def ready(self):\n        mark()", None),
    (
        "from django.apps import AppConfig\nclass A(AppConfig):\n    def ready(self):\n        mark()",
        "start-up",
    ),
]


@pytest.mark.parametrize(("code", "expected"), MOMENTS)
def test_when_code_runs(code: str, expected: str | None) -> None:
    outline = context(code).facts.outline
    node, home = next((item, home) for item, home in outline.calls if ast.unparse(item) == "mark()")
    assert moment(outline, node, home) == expected


DUMPS = [
    ("return gc.get_objects()", "gc.get_objects()"),
    ("x = gc.get_objects()\n    return x[:3]", "gc.get_objects()"),
    ("out = []\n    for o in gc.get_objects():\n        out.append(o)\n    return out", "gc.get_objects()"),
    ("return len(gc.get_objects())", None),
    ("n = len(gc.get_objects())\n    return n", None),
    ("x = gc.get_objects()\n    log.info(x)\n    return json.dumps(1)", None),
    ("response.text = str(gc.get_objects())", "gc.get_objects()"),
    ("self.write(gc.get_stats())", "gc.get_stats()"),
    ("out.write(gc.get_stats())", None),
    ("return helper()", "gc.get_referrers()"),
    ("return run_in_executor(None, helper)", "gc.get_referrers()"),
    ("return subprocess.run(['py-spy', 'dump'])", "py-spy"),
    ("yield gc.get_objects()", "gc.get_objects()"),
    ("gc.collect()\n    return 1", None),
]


@pytest.mark.parametrize(("body", "expected"), DUMPS)
def test_what_a_function_hands_out(body: str, expected: str | None) -> None:
    code = f"import gc, json, subprocess\ndef helper():\n    return gc.get_referrers(1)\ndef f(self):\n    {body}\n"
    outline = context(code).facts.outline
    found = handed_out(outline, outline.functions["f"][0])
    assert (found.what if found else None) == expected


def test_settings_of_django() -> None:
    assert settings_kind("shop/settings.py") == settings_kind("shop/settings/__init__.py") == "settings"
    assert (
        settings_kind("shop/settings/base.py") == "base" and settings_kind("config/prod.py") == "production"
    )
    assert settings_kind("shop/models.py") is None and settings_kind("shop/base.py") is None
    assert (
        lets_everybody_in(("localhost", "*")) == "*"
        and lets_everybody_in((".example.org",)) == ".example.org"
    )
    assert (
        lets_everybody_in(("localhost", "10.0.0.1", ".local")) is None and lets_everybody_in(UNKNOWN) is None
    )
    assert settled(context("from .base import *\nDEBUG = True").facts.outline, "DEBUG") is True
    assert settled(context("DEBUG = True\nfrom .local import *").facts.outline, "DEBUG") is UNKNOWN
    assert settled(context("DEBUG = True\nDEBUG = False").facts.outline, "DEBUG") is UNKNOWN


SERVERS = [
    ("import flask\napp = flask.Flask('a')\napp.run('0.0.0.0', debug=True)", "public", "debug=True"),
    ("import flask\napp = flask.Flask('a')\napp.debug = True\napp.run('::')", "public", "app.debug = True"),
    ("import flask\napp = flask.Flask('a')\napp.run()", "local", None),
    ("import flask\nclass A(flask.Flask): pass\napp = A('a')\napp.run('', debug=1)", "public", "debug=1"),
    (
        "import uvicorn, fastapi\na = fastapi.FastAPI(debug=True)\nuvicorn.run(a, host='::')",
        "public",
        "debug=True",
    ),
    ("import tornado.web as w\nw.Application([], debug=True).listen(80)", "public", "debug=True"),
    ("from aiohttp import web\nweb.run_app(a)", "public", None),
    ("from aiohttp import web\nweb.run_app(a, path='/run/a')", "unknown", None),
    ("import flask\napp = flask.Flask('a')\napp.run(host, debug=True)", "unknown", "debug=True"),
]


@pytest.mark.parametrize(("code", "where", "switch"), SERVERS)
def test_servers(code: str, where: str, switch: str | None) -> None:
    found = context(code)
    calls = [call(found, text) for text in (".run(", ".listen(", ".run_app(") if text in code]
    server = listening(found, calls[0])
    assert server is not None and server.reach == where
    assert debugging(found, server) == switch
