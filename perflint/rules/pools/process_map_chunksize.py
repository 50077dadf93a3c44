"""`map` of a process pool sends each item in a message of its own.

`ProcessPoolExecutor.map` and `Pool.imap` have a chunk size of 1 unless told otherwise: every item
is pickled, sent, woken up for, and its result sent back, alone. For small items that costs far more
than the work. `Pool.map` chooses a chunk size itself; threads send nothing.

Bad:

    from concurrent.futures import ProcessPoolExecutor


    def absolute(numbers):
        with ProcessPoolExecutor(2) as pool:
            return list(pool.map(abs, numbers))

Good:

    from concurrent.futures import ProcessPoolExecutor


    def absolute(numbers):
        with ProcessPoolExecutor(2) as pool:
            return list(pool.map(abs, numbers, chunksize=64))

Not flagged: a few items, work that is heavy by its name or its parameter (`train`, `process_file`,
a path, a table), a loop that may stop early, receivers of unknown type.

The fix is unsafe: results come a chunk at a time, a worker that dies takes its chunk along, and
items of unequal weight spread less evenly.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, keyword, names_in
from perflint.analysis.possible import calls_on
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sizes import Size
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk_scope
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_CHUNK = 64
_READS = ("imap", "imap_unordered")
# Work that takes longer than a message, by the name of its function.
_HEAVY = re.compile(
    r"(^|_)(train|fit|render|download|upload|fetch|run|build|compile|convert|encode|decode|extract|simulate|solve|"
    r"execute|evaluate|crawl|scrape|backup|sync|import|export|generate|load|save|copy|move|read|write|worker|main|"
    r"file|files|dir|folder|path|image|video|audio|page|url|chunk|batch|shard|partition|table|frame|df)(_|s?$)",
    re.I,
)
# Items that are heavy, by their name.
_ITEMS = re.compile(
    r"(^|_)(files?|filenames?|paths?|dirs?|folders?|urls?|images?|videos?|chunks?|batch(es)?|shards?|partitions?|"
    r"blocks?|tiles?|frames?|dfs?|tables?|jobs?|tasks?|folds?|seeds?|groups?|splits?|pages?|modules?|models?)$",
    re.I,
)
_CHUNKED = re.compile(r"(batch|chunk|block|tile|page|step)_?(size|len|length)?$", re.I)
_TYPES = re.compile(r"Path|DataFrame|ndarray|Image|URL|Series|Tensor|bytes", re.I)


def _hopeful(sketch: Sketch) -> bool:
    calls = calls_on(sketch, frozenset({library.PROCESS_EXECUTOR}), "map")
    calls += calls_on(sketch, frozenset({library.PROCESS_POOL}), *_READS)
    return any(_plain(call) for call in calls)


def _plain(call: ast.Call) -> bool:
    """Whether the call passes items, and no size of its messages."""
    words = [item.arg for item in call.keywords]
    if len(call.args) + len(words) < 2 or {None, "chunksize"} & set(words):
        return False
    return not any(isinstance(item, ast.Starred) for item in call.args)


rule = Rule(
    code="PRF412",
    name="process-map-chunksize",
    summary="`map` of a process pool sends each item in a message of its own",
    category="pools",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b".map(", b".imap(", b".imap_unordered("),
        imports=("concurrent", "multiprocessing"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="numbers = range(n)", call="absolute(numbers)", sizes=(100, 1_000, 3_000), measure="wall"
    ),
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(attr=cst.Name(value=name)) if name in ("map", *_READS):
            pass
        case _:
            return
    if (
        len(node.args) < 2
        or any(item.star for item in node.args)
        or context.objects.method(node)
        not in (
            (library.PROCESS_EXECUTOR, "map"),
            *((library.PROCESS_POOL, item) for item in _READS),
        )
    ):
        return
    if keyword(node, "chunksize") is not None:
        return
    if name in _READS and len([item for item in node.args if item.keyword is None]) > 2:
        return
    sources = [item.value for item in node.args[1:] if item.keyword is None]
    if any(context.sizes.of(item) is Size.SMALL for item in sources):
        return
    if any(_heavy_items(item) for item in sources) or _heavy(node.args[0].value, context):
        return
    if not _stops_early(node, context):
        message = f"each item of `{context.tree.code(node.func)}` is one IPC round trip; pass chunksize"
        yield rule.finding(context, node, message, _fix(node, context))


def _heavy_items(node: cst.BaseExpression) -> bool:
    """Whether the items are large by the name of what they come from: `paths`, `parts(rows, block_size)`."""
    if any(_CHUNKED.search(name) for name in names_in(node)):
        return True
    while isinstance(node, cst.Call) and node.args:
        node = node.args[0].value
    return _ITEMS.search((dotted(node) or "").rpartition(".")[2]) is not None


def _heavy(work: cst.BaseExpression, context: Context) -> bool:
    """Whether the work takes longer than a message: by its name, or by what its parameter is."""
    if isinstance(work, cst.Call) and context.names.qualified(work.func) == "functools.partial" and work.args:
        return _heavy(work.args[0].value, context)
    place = dotted(work)
    if place is None or _HEAVY.search(place.rpartition(".")[2]):
        return True
    function = context.objects.referred(work)
    if function is None:
        return False
    first = next((item for item in function.args.args if item.arg not in ("self", "cls")), None)
    if first is None:
        return False
    annotation = ast.unparse(first.annotation) if first.annotation is not None else ""
    return bool(_HEAVY.search(first.arg) or _TYPES.search(annotation))


def _stops_early(node: cst.Call, context: Context) -> bool:
    """Whether the loop over the results may leave before the last one."""
    for above in context.tree.ancestors(node):
        if isinstance(above, cst.For):
            leaves = (cst.Break, cst.Return)
            return above.iter is not None and any(isinstance(part, leaves) for part in walk_scope(above.body))
        if isinstance(above, (cst.BaseSuite, cst.BaseSmallStatement)):
            return False
    return False


def _fix(node: cst.Call, context: Context) -> Fix:
    end = context.tree.span(node.args[-1].value).end
    edit = Edit(Span(end, end), f", chunksize={_CHUNK}")
    return Fix(f"Send {_CHUNK} items at a time", (edit,), Applicability.UNSAFE)
