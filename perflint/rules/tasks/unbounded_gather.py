"""`asyncio.gather` over data of any length starts one task per item, all at once.

A coroutine, its task and its frame take some kilobytes each, and every task asks for its socket,
file or connection at the same moment: memory grows with the input, and files and ports run out.
A semaphore inside the task bounds the sockets, not the tasks; the slot must be taken before the
spawn.

Bad:

    import asyncio


    async def fetch(url):
        await asyncio.sleep(0)
        return len(url)


    async def fetch_all(urls):
        return await asyncio.gather(*(fetch(url) for url in urls))

Good:

    import asyncio

    from perflint.runtime import bounded_gather


    async def fetch(url):
        await asyncio.sleep(0)
        return len(url)


    async def fetch_all(urls):
        return await bounded_gather((fetch(url) for url in urls), limit=100)

`asyncio.wait` and `asyncio.as_completed` are seen too, and a list of coroutines or tasks that gets
a name, or is filled by a loop, before it is gathered. Over what an object holds (`self.rows`) it is an info.

Not flagged: a few known items, slices of fixed length, batches, answers to a query with a `limit`, the
`else` of `if num_workers`, tasks that exist already,
clean-up (`s.aclose() for s in streams`), a fixed crew of workers, the parts of a program or cluster
(`judge(x) for judge in self.judges`, handlers, servers), objects that do the work themselves
(`page.load() for page in pages`), calls that take a limiter (see
limiter-inside-task).

With `runtime-fixes = true` a fix turns a directly awaited `gather` of one comprehension into
`bounded_gather`. It is unsafe: items that wait for each other need a limit of at least their
number, the calls are made one by one as slots get free, and the first failure cancels the rest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.crowds import crowd, header, may_be_many
from perflint.analysis.concurrency.fanout import GATHERING, Fan, Source, fan, inner_work, limited, may_start
from perflint.analysis.concurrency.origins import switched
from perflint.analysis.concurrency.roles import at_work, is_cleanup
from perflint.analysis.gates import Gate
from perflint.analysis.library import spellings
from perflint.analysis.match import contains, names_in
from perflint.analysis.outline import leaf
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sizes import Size
from perflint.analysis.sketch import Sketch
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_VIEWS = ("values", "items", "keys")

_SPELLINGS = spellings(GATHERING)
_STARRED = spellings(("asyncio.gather",))
_COLLECTS = ("list", "tuple", "set", "map")


def _hopeful(sketch: Sketch) -> bool:
    starred, calls = sketch.calls_to(*_STARRED), at_work(sketch, sketch.calls_to(*_SPELLINGS))
    given = ((call in starred, item) for call in calls for item in call.args)
    items = [
        item.value if isinstance(item, ast.Starred) else item
        for wanted, item in given
        if isinstance(item, ast.Starred) is wanted
    ]
    named = {item.id for item in items if isinstance(item, ast.Name)}
    bound = [(target, node.value) for node in sketch.of(ast.Assign) for target in node.targets]
    bound += [(node.target, node.value) for node in sketch.of(ast.AnnAssign) if node.value is not None]
    parts = ((part, value) for target, value in bound for part in ast.walk(target))
    items += [value for part, value in parts if isinstance(part, ast.Name) and part.id in named]
    return any(_many(item, sketch) for item in items)


def _many(node: ast.expr, sketch: Sketch) -> bool:
    """Whether it may hold new work for each of many: a comprehension, `map(..)`, a list that a loop fills."""
    match node:
        case ast.List(elts=[]):
            filled = (call.args for call in sketch.looped_calls("append") if len(call.args) == 1)
            return any(may_start(sketch, work) for (work,) in filled)
        case (
            ast.ListComp(work, [first, *_])
            | ast.SetComp(work, [first, *_])
            | ast.GeneratorExp(work, [first, *_])
        ):
            return may_start(sketch, work) and may_be_many(sketch, first)
        case ast.Call(func=function):
            return leaf(function) in _COLLECTS
    return False


rule = Rule(
    code="PRF301",
    name="unbounded-gather",
    summary="`asyncio.gather` over data of any length runs one task per item at once",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(
        setup="urls = ['u'] * n",
        call="asyncio.run(fetch_all(urls))",
        sizes=(10, 1_000, 10_000),
        measure="memory",
    ),
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    found = fan(context, node)
    if found is None or found.size(context) is Size.SMALL:
        return
    work = inner_work(context, found.element)
    if is_cleanup(context.tree, node, work) or limited(context, work) or _failures(found.source, context):
        return
    if switched(context, node):
        return
    mapped = isinstance(found.source, cst.Call)
    kind = crowd(context, *((None, found.iterable) if mapped else header(found.source)), work)
    if kind in ("few", "acting"):
        return
    name = found.function.rpartition(".")[2]
    message = (
        f"`asyncio.{name}()` over an unbounded iterable creates one task per item at once; "
        "bound it (take a slot before each spawn)"
    )
    level = Severity.INFO if kind == "own" else None
    yield rule.finding(context, node, message, _fix(found, context), level)


def _failures(source: Source, context: Context) -> bool:
    """Whether it is over what failed: `report(e) for e in results if isinstance(e, Exception)`."""
    tests = source.for_in.ifs if isinstance(source, cst.BaseComp) else ()
    return any(
        isinstance(item.test, cst.Call)
        and context.names.builtin(item.test.func) == "isinstance"
        and not names_in(item.test).isdisjoint({"Exception", "BaseException"})
        for item in tests
    )


def _fix(found: Fan, context: Context) -> Fix | None:
    """`await gather(*(..))` -> `await bounded_gather((..), limit=100)`."""
    call, argument, source, tree = found.call, found.argument, found.source, context.tree
    if found.function != "asyncio.gather" or not isinstance(tree.parent(call), cst.Await) or call.lpar:
        return None
    if argument.value is not source or argument is not call.args[0] or isinstance(source, cst.SetComp):
        return None
    options = [item.keyword.value if item.keyword else "*" for item in call.args[1:]]
    if options not in ([], ["return_exceptions"]) or _moves(source):
        return None
    bound = runtime_import(context.source, context.facts.tree, context.config, "bounded_gather")
    edits = _lazily(found, context)
    if bound is None or edits is None:
        return None
    function, added = bound
    edits.append(Edit(tree.span(call.func), function))
    if added is not None:
        edits.append(added)
    title = f"Run at most {context.config.default_limit} at a time"
    return Fix(title, tuple(sorted(edits)), Applicability.UNSAFE)


def _moves(source: Source) -> bool:
    """Whether something in the comprehension must not be evaluated later, or in another function."""
    clause: cst.CompFor | None = source.for_in if isinstance(source, cst.BaseComp) else None
    while clause is not None:
        if clause.asynchronous is not None:
            return True
        clause = clause.inner_for_in
    return contains(source, cst.Await, cst.Yield, cst.NamedExpr)


def _lazily(found: Fan, context: Context) -> list[Edit] | None:
    """The star goes, a list becomes a generator, and `limit` follows."""
    tree, source = context.tree, found.source
    start, (first, last) = tree.span(found.argument).start, tree.span(source)
    limit = f", limit={context.config.default_limit}"
    iterable = tree.span(found.iterable)
    edits = []
    if _shared(context, found.iterable):  # the items may change it while it is read
        if not context.names.means_builtin("list", context.scope(found.iterable)):
            return None
        edits = [
            Edit(Span(iterable.start, iterable.start), "list("),
            Edit(Span(iterable.end, iterable.end), ")"),
        ]
    if not isinstance(source, cst.ListComp):
        return [Edit(Span(start, first), ""), *edits, Edit(Span(last, last), limit)]
    if source.lpar:
        return None
    return [Edit(Span(start, first + 1), "("), *edits, Edit(Span(last - 1, last), f"){limit}")]


def _shared(context: Context, iterable: cst.BaseExpression) -> bool:
    """Whether others can reach the collection itself: an attribute, a global, or a view of a dict."""
    match iterable:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=method)), args=[]) if method in _VIEWS:
            return True
        case cst.Name(value=name):
            owner = context.scope(iterable).owner(name)
            return owner is None or owner.kind == "module"
    return isinstance(iterable, (cst.Attribute, cst.Subscript))
