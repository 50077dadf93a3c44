"""A task is started and nobody keeps it.

The event loop itself holds tasks only weakly. A task that no code refers to can be collected as
garbage in the middle of its work, and when it fails, its exception is printed at some later time
or never: no code is there to see it.

Bad:

    import asyncio


    async def signed_up(user, send):
        asyncio.create_task(send(user, "welcome"))

Good:

    import asyncio

    _background_tasks: set[asyncio.Task] = set()


    async def signed_up(user, send):
        task = asyncio.create_task(send(user, "welcome"))
        _background_tasks.add(task)
        task.add_done_callback(_background_tasks.discard)

Found where the task is a statement of its own, goes to `_` or to a local that nothing reads, is
only tested for truth, or is what a callback returns to a caller that drops it.

Not flagged: tasks of a TaskGroup or nursery (the group holds them), a task that is returned, passed
on, stored in an attribute or container, or read anywhere later; a local in a function that goes on
for ever or yields, which keeps it alive; `ensure_future` of what may be a task already;
a line with `# noqa: RUF006`, ruff's rule for the same.

The fix keeps the task in a set of the module until it is done. It is safe for a bare statement:
nothing but the task's lifetime changes. It is unsafe where the task has a name already, and not
offered inside lambdas and conditions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.fates import bound_name, called_back, fate, forgotten
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains
from perflint.analysis.names import Scope
from perflint.analysis.possible import calls_on
from perflint.analysis.rewrite import indentation, insert_after
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import definition_edit, import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_SPELLINGS = library.spellings(("asyncio.create_task", "asyncio.ensure_future"))


def _hopeful(sketch: Sketch) -> bool:
    calls = {*sketch.calls_to(*_SPELLINGS), *calls_on(sketch, frozenset({library.LOOP}), "create_task")}
    tests = [node.test for node in sketch.of(ast.If)] + [node.test for node in sketch.of(ast.While)]
    tests += [node.test for node in sketch.of(ast.Assert)]
    return forgotten(sketch, calls) or not calls.isdisjoint(tests)


rule = Rule(
    code="PRF308",
    name="dangling-task",
    summary="a task that nothing refers to can be collected mid-flight, and its failure goes unseen",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"create_task", b"ensure_future"),
        names=_SPELLINGS,
        imports=("asyncio",),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_SET = "_background_tasks"
_MESSAGE = (
    "task reference dropped: it can be garbage-collected mid-flight and no code sees its exception; "
    "keep it until it is done"
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not _spawns(node, context):
        return
    what = fate(context.names, context.flow, node)
    dropped = what in ("dropped", "underscore") or (what == "unread" and not _held(node, context))
    returned = (what == "lambda" and called_back(context.names, node)) or _tested(node, context)
    if (dropped or returned) and not _told(node, context):
        yield rule.finding(context, node, _MESSAGE, _fix(node, context) if dropped else None)


def _told(node: cst.Call, context: Context) -> bool:
    """Whether a `noqa` of ruff's rule for the same thing says that it is meant."""
    source, span = context.source, context.tree.span(node)
    first, last = source.line_of(span.start), source.line_of(span.end)
    return any("noqa: RUF006" in source.line_text(line) for line in {first, last})


def _spawns(node: cst.Call, context: Context) -> bool:
    match node.func:
        case cst.Attribute(attr=cst.Name(value="create_task" | "ensure_future")) | cst.Name():
            pass
        case _ if context.objects.function(node.func) is None:
            return False
    started = spawn(context.objects, node)
    if started is None or started.how != "task" or started.name == "asyncio.run_coroutine_threadsafe":
        return False
    return started.name != "asyncio.ensure_future" or isinstance(started.work, cst.Call)


def _held(node: cst.Call, context: Context) -> bool:
    """Whether the frame that holds the local lives on: it yields, or never leaves a loop after the spawn."""
    function = own_function(context.tree, node)
    if not isinstance(function, cst.FunctionDef) or contains(function.body, cst.Yield):
        return True
    after = context.tree.span(node).end
    return any(
        isinstance(item, cst.While)
        and context.tree.span(item).start > after
        and isinstance(item.test, (cst.Name, cst.Integer))
        and item.test.value in ("True", "1")
        for item in walk_scope(function.body)
    )


def _tested(node: cst.Call, context: Context) -> bool:
    match context.tree.parent(node):
        case cst.If(test=test) | cst.While(test=test) | cst.Assert(test=test):
            return test is node
    return False


def _fix(node: cst.Call, context: Context) -> Fix | None:
    """Name the task, add it to a set of the module, and let the set forget it when it is done."""
    tree = context.tree
    line = tree.statement(node)
    if not isinstance(line, cst.SimpleStatementLine) or context.flow.one_line(node):
        return None
    scope, small = context.scope(node), line.body[0]
    kept = _keeper(context, scope)
    if kept is None or scope.kind != "function" or tree.comments(tree.span(small)):
        return None
    grade = Applicability.UNSAFE
    match small:
        case cst.Expr(value=value) if value is node and not node.lpar:
            name, grade = _free(scope, context), Applicability.SAFE
            at = tree.span(node).start
            edits = [Edit(Span(at, at), f"{name} = ")]
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="_") as old)], value=value) if (
            value is node
        ):
            name = _free(scope, context)
            edits = [Edit(tree.span(old), name or "")]
        case cst.Assign(value=value) | cst.AnnAssign(value=value) if value is node:
            bound = bound_name(context.names, node)
            name, edits = bound.value if bound is not None else None, []
        case _:
            return None
    if name is None:
        return None
    margin = indentation(tree, line)
    keep = f"{_SET}.add({name})\n{margin}{name}.add_done_callback({_SET}.discard)"
    return Fix("Keep the task until it is done", (*kept, *edits, insert_after(tree, line, keep)), grade)


def _keeper(context: Context, scope: Scope) -> list[Edit] | None:
    """The edits that make the set, none where the module has it; None where its name means something else."""
    source, facts = context.source, context.facts
    if _SET.encode() in source.data:
        ours = isinstance(facts.constant(_SET), ast.Call) and scope.owner(_SET) in (None, context.names.top)
        return [] if ours and " = set()" in source.text else None
    if facts.star_import:
        return None
    imported = import_edit(source, facts.tree, "asyncio", None)
    annotation = f"set[{imported[0]}.Task]" if imported is not None and imported[1] is None else "set"
    return [definition_edit(source, facts.tree, f"{_SET}: {annotation} = set()")]


def _free(scope: Scope, context: Context) -> str | None:
    """A name for the task that means nothing in the function yet, or only tasks that this fix named."""
    for name in ("task", "background_task"):
        used = name in scope.bindings or name in scope.declared or scope.owner(name) is not None
        inner = any(name in item.reads or name in item.bindings for item in scope.within())
        if not used and not inner and name not in scope.reads:
            return name
        if used and not inner and _ours(name, scope, context):
            return name
    return None


def _ours(name: str, scope: Scope, context: Context) -> bool:
    """Whether the name is only ever bound to a task that the next two lines put into the set."""
    bound, code = scope.bindings.get(name, []), context.tree.code
    if any(item.kind != "assign" or not isinstance(item.value, cst.Call) for item in bound):
        return False
    lines = {code(context.tree.statement(read)) for read in scope.reads.get(name, ())}
    return bool(bound) and lines == {f"{_SET}.add({name})", f"{name}.add_done_callback({_SET}.discard)"}
