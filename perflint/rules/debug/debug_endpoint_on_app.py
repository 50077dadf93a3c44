"""A route of the public application shows its own inside.

Heap snapshots, stacks, profiles and lists of tasks name files, lines, queries and users, and each
request for them costs the service more than its own work. Whoever finds the path can read it, and
ask for it a thousand times a second. Such pages belong on a listener of their own, on 127.0.0.1.

Bad:

    import tracemalloc

    from flask import Flask

    app = Flask(__name__)


    @app.get("/debug/heap")
    def heap():
        snapshot = tracemalloc.take_snapshot()
        return [str(line) for line in snapshot.statistics("lineno")[:20]]

Good:

    from flask import Flask
    from perflint.runtime import serve_debug

    app = Flask(__name__)
    serve_debug(6060)

It counts when a route, a view or a middleware returns or writes something of such data; helpers of
the same file are looked into. Figures alone (`get_traced_memory`, `gc.get_stats`) and tasks are a
warning, pages behind a login are info. `eval` and `exec` of what a request brings count, too. Info
as well: a path such as `/debug` whose page another file makes, and routers mounted from a module
called `debug`.

Not flagged: metrics (`generate_latest`), health checks, counts (`len(asyncio.all_tasks())`), data
that is logged or kept but not returned, routes that are registered under a switch, servers of
`http.server` on 127.0.0.1 (that is the cure), commands, tests, examples. `/profile` and `/threads`
alone say nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.exposure import dumps
from perflint.analysis.exposure.guards import development
from perflint.analysis.exposure.pages import MOUNTS, Page, pages
from perflint.analysis.exposure.routes import FRAMEWORKS, may_register
from perflint.analysis.exposure.values import call_at
from perflint.analysis.gates import Gate
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_WORDS = (
    *(b"debug", b"Debug", b"DEBUG", b"pprof", b"heapdump", b"profiler", b"profiling", b"tracemalloc"),
    *(b"eval(", b"exec(", b"py-spy", b"memray", b"austin"),
)
# One of the words, but for what is written to a log: `log.debug(`.
_PATHS = re.compile(
    rb"[\"'/}]_*(?:debug|pprof|heapdump|profiler|profiling|tracemalloc)[\"'/{]", re.I
)  # of a page
_CALLED = re.compile(rb"(?<![\w.])(?:eval|exec)\s*\(|\.\s*(?:%s)\b" % "|".join(MOUNTS).encode())
_SPOKEN = re.compile(
    rb"(?<!\.)debug|debug(?!\()|" + b"|".join(re.escape(word) for word in _WORDS if word != b"debug")
)


def _hopeful(sketch: Sketch) -> bool:
    facts = sketch.facts
    if development(facts.source.path):
        return False
    if not dumps.may_dump(sketch):
        if not (facts.shows(_PATHS) or facts.shows(_CALLED)):
            return False
        if not any(_SPOKEN.search(facts.source.data, *span) for span in sketch.region.parts):
            return False
        if not (may_register(sketch) or sketch.calls("eval", "exec", *MOUNTS)):
            return False
    return not pages(sketch.facts.outline).keys().isdisjoint(sketch.of(ast.Call))


rule = Rule(
    code="PRF702",
    name="debug-endpoint-on-app",
    summary="a route of the public application shows stacks, heaps or profiles",
    category="debug",
    severity=Severity.ERROR,
    since="0.1",
    fix="never",
    gate=Gate(
        text=_WORDS,
        names=dumps.NAMES,
        imports=(*sorted(FRAMEWORKS), "http", "socketserver"),
        beside=tuple((package, b"(") for package in dumps.PACKAGES),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    found = pages(context.facts.outline)
    if not found or development(context.source.path):
        return
    call = call_at(context, node)
    page = found.get(call.node) if call is not None else None
    if page is None:
        return
    cure = f"{context.config.runtime_module}.serve_debug() on 127.0.0.1"
    if isinstance(page.at, ast.Call):
        message, severity = _told(page, cure)
        yield rule.finding(context, node, message, severity=severity)


def _told(page: Page, cure: str) -> tuple[str, Severity]:
    who = "the application behind a login" if page.login else "the public application"
    match page.kind:
        case "path" | "mount":
            told = f"`{page.what}` on the public application looks like a debug page; leave it to development, or ask who calls"
            return told, Severity.INFO
        case "code":
            told = f"`{page.what}` in a route runs what a request brings; debug from a shell on the machine"
            return told, Severity.INFO if page.login else Severity.ERROR
        case "server":
            told = f"debug data on a public address (`{page.what}`); bind to 127.0.0.1"
            return told, Severity.INFO if page.login else Severity.ERROR
    level = Severity.WARNING if page.kind == "figures" else Severity.ERROR
    told = f"debug data served by {who} (`{page.what}`); move it to {cure}"
    return told, Severity.INFO if page.login else level
