"""The pages of an application that show its inside: who serves them, and what stands before them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Literal, NamedTuple

from perflint.analysis.concurrency.roles import Roles
from perflint.analysis.exposure.dumps import handed_out
from perflint.analysis.exposure.guards import guarded
from perflint.analysis.exposure.hosts import address, reach
from perflint.analysis.exposure.routes import FRAMEWORKS, Route, asked_by, asks_who, authenticated, routes
from perflint.analysis.exposure.values import expression, value
from perflint.analysis.outline import FunctionNode, Outline, callee, decorators, leaf, own_nodes

Kind = Literal["data", "figures", "path", "mount", "code", "server"]

# Words that no page for visitors has in its path; `/profile` and `/threads` are such pages, and `/debug/<project>` is
# about somebody's project.
_PATH = re.compile(r"(^|/)_*(debug|pprof|heapdump|profiler|profiling|tracemalloc)(/(?!.*[<{])|$)", re.I)
_MODULE = re.compile(r"(^|[._])(debug|pprof|profiler|profiling)([._]|$)", re.I)
MOUNTS = {"mount": 1, "include_router": 0, "register_blueprint": 0, "add_router": 1}
_CALLER = re.compile(r"^(auth|current|request)_?user(_id)?$|^user$")  # `request.state.auth_user`
_MIDDLEWARE = {"middleware", "after_request", "before_request", "after_app_request", "before_app_request"}
_PASSES = {"dispatch", "__call__", "process_response", "process_request", "process_view"}
_SERVERS = {f"http.server.{name}" for name in ("HTTPServer", "ThreadingHTTPServer")} | {
    f"socketserver.{name}" for name in ("TCPServer", "ThreadingTCPServer")
}


_PLAIN = FRAMEWORKS | sys.stdlib_module_names | {"psutil"}


class Page(NamedTuple):
    """One call that shows something, or one registration that looks like it."""

    at: ast.expr
    kind: Kind
    what: str  # the primitive, or the path
    login: bool  # only those see it who have proved who they are


def pages(outline: Outline) -> dict[ast.expr, Page]:
    """All of a file, by the call to report."""
    return outline.once(_pages)


def _pages(outline: Outline) -> dict[ast.expr, Page]:
    found = [*_plain_servers(outline)]
    if not outline.facts.packages.isdisjoint(FRAMEWORKS):
        served = list(_served(outline))
        found += [page for function, route in served for page in _of(outline, function, route)]
        found += _mounts(outline)
    return {page.at: page for page in reversed(found)}


def _served(outline: Outline) -> Iterator[tuple[FunctionNode, Route | None]]:
    """Every function that visitors reach: routes, views by their signature, middleware."""
    registered, roles = routes(outline), outline.once(Roles)
    for function, home in outline.homes.items():
        if function in registered:
            yield function, registered[function]
            continue
        hook = decorators(function) & _MIDDLEWARE
        owner = home.owner.name if home.owner is not None else ""
        passed = function.name in _PASSES and owner.endswith("Middleware")
        passed = passed or [item.arg for item in function.args.args[-2:]] == ["request", "call_next"]
        if hook or passed or (roles.handler(function) and not function.name.startswith("do_")):
            yield function, None


def _of(outline: Outline, function: FunctionNode, route: Route | None) -> Iterator[Page]:
    if switched(outline, function, route):
        return
    shown = handed_out(outline, function)
    if shown is not None:
        if guarded(outline, shown.node) is None:
            kind: Kind = "figures" if shown.figures else "data"
            yield Page(shown.node, kind, shown.what, behind_login(outline, function, route))
        return
    if route is not None:
        ran = next(_runs(outline, function), None)
        if ran is not None and guarded(outline, ran) is None:
            yield Page(ran, "code", f"{leaf(ran.func)}()", behind_login(outline, function, route))
        elif _looks_so(outline, function, route):
            yield Page(route.at, "path", route.path or "", False)


def _looks_so(outline: Outline, function: FunctionNode, route: Route) -> bool:
    """Whether the path speaks of debugging, and a call that is not in sight makes the page for everybody."""
    named = route.path is not None and _PATH.search(route.path) is not None
    if guarded(outline, function.body[-1]):
        return False
    return named and _asks_elsewhere(outline, function) and not behind_login(outline, function, route)


def switched(outline: Outline, function: FunctionNode, route: Route | None) -> bool:
    """Whether the function, its registration, or the mounting of its router stands behind a switch."""
    home = outline.homes[function]
    if guarded(outline, function) or (route is not None and guarded(outline, route.at)):
        return True
    for outer in home.functions:  # def register(app): ..   if DEBUG: register(app)
        calls = [node for node, _ in outline.calls if leaf(node.func) == outer.name]
        if calls and all(guarded(outline, call) for call in calls):
            return True
    mounts = list(_mountings(outline, _router(route)))
    return bool(mounts) and all(guarded(outline, call) for call in mounts)


def behind_login(outline: Outline, function: FunctionNode, route: Route | None) -> bool:
    """Whether somebody asks who is calling: the route, its parameters, its body, its router."""
    if route is not None and route.guarded_by_login:
        return True
    if route is None and authenticated(function, ast.Constant(None)):
        return True
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    if any(asks_who(item.arg) or asks_who(_word(item.annotation)) for item in arguments):
        return True
    for node in own_nodes(function):
        match node:
            case ast.If(test=test) if any(asks_who(_word(part)) for part in ast.walk(test)):
                return True
            case ast.Call(func=called) if asks_who(leaf(called)):
                return True
            case ast.Attribute(attr=name) if _CALLER.match(name):
                return True
    return _router_asks(outline, function, route)


def _router_asks(outline: Outline, function: FunctionNode, route: Route | None) -> bool:
    router = _router(route)
    if router is None:
        return False
    made = expression(outline, router, outline.homes[function])
    around = [item for item in (made, *_mountings(outline, router)) if isinstance(item, ast.Call)]
    if any(asked_by(call) for call in around):
        return True
    hooks = (item for name in outline.functions for item in outline.functions[name] if asks_who(name))
    name = ast.unparse(router)
    return any(
        ast.unparse(callee(item)) == f"{name}.before_request"
        for hook in hooks
        for item in hook.decorator_list
    )


def _router(route: Route | None) -> ast.expr | None:
    """What a function is registered on: `debug_router` of `@debug_router.get("/heap")`."""
    match route:
        case Route(at=ast.Call(func=ast.Attribute(value=ast.Name() as owner))):
            return owner
    return None


def _mountings(outline: Outline, router: ast.expr | None) -> Iterator[ast.Call]:
    if isinstance(router, ast.Name):
        for call, _ in outline.calls:
            place = MOUNTS.get(leaf(call.func))
            if place is not None and any(
                isinstance(item, ast.Name) and item.id == router.id for item in call.args
            ):
                yield call


def _mounts(outline: Outline) -> Iterator[Page]:
    """`app.include_router(debug.router)`, `app.mount("/debug", pages)` of what another file makes."""
    for call, home in outline.calls:
        place = MOUNTS.get(leaf(call.func))
        if place is None or not isinstance(call.func, ast.Attribute) or len(call.args) <= place:
            continue
        name = outline.qualified(call.args[place], home.bound)
        path = value(outline, call.args[0], home) if place else None
        named = name is not None and _MODULE.search(name)
        if not named and not (name is not None and isinstance(path, str) and _PATH.search(path)):
            continue
        if guarded(outline, call) is None and not asked_by(call):
            yield Page(call, "mount", path if isinstance(path, str) else ast.unparse(call.args[place]), False)


def _runs(outline: Outline, function: FunctionNode) -> Iterator[ast.Call]:
    """`eval` and `exec` of what the request brings."""
    arguments = function.args
    brought = {item.arg for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)} - {
        "self"
    }
    brought.add("request")
    nodes = list(own_nodes(function))
    for node in nodes:
        if isinstance(node, ast.Assign) and not brought.isdisjoint(_names(node.value)):
            brought.update(target.id for target in node.targets if isinstance(target, ast.Name))
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name), args=[code, *_]):
                if name not in outline.facts.shadows and not brought.isdisjoint(_names(code)):
                    yield node


def _asks_elsewhere(outline: Outline, function: FunctionNode) -> bool:
    """Whether the page is made by a call that is not in sight: of neither this file, the framework nor Python."""
    names = (outline.qualified(node.func) for node in own_nodes(function) if isinstance(node, ast.Call))
    return any(name is not None and name.partition(".")[0] not in _PLAIN for name in names)


def _plain_servers(outline: Outline) -> Iterator[Page]:
    """A server of `http.server` on a public address whose handler shows such data."""
    for call, home in outline.calls:
        if outline.qualified(call.func) not in _SERVERS or len(call.args) < 2:
            continue
        if reach(address(outline, call.args[0], home)) != "public" or guarded(outline, call):
            continue
        for owner in outline.classes.get(leaf(call.args[1]), ()):
            method = outline.method(owner, "do_GET")
            shown = handed_out(outline, method) if method is not None else None
            if method is not None and shown is not None and guarded(outline, shown.node) is None:
                yield Page(shown.node, "server", shown.what, behind_login(outline, method, None))


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _word(node: ast.AST | None) -> str:
    if isinstance(node, ast.Subscript):
        return _word(node.value)
    return leaf(node)
