"""A debugger or console listens on every address.

Whoever connects to a remote debugger runs Python in the process, with its files, its secrets and
its network. None of these asks for a password: the only lock is the address.

Bad:

    import debugpy

    debugpy.listen(("0.0.0.0", 5678))

Good:

    import debugpy

    debugpy.listen(("127.0.0.1", 5678))

Known are debugpy, ptvsd, remote-pdb, rpdb, web-pdb, pudb, celery's rdb, aiomonitor, the backdoors
of gevent and eventlet, rpyc's servers of the slave and classic services, and Jupyter's settings
where the token is switched off. `web_pdb.set_trace()`, `ptvsd.enable_attach()` and rpyc's servers
listen on every address when they get none. Behind a switch, or in a file for development, it is a
warning: laptops sit in open networks. Behind an environment variable it is info.

Info as well: managers of multiprocessing on a public address, which unpickle what anybody with the
key sends, and `logging.config.listen` without `verify`, which runs what any user of the machine
sends.

Not flagged: a port alone (`debugpy.listen(5678)` is 127.0.0.1), clients (`pydevd.settrace`), unix
sockets (manhole), addresses that come from elsewhere, tests.

The fix is unsafe: a tunnel that ends outside of the container or machine stops working. From afar,
`ssh -L 5678:127.0.0.1:5678 host` reaches 127.0.0.1.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.exposure.consoles import CONSOLES, MANAGERS, RPYC, RPYC_SERVICES, VARIABLES, Console
from perflint.analysis.exposure.guards import development, guarded
from perflint.analysis.exposure.hosts import address, loopback, reach
from perflint.analysis.exposure.values import UNKNOWN, Call, call_at, passed, value
from perflint.analysis.gates import Gate
from perflint.analysis.outline import Home, Outline, leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_SETTINGS = ("App.ip", *VARIABLES)


def _hopeful(sketch: Sketch) -> bool:
    places = (item for node in sketch.of(ast.Assign) for item in node.targets)
    held = [ast.unparse(item) for item in places if isinstance(item, (ast.Attribute, ast.Subscript))]
    if any(word in text for text in held for word in _SETTINGS):
        return True
    if sketch.calls_to(*CONSOLES, *MANAGERS, "logging.config.listen"):
        return True
    names = {call.func.id for call in sketch.of(ast.Call) if isinstance(call.func, ast.Name)}
    return any(name.endswith("Manager") and _manager(sketch.facts.outline, name) for name in names)


rule = Rule(
    code="PRF703",
    name="debugger-listens-publicly",
    summary="a remote debugger on a public address runs anybody's code",
    category="debug",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=tuple(word.encode() for word in _SETTINGS),
        names=(*CONSOLES, *MANAGERS, "logging.config.listen"),
        beside=(("multiprocessing", b"Manager("),),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)

_EVERYWHERE = "every address"


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    function = context.objects.function(node.func) or ""
    console = CONSOLES.get(function)
    if console is None:
        yield from _lesser(node, function, context)
        return
    call = call_at(context, node)
    if call is None or not _opens(context.facts.outline, call, console, function):
        return
    outline = context.facts.outline
    host = _host(outline, call, console)
    if host is UNKNOWN:
        return
    if isinstance(host, ast.expr):
        where = address(outline, host, call.home)
        if reach(where) != "public":
            return
        fix, shown = loopback(outline, host, call.home), f"`{where}`" if where else _EVERYWHERE
    elif console.public:
        fix, shown = _insert(node, context, console), _EVERYWHERE
    else:
        return
    gives = "gives arbitrary code execution to anyone who can reach"
    message = f"`{console.name}` {gives} {shown}; bind to 127.0.0.1"
    if shown == _EVERYWHERE:
        message = f"`{console.name}` listens on every address and {gives} it; bind to 127.0.0.1"
    yield rule.finding(context, node, message, fix, _severity(context, call.node))


def _opens(outline: Outline, call: Call, console: Console, function: str) -> bool:
    """Whether strangers get in: rpyc's servers run code for two services alone, and may ask who is there."""
    if console.secret and passed(outline, call, console.secret) is not None:
        return False
    if function in RPYC:
        service = passed(outline, call, "service", 0)
        return isinstance(service, ast.expr) and leaf(service) in RPYC_SERVICES
    return True


def _host(outline: Outline, call: Call, console: Console) -> object:
    """The expression of the address; None where none is given."""
    host = passed(outline, call, console.keyword, console.position)
    if not console.listens:
        return host
    match host:
        case ast.Call(func=function, args=[inner, *_]) if outline.qualified(function) == console.listens:
            return inner
    return UNKNOWN


def _insert(node: cst.Call, context: Context, console: Console) -> Fix | None:
    """Add the address to a call that has no positional arguments."""
    if any(item.keyword is None for item in node.args) or context.tree.comments(context.tree.span(node)):
        return None
    pair = '("127.0.0.1", 5678)' if console.keyword == "address" else '"127.0.0.1"'
    at = context.tree.span(node.args[0]).start if node.args else context.tree.span(node).end - 1
    text = f"{console.keyword}={pair}" + (", " if node.args else "")
    return Fix("Bind to 127.0.0.1", (Edit(Span(at, at), text),), Applicability.UNSAFE)


def _severity(context: Context, node: ast.AST) -> Severity:
    by = guarded(context.facts.outline, node)
    if by == "environment":
        return Severity.INFO
    return Severity.WARNING if by or development(context.source.path) else Severity.ERROR


def _lesser(node: cst.Call, function: str, context: Context) -> Iterator[Finding]:
    """What needs a key, or an account on the machine, before it runs code."""
    outline = context.facts.outline
    if function == "logging.config.listen":
        call = call_at(context, node)
        if call is not None and passed(outline, call, "verify", 1) is None:
            message = "`logging.config.listen` runs code for any user of this machine; give it a `verify`"
            yield rule.finding(context, node, message, severity=Severity.INFO)
        return
    name = node.func.value if isinstance(node.func, cst.Name) else ""
    if function not in MANAGERS and not (name.endswith("Manager") and _manager(outline, name)):
        return
    call = call_at(context, node)
    host = passed(outline, call, "address", 0) if call is not None else None
    if call is None or not isinstance(host, ast.expr) or _connects(outline, call.node):
        return
    if reach(address(outline, host, call.home)) == "public":
        shown = function.rpartition(".")[2] or name
        message = f"`{shown}` on a public address runs code for anyone who knows its key; bind to 127.0.0.1"
        yield rule.finding(context, node, message, loopback(outline, host, call.home), Severity.INFO)


def _connects(outline: Outline, call: ast.Call) -> bool:
    """Whether the manager is a client: `m = QueueManager(address=..)` and then `m.connect()`."""
    above = outline.parents.get(call)
    if isinstance(above, ast.Attribute):
        return above.attr == "connect"
    names = {ast.unparse(item) for item in above.targets} if isinstance(above, ast.Assign) else set()
    used = (item.func for item, _ in outline.calls if isinstance(item.func, ast.Attribute))
    return any(item.attr == "connect" and ast.unparse(item.value) in names for item in used)


def _manager(outline: Outline, name: str) -> bool:
    classes = outline.classes.get(name, ())
    return len(classes) == 1 and not MANAGERS.isdisjoint(outline.bases(classes[0]))


@rule.visits(cst.Assign)
def check_settings(node: cst.Assign, context: Context) -> Iterator[Finding]:
    match node.targets:
        case [cst.AssignTarget(target=cst.Subscript() | cst.Attribute() as target)]:
            text = context.tree.code(target)
        case _:
            return
    outline, home = context.facts.outline, context.objects.home(node)
    held = _value(context, node.value, home)
    if not isinstance(held, str) or reach(held) != "public":
        return
    name = next((name for name in VARIABLES if name in text and "environ" in text), None)
    if name is not None:
        shown = f"`{VARIABLES[name]}`"
    elif isinstance(target, cst.Attribute) and text.endswith("App.ip") and _unlocked(outline, text):
        shown = "a Jupyter server without a token"
    else:
        return
    level = Severity.WARNING if development(context.source.path) else Severity.ERROR
    message = f"{shown} gives arbitrary code execution to anyone who can reach `{held}`; bind to 127.0.0.1"
    yield rule.finding(context, node, message, severity=level)


def _value(context: Context, node: cst.BaseExpression, home: Home) -> object:
    match node:
        case cst.SimpleString():
            return node.evaluated_value
        case cst.Name(value=name):
            return value(context.facts.outline, ast.Name(name), home)
    return UNKNOWN


def _unlocked(outline: Outline, setting: str) -> bool:
    """Whether the file switches the token off: `c.ServerApp.token = ""`."""
    owner = setting.rpartition(".")[0]
    words = {f"{owner}.token", "c.IdentityProvider.token", "c.ServerApp.token", "c.NotebookApp.token"}
    for node in ast.walk(outline.facts.tree):
        match node:
            case ast.Assign(targets=[ast.Attribute() as target], value=ast.Constant(value="")):
                if ast.unparse(target) in words:
                    return True
    return False
