"""What a call that starts a server binds to, and whether the application behind it debugs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis.exposure.frameworks import CONSOLE, CONSTRUCTORS, FUNCTIONS, METHODS, Server
from perflint.analysis.exposure.guards import guarded
from perflint.analysis.exposure.hosts import Reach, address, reach
from perflint.analysis.exposure.values import UNKNOWN, Call, call_at, entries, expression, passed, value
from perflint.analysis.match import last_name
from perflint.analysis.objects import Made
from perflint.analysis.outline import Home, Outline, is_none, leaf
from perflint.analysis.rule import Context

_NAMES = {name for _, name in METHODS} | {name.rpartition(".")[2] for name in FUNCTIONS}
_APPLICATION = re.compile(r"(^|_)(app|application|server|api|web|socketio|sio)$", re.I)
_FACTORY = re.compile(
    r"^(create|make|get|build|init)_\w*(app|application|server|api)\w*$|^app_factory$", re.I
)
_TELLING = {"host", "debug"}  # with both, `run` starts a server
_UNPROVED = Server(switches={"debug": None}, shows="debug pages")  # `from shop import app`


class Listening(NamedTuple):
    """A server that a call starts."""

    server: Server
    call: Call
    host: ast.expr | None  # the address, where one is given
    reach: Reach
    app: str  # the application as it is written, `shop.app`
    made: Made | None  # the application, where it is in sight


def listening(context: Context, node: cst.Call) -> Listening | None:
    """The server that a call starts, or None where it is no such call."""
    if last_name(node.func) not in _NAMES:
        return None
    function = context.objects.function(node.func)
    method = context.objects.method(node)
    server = METHODS.get(method) if method is not None else FUNCTIONS.get(function or "")
    words = {item.keyword.value for item in node.args if item.keyword is not None}
    if server is None and (method is not None or not words >= _TELLING):
        return None
    call = call_at(context, node)
    if call is None:
        return None
    server = server or _unproved(context, node, call)
    return _placed(context, node, call, server) if server is not None else None


def _unproved(context: Context, node: cst.Call, call: Call) -> Server | None:
    """`app.run(host=.., debug=..)` of an application that another file, or a factory, makes."""
    outline = context.facts.outline
    match call.node.func:
        case ast.Attribute(value=receiver, attr="run" | "run_server"):
            imported = outline.qualified(receiver, call.home.bound)
            if _APPLICATION.search((imported or leaf(receiver)).rpartition(".")[2]) and (
                imported or _from_factory(outline, receiver, call.home)
            ):
                return _UNPROVED
    return None


def _from_factory(outline: Outline, receiver: ast.expr, home: Home) -> bool:
    """Whether the name is what `create_app()` returned."""
    made = expression(outline, receiver, home)
    if isinstance(made, ast.Tuple) and made.elts:  # app, socketio = create_app()
        return False
    return isinstance(made, ast.Call) and bool(_FACTORY.search(leaf(made.func)))


def _placed(context: Context, node: cst.Call, call: Call, server: Server) -> Listening | None:
    outline = context.facts.outline
    host = passed(outline, call, server.keyword, server.host)
    if server.keyword == "config" and isinstance(host, ast.expr):
        host = _bound(outline, host, call.home)
    app = passed(outline, call, "app", server.app) if server.app is not None else _receiver(call)
    if app is UNKNOWN or not (app is None or isinstance(app, ast.expr)):
        return None
    made = _made(context, node, server, app, call.home)
    where: Reach = "unknown"
    if host is None or is_none(host):
        where = "public" if server.public else "local"
        if passed(outline, call, "unix") or passed(outline, call, "path") or passed(outline, call, "sock"):
            where = "unknown"
    elif isinstance(host, ast.expr):
        where = reach(address(outline, host, call.home))
    host = host if isinstance(host, ast.expr) else None
    return Listening(server, call, host, where, ast.unparse(app) if app is not None else "", made)


def _receiver(call: Call) -> ast.expr | None:
    return call.node.func.value if isinstance(call.node.func, ast.Attribute) else None


def _made(context: Context, node: cst.Call, server: Server, app: ast.expr | None, home: Home) -> Made | None:
    objects = context.objects
    if server.app is None and isinstance(node.func, cst.Attribute):
        made = objects.of(node.func.value)
        if made is not None and made.type == "tornado.httpserver.HTTPServer" and made.calls:
            inner = made.calls[0].args
            return objects.elsewhere(inner[0], home) if inner else None
        return made
    match app:
        case ast.Constant(value=str(text)):  # uvicorn.run("shop:app")
            return objects.elsewhere(ast.Name(text.rpartition(":")[2]), Home())
        case ast.expr():
            return objects.elsewhere(app, home)
    return None


def _bound(outline: Outline, config: ast.expr, home: Home) -> ast.expr | None:
    """What the file assigns to the `bind` of hypercorn's configuration."""
    name = f"{ast.unparse(config)}.bind"
    found = [item for target, item, where in assignments(outline) if target == name and _sees(home, where)]
    return found[0] if len(found) == 1 else ast.Name("?")


def _sees(home: Home, where: Home) -> bool:
    """Whether what is set in one place holds in the other: the same function, one around it, or class."""
    return where.function is None or where.function in home.functions or where.owner is home.owner is not None


def debugging(context: Context, found: Listening) -> str | None:
    """What turns debugging on for a server, as it is written: `debug=True`. None where it is off, or unknown."""
    outline, call = context.facts.outline, found.call
    told = False
    for name, position in found.server.switches.items():
        given = passed(outline, call, name, position)
        if given is UNKNOWN:
            return None
        if isinstance(given, ast.expr) and not is_none(given):
            if on(value(outline, given, call.home)):
                return f"{name}={ast.unparse(given)}"
            told = told or name == "debug"
    if told:
        return None
    return _assigned(outline, found) or _constructed(context, found) or _of_module(outline, found)


def reloading(context: Context, found: Listening) -> bool:
    """Whether the call asks for a reloader."""
    if not found.server.reload:
        return False
    given = passed(context.facts.outline, found.call, found.server.reload)
    return isinstance(given, ast.expr) and on(value(context.facts.outline, given, found.call.home))


def on(found: object) -> bool:
    """Whether a switch is surely on."""
    return found is not UNKNOWN and not isinstance(found, str) and bool(found)


def _constructed(context: Context, found: Listening) -> str | None:
    """`FastAPI(debug=True)`, `Application(handlers, debug=True)`."""
    made = found.made
    outline = context.facts.outline
    for name in CONSTRUCTORS.get(made.type, ()) if made is not None else ():
        calls = _constructors(outline, made, found.call.home) if made is not None else []
        given = [passed(outline, call, name) for call in calls]
        if given and all(
            isinstance(item, ast.expr) and on(value(outline, item, call.home))
            for item, call in zip(given, calls, strict=True)
        ):
            return f"{name}=True"
    return None


def _constructors(outline: Outline, made: Made, near: Home) -> list[Call]:
    """Where the application is made: calls of the same words, those of the same function alone if there are some."""
    if made.subclass is None:
        own = {ast.dump(call) for call in made.calls}
        alike = [Call(node, home) for node, home in outline.calls if ast.dump(node) in own]
        return [item for item in alike if item.home.function is near.function] or alike
    method = outline.method(made.subclass, "__init__")
    return [
        Call(node, home)
        for node, home in outline.calls
        if method is not None and home.function is method and leaf(node.func) == "__init__"
    ]


def _assigned(outline: Outline, found: Listening) -> str | None:
    """`app.debug = True`, `app.config["DEBUG"] = True` for the application that is served."""
    app, shows = found.app, found.server.shows
    if not app:
        return None
    settings = {f"{app}.debug": f"{app}.debug = True"}
    if shows == CONSOLE or found.made is None or found.made.type == "quart.Quart":
        settings[f"{app}.config['DEBUG']"] = f'{app}.config["DEBUG"] = True'
    held = [
        (settings[target], on(value(outline, item, where)))
        for target, item, where in assignments(outline)
        if target in settings and _sees(found.call.home, where)
    ]
    return held[0][0] if held and all(known for _, known in held) else None


def _of_module(outline: Outline, found: Listening) -> str | None:
    """`bottle.debug(True)`, which every application of the process obeys; Dash's `enable_dev_tools(debug=True)`."""
    for node, home in outline.calls:
        if guarded(outline, node) is not None:
            continue
        kind = found.made.type if found.made is not None else ""
        if "bottle" in outline.facts.packages and outline.qualified(node.func) == "bottle.debug":
            if not node.args or on(value(outline, node.args[0], home)):
                return "bottle.debug()"
        elif kind == "dash.Dash" and leaf(node.func) == "enable_dev_tools":
            given = passed(outline, Call(node, home), "debug", 0)
            if isinstance(given, ast.expr) and on(value(outline, given, home)):
                return "enable_dev_tools(debug=True)"
    return None


def assignments(outline: Outline) -> list[tuple[str, ast.expr, Home]]:
    """(target, value, home) of what the file sets on objects, by text: `app.debug`, `app.config['DEBUG']`.

    A setting that stands behind a switch counts as unknown.
    """
    return outline.once(_assignments)


def _assignments(outline: Outline) -> list[tuple[str, ast.expr, Home]]:
    return [
        (target, item if guarded(outline, node) is None else ast.Name("?"), home)
        for node, home in outline.placed
        for target, item in _settings(outline, node)
    ]


def _settings(outline: Outline, node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=item):
            for target in targets:
                if isinstance(target, (ast.Attribute, ast.Subscript)):
                    yield ast.unparse(target), item
        case ast.Call(
            func=ast.Attribute(value=owner, attr="update" | "from_mapping"), args=args, keywords=words
        ):
            held = {str(word.arg): word.value for word in words if word.arg}
            for item in args:
                held.update(entries(item) or {})
            for key, item in held.items():
                yield f"{ast.unparse(owner)}[{key!r}]", item
        case ast.Call(func=ast.Attribute(value=owner, attr="from_object"), args=[ast.Name(id=name)]):
            for settings in outline.classes.get(name, ()):
                for store in outline.attribute(settings, "DEBUG"):
                    yield f"{ast.unparse(owner)}['DEBUG']", store.value or ast.Name("?")
