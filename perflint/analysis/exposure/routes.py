"""The functions of a file that a web application serves, with their paths: decorators, tables, registrations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from perflint.analysis.exposure.values import value
from perflint.analysis.outline import Definition, FunctionNode, Home, Outline, callee, leaf
from perflint.analysis.sketch import Sketch

FRAMEWORKS = frozenset(
    {"flask", "quart", "fastapi", "starlette", "sanic", "bottle", "aiohttp", "django", "tornado", "falcon"}
    | {
        "litestar",
        "pyramid",
        "blacksheep",
        "robyn",
        "connexion",
        "flask_restful",
        "flask_restx",
        "ninja",
        "cherrypy",
    }
    | {"rest_framework", "starlite", "hug", "molten", "dash", "nicegui"}
)
_DECORATORS = {
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "route",
    "api_route",
    "websocket",
    "view",
}
_METHODS = {  # method or function that registers -> (position of the path, position of the handler, its keyword)
    "add_url_rule": (0, 2, "view_func"),
    "add_api_route": (0, 1, "endpoint"),
    "add_route": (0, 1, "handler"),
    "add_websocket_route": (0, 1, "route"),
    "add_get": (0, 1, "handler"),
    "add_post": (0, 1, "handler"),
    "add_view": (0, 1, "view"),
    "Route": (0, 1, "endpoint"),
    "APIRoute": (0, 1, "endpoint"),
    "path": (0, 1, "view"),
    "re_path": (0, 1, "view"),
    "url": (0, 1, "view"),
}
_WEB = {"get", "post", "put", "delete", "view", "route"}  # aiohttp.web.get("/path", handler)
_AUTH = re.compile(
    r"(auth|login|admin|permission|staff|superuser|require|user|token|api_?key|credential|security|protect|secret|jwt)",
    re.I,
)
_DECORATED = re.compile(rb"@")
_DEPENDS = {"Depends", "Security"}
_SERVES = re.compile(r"^(on_)?(get|post|put|patch|delete|head)$")


class Route(NamedTuple):
    """One function that an application serves. `path` is None where it is not in sight."""

    function: FunctionNode
    path: str | None
    at: ast.expr  # the decorator or the registering call
    guarded_by_login: bool


def routes(outline: Outline) -> dict[FunctionNode, Route]:
    """Every function of the file that is registered as a route; empty where no web framework is imported."""
    return outline.once(_routes)


def _routes(outline: Outline) -> dict[FunctionNode, Route]:
    if outline.facts.packages.isdisjoint(FRAMEWORKS):
        return {}
    found = [*_decorated(outline), *_registered(outline), *_tables(outline)]
    return {route.function: route for route in reversed(found)}


def may_register(sketch: Sketch) -> bool:
    """Whether the region makes a function a route, as far as names tell."""
    if sketch.calls(*_METHODS, *(_WEB if "aiohttp" in sketch.facts.packages else ())):
        return True
    functions = sketch.functions if sketch.says(_DECORATED) else []
    decorators = (item for function in functions for item in function.decorator_list)
    return any(isinstance(item, ast.Call) and leaf(item.func) in _DECORATORS for item in decorators)


def _decorated(outline: Outline) -> Iterator[Route]:
    """`@app.get("/x")`, `@bp.route("/x")`, bottle's `@route("/x")`."""
    for function, home in outline.homes.items():
        for item in function.decorator_list:
            if isinstance(item, ast.Call) and _serves(outline, item):
                path = value(outline, item.args[0] if item.args else _keyword(item, "path"), home)
                if isinstance(path, str):
                    yield Route(function, path, item, authenticated(function, item))


def _serves(outline: Outline, call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr=name):
            return name in _DECORATORS
        case ast.Name(id=name):
            package = (outline.qualified(call.func) or "").partition(".")[0]
            return package in FRAMEWORKS and name in _DECORATORS
    return False


def _registered(outline: Outline) -> Iterator[Route]:
    """`app.add_url_rule("/x", view_func=f)`, `path("x/", f)`, `web.get("/x", f)`."""
    for call, home in outline.calls:
        places = _places(outline, call)
        if places is None:
            continue
        path, handler = (_argument(call, places[0], "path"), _argument(call, places[1], places[2]))
        for function in _handlers(outline, handler, home):
            text = value(outline, path, home)
            auth = authenticated(function, call) or (
                isinstance(handler, ast.Call) and bool(_AUTH.search(leaf(handler.func)))
            )
            yield Route(function, text if isinstance(text, str) else None, call, auth)


def _places(outline: Outline, call: ast.Call) -> tuple[int, int, str] | None:
    name = leaf(call.func)
    qualified = outline.qualified(call.func) or ""
    if qualified.startswith("aiohttp.web.") and name in _WEB:
        return 0, 1, "handler"
    if name in _METHODS and (
        isinstance(call.func, ast.Attribute) or qualified.partition(".")[0] in FRAMEWORKS
    ):
        return _METHODS[name]
    return None


def _handlers(outline: Outline, node: ast.expr | None, home: Home) -> Iterator[FunctionNode]:
    """The functions that a registered name stands for: a function, a decorated one, or a class's `get`, `on_get`, .."""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr="as_view")):
            yield from _handlers(outline, inner, home)
            return
        case ast.Call(args=[inner]) if outline.referred(node, home) is None:  # login_required(view)
            yield from _handlers(outline, inner, home)
            yield from _methods(outline, leaf(node.func))
            return
        case None:
            return
    function = outline.referred(node, home)
    if function is not None:
        yield function
    yield from _methods(outline, leaf(node))


def _methods(outline: Outline, name: str) -> Iterator[FunctionNode]:
    for owner in outline.classes.get(name, ()):
        yield from (item for item in owner.body if isinstance(item, Definition) and _SERVES.match(item.name))


def _tables(outline: Outline) -> Iterator[Route]:
    """Tornado's `Application([(r"/x", Handler)])`."""
    if "tornado" not in outline.facts.packages:
        return
    for node in ast.walk(outline.facts.tree):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(path)), ast.Name(id=name), *_]):
                for function in _methods(outline, name):
                    yield Route(function, path, node, authenticated(function, node))


def authenticated(function: FunctionNode, registration: ast.expr) -> bool:
    """Whether a decorator, a dependency or the registration asks who is calling."""
    if any(item is not registration and _AUTH.search(_name(item)) for item in function.decorator_list):
        return True
    arguments = function.args
    defaults = [*arguments.defaults, *(item for item in arguments.kw_defaults if item is not None)]
    annotations = [
        item.annotation for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    ]
    parts = [*defaults, *(item for item in annotations if item is not None), registration]
    return any(asked_by(item) for item in parts)


def asked_by(node: ast.AST) -> bool:
    """Whether the expression holds a dependency that asks who is calling: `dependencies=[Depends(require_admin)]`."""
    return any(_depends(part) for part in ast.walk(node))


def asks_who(word: str) -> bool:
    """Whether a name speaks of who is calling: `require_admin`, `current_user`, `api_key`."""
    return bool(_AUTH.search(word))


def _depends(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=function, args=[inner, *_]) if leaf(function) in _DEPENDS:
            return bool(_AUTH.search(_name(inner)))
    return False


def _name(node: ast.expr) -> str:
    return leaf(callee(node))


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((item.value for item in call.keywords if item.arg == name), None)


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    return call.args[position] if len(call.args) > position else _keyword(call, name)
