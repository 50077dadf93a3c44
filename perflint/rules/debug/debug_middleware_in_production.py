"""Debugging or profiling middleware that every request of the service passes.

Werkzeug's `DebuggedApplication` shows visitors the tracebacks of errors that reach it; with
`evalex=True` it opens a Python console to them, which asks for a PIN at most. Profiling middleware
slows every request and tells how the service works. Silk keeps what visitors send. Django with
`DEBUG = True` answers errors with settings and source, for every host that `ALLOWED_HOSTS` lets in.

Bad:

    from flask import Flask
    from werkzeug.debug import DebuggedApplication

    app = Flask(__name__)
    app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)

Good:

    from flask import Flask
    from werkzeug.debug import DebuggedApplication

    app = Flask(__name__)
    if app.debug:
        app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)

It counts at module level, in application factories and start-up hooks. In settings of Django,
`DEBUG = True` counts together with `ALLOWED_HOSTS` that hold `*` or a public name; silk, the
profilers' middleware and the like in `INSTALLED_APPS` or `MIDDLEWARE` count where the file is
production's by its name, or switches `DEBUG` off.

Not flagged: `DEBUG = True` alone (what `startproject` writes), settings from the environment or
changed by a later `from .local import *`, what stands under `if DEBUG:`, tests, examples, files
for development; the toolbars of Flask and flask-profiler where nothing switches them on, for they
are off by default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.exposure.django import lets_everybody_in, settings_hold, settings_kind, settled
from perflint.analysis.exposure.guards import conditional, development, guarded
from perflint.analysis.exposure.startup import measures, moment
from perflint.analysis.exposure.values import UNKNOWN, Call, call_at, entries, expression, passed, value
from perflint.analysis.gates import Gate
from perflint.analysis.outline import Home, Outline
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch, is_constant
from perflint.model.diagnostics import Finding, Severity

_CONSOLE = "werkzeug.debug.DebuggedApplication"
_PROFILERS = frozenset(
    {
        "werkzeug.middleware.profiler.ProfilerMiddleware",
        "werkzeug.contrib.profiler.ProfilerMiddleware",
        "fastapi_profiler.PyInstrumentProfilerMiddleware",
        "fastapi_profiler.profiler.PyInstrumentProfilerMiddleware",
        "fastapi_profiler.profiler_middleware.PyInstrumentProfilerMiddleware",
    }
)
_AIOHTTP = "aiohttp_debugtoolbar.setup"
_SWITCHED = {  # what makes an extension of Flask -> the setting that turns it on
    "flask_debugtoolbar.DebugToolbarExtension": "DEBUG_TB_ENABLED",
    "flask_profiler.init_app": "flask_profiler",
    "flask_profiler.Profiler": "flask_profiler",
}
_DJANGO = {  # what stands in INSTALLED_APPS or MIDDLEWARE -> what it does
    "silk": "keeps what visitors send",
    "silk.middleware.SilkyMiddleware": "keeps what visitors send",
    "django_sonar": "keeps what visitors send",
    "django_sonar.middlewares.requests.RequestsMiddleware": "keeps what visitors send",
    "pyinstrument.middleware.ProfilerMiddleware": "gives a profile to any visitor who asks for one",
    "debug_toolbar": "is for development",
    "debug_toolbar.middleware.DebugToolbarMiddleware": "is for development",
}
_LISTS = ("INSTALLED_APPS", "MIDDLEWARE", "THIRD_PARTY_APPS")

_PYRAMID = "pyramid_debugtoolbar"
_ADDED = (_CONSOLE, _AIOHTTP, *_PROFILERS, *_SWITCHED)


def _hopeful(sketch: Sketch) -> bool:
    if development(sketch.facts.source.path):
        return False
    named = sketch.facts.holds(_PYRAMID.encode()) and any(
        is_constant(node, _PYRAMID) for node in sketch.of(ast.Constant)
    )
    return named or sketch.mentions(*_ADDED) or settings_hold(sketch, _LISTS, _DJANGO)


rule = Rule(
    code="PRF704",
    name="debug-middleware-in-production",
    summary="debugging middleware, or Django's DEBUG, for every visitor",
    category="debug",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b"DEBUG", b"INSTALLED_APPS", b"MIDDLEWARE", b"THIRD_PARTY_APPS", _PYRAMID.encode()),
        names=_ADDED,
        beside=tuple(
            (kind.partition(".")[0], kind.rpartition(".")[2].encode()) for kind in sorted(_PROFILERS)
        ),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(attr=cst.Name(value="include")):
            name = "include"
        case cst.Attribute(attr=cst.Name(value="add_middleware")) if node.args:
            name = context.objects.function(node.args[0].value) or ""
        case _:
            name = context.objects.function(node.func) or ""
    if name not in ("include", *_ADDED) or development(context.source.path) or measures(context.source.path):
        return
    call = call_at(context, node)
    outline = context.facts.outline
    if call is None or conditional(outline, call.node) or moment(outline, call.node, call.home) is None:
        return
    found = _told(outline, call, name)
    if found is not None:
        yield rule.finding(context, node, found[0], severity=found[1])


def _told(outline: Outline, call: Call, name: str) -> tuple[str, Severity] | None:
    """The message and severity for a call that adds a middleware; None where it is off."""
    if name == _CONSOLE:
        evalex = passed(outline, call, "evalex", 1)
        given = value(outline, evalex, call.home) if isinstance(evalex, ast.expr) else evalex
        if given is UNKNOWN:
            return None
        console = given is True
        gives = "opens a Python console to visitors" if console else "shows visitors the errors that reach it"
        told = f"`DebuggedApplication` {gives}; wrap the application only in debug mode"
        return told, Severity.ERROR if console else Severity.WARNING
    if name in _PROFILERS:
        if not _on(outline, call, "enabled"):
            return None
        short = name.rpartition(".")[2]
        return f"`{short}` profiles every request of the service; put it behind a switch", Severity.WARNING
    if name == _AIOHTTP:
        return _toolbar(outline, call)
    if name == "include":
        return _pyramid(call)
    return _switched(outline, name)


def _on(outline: Outline, call: Call, name: str) -> bool:
    """Whether a parameter that is on by default stays on."""
    given = passed(outline, call, name)
    return given is None or (isinstance(given, ast.expr) and value(outline, given, call.home) is True)


def _toolbar(outline: Outline, call: Call) -> tuple[str, Severity] | None:
    if not _on(outline, call, "enabled"):
        return None
    hosts = passed(outline, call, "hosts")
    nets = value(outline, hosts, call.home) if isinstance(hosts, ast.expr) else ()
    everybody = isinstance(nets, tuple) and any(net in ("0.0.0.0/0", "::/0") for net in nets)
    check = passed(outline, call, "check_host")
    unchecked = isinstance(check, ast.expr) and value(outline, check, call.home) is False
    if everybody or unchecked:
        told = "`aiohttp_debugtoolbar` shows requests and a debugger to every visitor; set it up only in debug mode"
        return told, Severity.ERROR
    if hosts is UNKNOWN or check is UNKNOWN:
        return None
    told = "`aiohttp_debugtoolbar` trusts every request from this machine, also those of a proxy on it; set it up only in debug mode"
    return told, Severity.WARNING


def _pyramid(call: Call) -> tuple[str, Severity] | None:
    match call.node.args:
        case [ast.Constant(value=str(word))] if word == _PYRAMID:
            told = "`pyramid_debugtoolbar` trusts every request from this machine, also those of a proxy on it; include it only in development"
            return told, Severity.WARNING
    return None


def _switched(outline: Outline, name: str) -> tuple[str, Severity] | None:
    """Extensions that are off until a setting of the same file turns them on."""
    setting = _SWITCHED[name]
    for node in ast.walk(outline.facts.tree):
        match node:
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(key)))], value=held) if (
                key.lower() == setting.lower() and guarded(outline, node) is None
            ):
                if setting == "DEBUG_TB_ENABLED" and value(outline, held, Home()) is True:
                    told = "`DEBUG_TB_ENABLED` is always on: the toolbar shows every visitor how pages are made; leave it to `app.debug`"
                    return told, Severity.WARNING
                if setting == "flask_profiler" and _profiles(outline, held):
                    told = "`flask_profiler` shows its pages to every visitor; give it a basicAuth, or put it behind a switch"
                    return told, Severity.WARNING
    return None


def _profiles(outline: Outline, held: ast.expr) -> bool:
    settings = entries(expression(outline, held, Home())) or {}
    enabled = settings.get("enabled")
    return enabled is not None and "basicAuth" not in settings and value(outline, enabled, Home()) is True


@rule.visits(cst.Assign, cst.AnnAssign, cst.AugAssign)
def check_settings(node: cst.Assign | cst.AnnAssign | cst.AugAssign, context: Context) -> Iterator[Finding]:
    target = node.targets[0].target if isinstance(node, cst.Assign) else node.target
    kind = settings_kind(context.source.path)
    if kind is None or not isinstance(target, cst.Name) or development(context.source.path):
        return
    outline = context.facts.outline
    if target.value == "DEBUG" and settled(outline, "DEBUG") is True:
        host = lets_everybody_in(settled(outline, "ALLOWED_HOSTS"))
        if host is not None and not _switch(context, node):
            level = Severity.WARNING if kind == "base" else Severity.ERROR
            message = f"`DEBUG = True` with `{host}` in `ALLOWED_HOSTS` shows settings and source to every visitor; take `DEBUG` from the environment"
            yield rule.finding(context, node, message, severity=level)
    elif target.value in _LISTS and (kind == "production" or settled(outline, "DEBUG") is False):
        for text in _strings(node.value):
            if text in _DJANGO and not _switch(context, node):
                message = f"`{text}` {_DJANGO[text]}, and these settings are for production; install it only in development"
                level = Severity.INFO if text.startswith("debug_toolbar") else Severity.WARNING
                yield rule.finding(context, node, message, severity=level)


def _strings(node: cst.BaseExpression | None) -> Iterator[str]:
    if isinstance(node, cst.BinaryOperation):
        yield from _strings(node.left)
        yield from _strings(node.right)
    if isinstance(node, (cst.List, cst.Tuple)):
        for item in node.elements:
            if isinstance(item.value, cst.SimpleString):
                yield str(item.value.evaluated_value)


def _switch(context: Context, node: cst.CSTNode) -> bool:
    """Whether the statement stands under `if DEBUG:`, or in a function or class."""
    line = context.source.line_of(context.tree.span(node).start)
    outline = context.facts.outline
    twins = [
        item for item in ast.walk(outline.facts.tree) if isinstance(item, ast.stmt) and item.lineno == line
    ]
    return any(guarded(outline, item) is not None for item in twins) or context.scope(node).kind != "module"
