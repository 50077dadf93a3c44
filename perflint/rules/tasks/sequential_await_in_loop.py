"""Awaits that do not depend on each other run one after another.

Each turn waits for its own answer before the next question is asked, so the loop takes the sum of
all waits. A bounded gather keeps some of them in flight at once.

Bad:

    import asyncio


    async def fetch(url):
        await asyncio.sleep(0.0001)
        return len(url)


    async def sizes(urls):
        return [await fetch(url) for url in urls]

Good:

    import asyncio

    from perflint.runtime import bounded_gather


    async def fetch(url):
        await asyncio.sleep(0.0001)
        return len(url)


    async def sizes(urls):
        return await bounded_gather((fetch(url) for url in urls), limit=100)

Whether two calls are independent cannot be seen from here, so the rule is off until it is selected.

Not flagged: a few items, streams (`async for`), calls on cursors, sessions, connections, sockets,
locks and queues, loops inside a transaction or a lock, results that the next call uses.

With `runtime-fixes = true` a fix rewrites the list comprehension. It is unsafe: the calls overlap,
and the first failure cancels the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.crowds import crowd, header
from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, dotted, names_in, only_statement, root
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sizes import Size
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_MESSAGE = "independent awaits run one after another; a bounded gather keeps some of them in flight"
# One at a time by nature: what the receiver (or function) is called.
_SERIAL = re.compile(
    r"(cursor|cur|session|lock|mutex|trans(action)?|tx|txn|stream|reader|writer|conn(ection)?|db|database|redis|"
    r"pipe(line)?|sock(et)?|ws|web_?socket|channel|queue|q|sem(aphore)?|limiter|file|fh|fp|proc(ess)?|page|browser|"
    r"console|input|message|msg|ctx|bot|chat|uow|repo(sitory)?|engine|store)$",
    re.I,
)
_STEPS = {
    *(
        "sleep",
        "anext",
        "get",
        "put",
        "send",
        "recv",
        "receive",
        "read",
        "readline",
        "readexactly",
        "write",
        "drain",
    ),
    *(
        "acquire",
        "release",
        "wait",
        "join",
        "execute",
        "executemany",
        "fetchone",
        "fetchall",
        "commit",
        "rollback",
    ),
    *(
        "flush",
        "reply",
        "send_text",
        "send_json",
        "send_bytes",
        "emit",
        "publish",
        "next",
        "__anext__",
        "result",
    ),
}
_HELD = re.compile(
    r"transaction|session|begin|lock|cursor|conn|sem|limit|atomic|savepoint|pipeline|timeout", re.I
)
_OPEN = (cst.Assign, cst.AnnAssign, cst.Return, cst.Arg, cst.Expr)

rule = Rule(
    code="PRF316",
    name="sequential-await-in-loop",
    summary="independent awaits run one after another",
    category="tasks",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"await ", b"await(")),
    doc=__doc__,
    benchmark=Benchmark(
        setup="urls = ['u'] * n", call="asyncio.run(sizes(urls))", sizes=(10, 100, 300), measure="wall"
    ),
    group="pedantic",
    tests=False,
    service=True,
)


@rule.visits(cst.ListComp, cst.SetComp, cst.DictComp)
def check_comprehension(
    node: cst.ListComp | cst.SetComp | cst.DictComp, context: Context
) -> Iterator[Finding]:
    element = node.value if isinstance(node, cst.DictComp) else node.elt
    call = _awaited(element)
    if call is None or not _independent(node, call, context):
        return
    clause = node.for_in
    if clause.inner_for_in is not None or clause.asynchronous is not None:
        return
    if any(contains(item, cst.Await) for item in (*clause.ifs, clause.iter, *call.args)):
        return
    if context.sizes.repeats(node) is not Size.SMALL:
        fix = _fix(node, context) if isinstance(node, cst.ListComp) else None
        yield rule.finding(context, node, _MESSAGE, fix)


@rule.visits(cst.For)
def check_loop(node: cst.For, context: Context) -> Iterator[Finding]:
    """`for x in xs: out.append(await c(x))`"""
    match only_statement(node):
        case cst.Expr(
            value=cst.Call(
                func=cst.Attribute(value=kept, attr=cst.Name(value="append")),
                args=[cst.Arg(value=value, star="")],
            )
        ):
            call = _awaited(value)
        case _:
            return
    if call is None or node.asynchronous is not None:
        return
    if root(kept) in names_in(call) or any(contains(item, cst.Await) for item in call.args):
        return
    if _independent(node, call, context) and context.sizes.repeats(node) is not Size.SMALL:
        yield rule.finding(context, node, _MESSAGE)


def _awaited(node: cst.BaseExpression) -> cst.Call | None:
    return node.expression if isinstance(node, cst.Await) and isinstance(node.expression, cst.Call) else None


def _independent(node: cst.CSTNode, call: cst.Call, context: Context) -> bool:
    """Whether nothing in sight says that the calls must come one after another."""
    place = dotted(call.func)
    if place is None or any(item.star for item in call.args):
        return False
    receiver, _, name = place.rpartition(".")
    if name in _STEPS or any(_SERIAL.search(part) for part in receiver.split(".") if part):
        return False
    if any(_SERIAL.search(dotted(item.value) or "") for item in call.args):
        return False
    if is_cleanup(context.tree, node, call) or crowd(context, *header(node), call) != "many":
        return False
    for above in context.tree.ancestors(node):
        if isinstance(above, cst.FunctionDef):
            break
        if isinstance(above, cst.With) and any(
            _HELD.search(context.tree.code(item.item)) for item in above.items
        ):
            return False
    return True


def _fix(node: cst.ListComp, context: Context) -> Fix | None:
    """`[await c(x) for x in xs]` -> `await bounded_gather((c(x) for x in xs), limit=100)`."""
    tree, limit = context.tree, context.config.default_limit
    if (
        not isinstance(node.elt, cst.Await)
        or node.lpar
        or node.elt.lpar
        or contains(node, cst.NamedExpr, cst.Yield)
    ):
        return None
    found = runtime_import(context.source, context.facts.tree, context.config, "bounded_gather")
    span, element = tree.span(node), tree.span(node.elt)
    word = Span(element.start, tree.span(node.elt.expression).start)
    if found is None or tree.comments(word):
        return None
    function, added = found
    alone = isinstance(tree.parent(node), _OPEN) and not getattr(tree.parent(node), "star", "")
    first, last = ("", "") if alone else ("(", ")")
    edits = [
        Edit(Span(span.start, span.start + 1), f"{first}await {function}(("),
        Edit(word, ""),
        Edit(Span(span.end - 1, span.end), f"), limit={limit}){last}"),
        *([added] if added is not None else []),
    ]
    return Fix(f"Keep at most {limit} in flight", tuple(sorted(edits)), Applicability.UNSAFE)
