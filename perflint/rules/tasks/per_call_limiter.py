"""A lock or semaphore is made anew in each call, so nobody else ever holds it.

A limiter limits by being shared. One that is made in the function that takes it, and leaves it in no
way, always has a free slot: two hundred calls that each make a Semaphore(5) run all at once.

Bad:

    import asyncio


    async def fetch(get, url):
        slots = asyncio.Semaphore(5)
        async with slots:
            return await get(url)

Good:

    import asyncio

    slots = asyncio.Semaphore(5)


    async def fetch(get, url):
        async with slots:
            return await get(url)

Found for semaphores, locks and capacity limiters of asyncio, threading, anyio and trio: a local that is
only acquired and released, `with threading.Lock():`, and a property that returns a new one.

Not flagged: a limiter that a nested function or lambda uses, or that is passed on, returned, stored
or global; one that is acquired in a loop that starts tasks; `Semaphore(0)`, which is a signal; a cached property.

The fix makes it once for the module. It is unsafe: calls now wait for each other, and an asyncio
limiter belongs to the event loop that first waits for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.gates import Gate
from perflint.analysis.outline import leaf
from perflint.analysis.rewrite import remove, statement_lines
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.fixing.imports import definition_edit, import_edit
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_KINDS = {
    "asyncio": ("Lock", "Semaphore", "BoundedSemaphore"),
    "threading": ("Lock", "RLock", "Semaphore", "BoundedSemaphore"),
    "anyio": ("Lock", "Semaphore", "CapacityLimiter"),
    "trio": ("Lock", "StrictFIFOLock", "Semaphore", "CapacityLimiter"),
}
_LIMITERS = {f"{module}.{name}" for module, names in _KINDS.items() for name in names}

_SPELLINGS = library.spellings(_LIMITERS)


def _hopeful(sketch: Sketch) -> bool:
    made = {*sketch.calls_to(*_SPELLINGS)}
    blocks: list[ast.With | ast.AsyncWith] = [*sketch.of(ast.With), *sketch.of(ast.AsyncWith)]
    items = [item for block in blocks for item in block.items]
    if any(item.context_expr in made and item.optional_vars is None for item in items):
        return True
    if any(node.value in made for node in sketch.of(ast.Return)):
        decorators = (item for function in sketch.functions for item in function.decorator_list)
        if "property" in map(leaf, decorators):
            return True
    bound = {target for node in sketch.of(ast.Assign) if node.value in made for target in node.targets}
    bound.update(node.target for node in sketch.of(ast.AnnAssign) if node.value in made)
    names = {target.id for target in bound if isinstance(target, ast.Name)}
    taken = [item.context_expr for item in items]
    taken += [call.func.value for call in sketch.methods("acquire") if isinstance(call.func, ast.Attribute)]
    return any(isinstance(item, ast.Name) and item.id in names for item in taken)


rule = Rule(
    code="PRF304",
    name="per-call-limiter",
    summary="a lock or semaphore that each call makes for itself limits nothing",
    category="tasks",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, inner=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_TAKES = {"acquire", "release", "locked", "acquire_nowait"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, (cst.Name, cst.Attribute)):
        return
    kind = context.objects.function(node.func)
    if kind not in _LIMITERS or context.scope(node).kind != "function" or _shut(node):
        return
    parent = context.tree.parent(node)
    fix, found = None, False
    match parent:
        case cst.WithItem(item=item, asname=None):
            found = item is node
        case (
            cst.Assign(targets=[cst.AssignTarget(target=cst.Name() as name)])
            | cst.AnnAssign(target=cst.Name() as name)
        ):
            found = _never_shared(name, context)
            fix = _fix(node, parent, name, kind, context) if found else None
        case cst.Return():
            found = _property(node, context)
    if found:
        written = context.tree.code(node)
        shown = (
            written if len(written) < 60 and "\n" not in written else f"{context.tree.code(node.func)}(..)"
        )
        message = f"`{shown}` is created on every call and never shared, so it limits nothing; make it once and share it"
        yield rule.finding(context, node, message, fix)


def _shut(node: cst.Call) -> bool:
    """Whether it starts without a free slot: a signal, and no limit."""
    return bool(node.args) and getattr(node.args[0].value, "value", None) == "0"


def _never_shared(name: cst.Name, context: Context) -> bool:
    """Whether the local is bound once and only ever taken and let go, here."""
    scope = context.scope(name)
    flow = context.flow
    if not flow.private(name.value, scope) or len(scope.bindings.get(name.value, ())) != 1:
        return False
    reads = flow.reads(name.value, scope)
    uses = {_takes(read, context) for read in reads}
    return "acquire" in uses and None not in uses and not _gates(reads, context)


def _takes(read: cst.Name, context: Context) -> str | None:
    """`acquire` for `with limiter:`, `limiter.acquire()` and `await limiter.acquire()`; None for other uses."""
    tree = context.tree
    parent = tree.parent(read)
    match parent:
        case cst.WithItem(item=item):
            return "acquire" if item is read else None
        case cst.Attribute(attr=cst.Name(value=method)):
            call = tree.parent(parent)
            if method not in _TAKES or not isinstance(call, cst.Call) or call.func is not parent:
                return None
            # handed to a task, it is shared with that
            return None if method == "acquire" and isinstance(tree.parent(call), cst.Arg) else method
    return None


def _gates(reads: list[cst.Name], context: Context) -> bool:
    """Whether it is acquired in a loop that starts tasks: then it admits them one by one."""
    loops = {loop for read in reads for loop in context.flow.loops(read)}
    return any(spawn(context.objects, part) is not None for loop in loops for part in walk(loop.body))


def _property(node: cst.Call, context: Context) -> bool:
    """Whether a plain property returns the new limiter as it is."""
    function = context.scope(node).node
    match function:
        case cst.FunctionDef(decorators=[cst.Decorator(decorator=decorator)]):
            return context.names.builtin(decorator) == "property"
    return False


def _fix(node: cst.Call, assign: cst.CSTNode, name: cst.Name, kind: str, context: Context) -> Fix | None:
    """Make the limiter once, at module level."""
    tree, facts = context.tree, context.facts
    line = tree.statement(node)
    if context.config.target.low < (3, 10) or not isinstance(assign, cst.Assign):
        return None  # before 3.10 asyncio's limiters belong to the loop that is current where they are made
    if not isinstance(line, cst.SimpleStatementLine) or context.flow.one_line(node):
        return None
    block = tree.parent(line)
    if not all(isinstance(item.value, cst.Integer) and not item.star for item in node.args):
        return None
    if tree.comments(statement_lines(tree, line)) or any(item.comment for item in line.leading_lines):
        return None
    if len(getattr(block, "body", ())) < 2 or _taken(name.value, context) or _recursive(node, context):
        return None
    module, _, bare = kind.rpartition(".")
    imported = import_edit(context.source, facts.tree, module, bare)
    if imported is None or imported[1] is not None:
        return None  # an import that may not hold at module level
    made = definition_edit(context.source, facts.tree, f"{name.value} = {tree.code(node)}")
    return Fix("Make it once for the module", (made, remove(tree, line)), Applicability.UNSAFE)


def _recursive(node: cst.Call, context: Context) -> bool:
    """Whether the function calls itself: with one limiter for all calls it would wait for itself."""
    function = context.scope(node).node
    return isinstance(function, cst.FunctionDef) and any(
        isinstance(part, cst.Name) and part.value == function.name.value for part in walk(function.body)
    )


def _taken(name: str, context: Context) -> bool:
    facts = context.facts
    return name in facts.shadows or name in facts.imports_anywhere or facts.star_import
