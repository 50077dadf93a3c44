"""A server in debug mode listens on every address.

In debug mode a framework answers an error with the traceback, the values it met and the source
around it; Werkzeug's debugger (Flask, Dash, Flask-SocketIO) adds a console that runs Python. On
`0.0.0.0` everybody who can reach the port gets the same page as the developer.

Bad:

    from flask import Flask

    app = Flask(__name__)
    app.run(host="0.0.0.0", debug=True)

Good:

    from flask import Flask

    app = Flask(__name__)
    app.run(host="127.0.0.1", debug=True)

Debug mode counts where it is a constant: in the call, on the application (`app.debug = True`,
`app.config["DEBUG"]`, `FastAPI(debug=True)`, Tornado's settings), or in a class of settings of the
same file. Tornado and aiohttp listen on every address when they get none. A reloader on a public
address is reported as info: it shows nothing by itself.

Not flagged: debug mode on 127.0.0.1, which is what it is for (`debug-any-host` reports it, too),
addresses and switches that come from the environment, arguments or another file, what stands under
`if DEBUG:`, tests, examples and files for development.

Werkzeug 3.0.3 and newer give the console only to requests for localhost and for the host that it
was bound to; the traceback pages are for everybody.

The fix is unsafe: in a container 127.0.0.1 cannot be reached from outside. Debug mode is left as
it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.exposure.frameworks import FUNCTIONS, METHODS
from perflint.analysis.exposure.guards import development, guarded
from perflint.analysis.exposure.hosts import address, loopback
from perflint.analysis.exposure.servers import Listening, debugging, listening, reloading
from perflint.analysis.gates import Gate
from perflint.analysis.library import spellings
from perflint.analysis.possible import calls_on
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_PACKAGES = frozenset(kind.partition(".")[0] for kind, _ in METHODS)
_SPELLINGS = spellings(FUNCTIONS)
_SWITCHES = (b"debug", b"DEBUG", b"reload", b"dev", b"serve_traceback")
_POSITION = 2  # the first that a switch has without its name


def _hopeful(sketch: Sketch) -> bool:
    if development(sketch.facts.source.path):
        return False
    calls = sketch.calls_to(*_SPELLINGS)
    for name in sorted({name for _, name in METHODS}):
        calls += calls_on(sketch, frozenset(kind for kind, method in METHODS if method == name), name)
    calls += [call for call in sketch.calls("run", "run_server") if _names_both(call)]
    named = any(map(sketch.facts.holds, _SWITCHES))
    return any(named or len(call.args) > _POSITION for call in calls)


def _names_both(call: ast.Call) -> bool:
    return {word.arg for word in call.keywords} >= {"host", "debug"}


rule = Rule(
    code="PRF701",
    name="debug-server-public",
    summary="debug mode on a public address shows tracebacks, or a debugger, to everybody",
    category="debug",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"debug=", b"debug ="),
        names=_SPELLINGS,
        beside=tuple(
            (package, needle) for package in sorted(_PACKAGES) for needle in (b".run", b".listen(", b".bind(")
        ),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    found = listening(context, node)
    if found is None or development(context.source.path):
        return
    anywhere = context.config.debug_any_host
    if found.reach != "public" and not anywhere:
        return
    if guarded(context.facts.outline, found.call.node) is not None:
        return
    switch = debugging(context, found)
    if switch is not None and found.reach == "public":
        yield _public(node, context, found, switch)
    elif switch is not None:
        message = f"debug mode in code (`{switch}`): one other address shows {found.server.shows} to everybody; take the switch from the environment"
        yield rule.finding(context, node, message, severity=Severity.WARNING)
    elif found.reach == "public" and reloading(context, found):
        message = "the reloader of development on a public address; leave it to the developer's command line"
        yield rule.finding(context, node, message, severity=Severity.INFO)


def _public(node: cst.Call, context: Context, found: Listening, switch: str) -> Finding:
    outline, home = context.facts.outline, found.call.home
    where, fix = "every address", None
    if found.host is not None:
        where = f"`{address(outline, found.host, home) or repr('')}`"
        fix = loopback(outline, found.host, home)
    message = f"debug mode (`{switch}`) on a public address, {where}: {found.server.shows} are reachable from outside; bind to 127.0.0.1"
    return rule.finding(context, node, message, fix)
