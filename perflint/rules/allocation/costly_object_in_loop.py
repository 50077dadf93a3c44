"""An object that costs much to make is made in every turn of a loop, always the same.

A TLS context reads the system's certificates, a logger is looked up under a lock, a decoder
compiles its scanner, and even `re.compile` of a known pattern is a cache lookup that costs
more than many a match. Where the arguments do not change, neither does the result.

Bad:

    import re


    def numbers(lines):
        found = []
        for line in lines:
            digits = re.compile(r"[0-9]+")
            found.append(digits.findall(line))
        return found

Good:

    import re


    def numbers(lines):
        found = []
        digits = re.compile(r"[0-9]+")
        for line in lines:
            found.append(digits.findall(line))
        return found

Which objects count is a table; the option `costly-objects` adds qualified names to it. Sessions,
clients, connections and pools have rules of their own.

Not flagged: arguments that change from turn to turn or come from calls and attributes, loops
over a few known items, exception handlers and paths that leave the loop, `if x is None: x = ..`
(the cure), objects with state that the loop changes or keeps one by one, `random.Random(7)` (to
start anew is its point), code outside of loops.

The fix moves `name = re.compile("constant")` above the outermost loop. It is unsafe: a wrong
pattern raises for an empty loop too, and the name is bound earlier.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import names_in
from perflint.analysis.patterns.invariance import inner, invariant, may_stay, needless, static
from perflint.analysis.patterns.uses import assigned_name, method, use
from perflint.analysis.rewrite import indentation, statement_lines
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span


class _Row(NamedTuple):
    """What is known of a constructor."""

    verb: str = "rebuilt"  # what a turn does with it
    state: bool = False  # the object changes in use: two turns may need one each
    args: int = 0  # the least number of arguments that make it costly
    literal: bool = False  # only with literal arguments


_TABLE = {
    "ssl.create_default_context": _Row("rebuilt from the system's certificates", state=True),
    "sqlite3.connect": _Row(state=True, args=1, literal=True),
    "logging.getLogger": _Row("looked up under a lock", args=1),
    "json.JSONDecoder": _Row(),
    "decimal.localcontext": _Row(state=True),
    "decimal.Context": _Row(state=True),
    "decimal.Decimal": _Row("parsed again", args=1, literal=True),
    "re.compile": _Row("looked up in the cache", args=1),
    "struct.Struct": _Row("compiled again", args=1),
    "jinja2.Environment": _Row(state=True),
    **{f"jsonschema.Draft{n}Validator": _Row(args=1) for n in ("3", "4", "6", "7", "201909", "202012")},
    "sqlalchemy.create_engine": _Row(args=1, state=True),
}


def _hopeful(sketch: Sketch) -> bool:
    calls = sketch.calls_to(*_TABLE)
    again = set(calls).intersection(sketch.repeated(ast.Call))
    return any(all(map(may_stay, (*call.args, *(word.value for word in call.keywords)))) for call in again)


rule = Rule(
    code="PRF221",
    name="costly-object-in-loop",
    summary="an object that costs much to make is made anew in every turn of a loop",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=tuple(_TABLE), option="costly_objects", inner=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="lines = ['a1'] * n", call="numbers(lines)"),
    tests=False,
)

# Methods that give an object state which another turn may not want.
_SETTERS = ("set", "load", "add", "update", "register", "install", "clear")


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    qualified = context.names.qualified(node.func)
    if qualified is None:
        return
    row = _TABLE.get(qualified) or (_Row() if qualified in context.config.costly_objects else None)
    if row is None or any(arg.star for arg in node.args) or len(node.args) < row.args:
        return
    if (row.literal and not _literal(node, qualified)) or (
        qualified == "logging.getLogger" and _is_root(node)
    ):
        return
    if qualified == "re.compile" and not _matched_here(node, context):
        return
    loops = needless(context.flow, node, [arg.value for arg in node.args])
    if not loops or not inner(context.flow, node) or _rare(node, context):
        return
    if row.state and _changes(node, loops[0], context):
        return
    message = (
        f"`{qualified}(...)` with loop-invariant arguments is {row.verb} every iteration; "
        "create it once before the loop"
    )
    fix = _fix(node, loops, context) if qualified == "re.compile" else None
    finding = rule.finding(context, node, message, fix)
    # what the benchmark measured holds for `re.compile` alone
    yield finding if qualified == "re.compile" else finding._replace(payoff="")


def _literal(node: cst.Call, qualified: str) -> bool:
    first = node.args[0].value
    if qualified == "sqlite3.connect":
        return isinstance(first, cst.SimpleString) and first.evaluated_value == ":memory:"
    return isinstance(first, (cst.SimpleString, cst.Integer, cst.Float, cst.UnaryOperation))


def _matched_here(node: cst.Call, context: Context) -> bool:
    """Whether the turn itself matches with the pattern; one that is handed on may be compiled for show."""
    if assigned_name(context.tree, node) is not None:
        return True
    role, above = use(context.tree, node)
    return (
        role == "attribute" and isinstance(above, cst.Attribute) and use(context.tree, above).role == "called"
    )


def _is_root(node: cst.Call) -> bool:
    """`getLogger(None)` is the root logger, which is at hand."""
    return isinstance(node.args[0].value, cst.Name) and node.args[0].value.value == "None"


def _rare(node: cst.Call, context: Context) -> bool:
    """Whether the call stands on a path that few turns take, or in one of its cures."""
    below: cst.CSTNode = node
    name = assigned_name(context.tree, node)
    for above in context.tree.ancestors(node):
        match above:
            case cst.For() | cst.While() | cst.FunctionDef():
                return False
            case cst.ExceptHandler() | cst.ExceptStarHandler() | cst.Raise() | cst.Assert():
                return True
            case cst.BooleanOperation(operator=cst.Or(), right=right) if right is below:
                return True
            case cst.If(test=test, body=body) if (
                body is below and name is not None and name.value in names_in(test)
            ):
                return True  # `if pattern is None: pattern = re.compile(..)`
        below = above
    return False


def _changes(node: cst.Call, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the loop gives the object state, or keeps the objects of several turns."""
    parent = context.tree.parent(node)
    name = assigned_name(context.tree, node)
    if isinstance(parent, cst.WithItem):
        if parent.asname is None:
            return False
        name = parent.asname.name if isinstance(parent.asname.name, cst.Name) else None
    if name is None:
        taker = use(context.tree, node)
        return taker.role == "other" or method(context.tree, taker.node) in ("append", "add", "put")
    scope = context.scope(node)
    if name.value in scope.declared or context.flow.captured(name.value, scope):
        return True
    return any(_keeps_or_sets(read, loop, context) for read in context.flow.reads(name.value, scope))


def _keeps_or_sets(read: cst.Name, loop: cst.CSTNode, context: Context) -> bool:
    tree = context.tree
    role, node = use(tree, read)
    if role == "argument":
        return method(tree, node) in ("append", "add", "put", "submit")
    if role != "attribute" or not isinstance(node, cst.Attribute):
        return role == "other"
    while isinstance(above := tree.parent(node), (cst.Attribute, cst.Subscript)):
        node = above
    if isinstance(above, (cst.AssignTarget, cst.AugAssign)):
        value = getattr(tree.parent(above) if isinstance(above, cst.AssignTarget) else above, "value", None)
        return value is None or not invariant(context.flow, value, loop)
    if isinstance(above, cst.Call) and above.func is node:
        called = method(tree, above) or ""
        return called.startswith(_SETTERS) and not all(
            invariant(context.flow, arg.value, loop) for arg in above.args
        )
    return False


def _fix(node: cst.Call, loops: list[cst.CSTNode], context: Context) -> Fix | None:
    """Move the assignment above the outermost loop, where it is a plain statement of the innermost."""
    tree, flow = context.tree, context.flow
    name, scope, line = assigned_name(tree, node), context.scope(node), tree.statement(node)
    near, outer = loops[0], loops[-1]
    if name is None or not flow.private(name.value, scope) or not isinstance(outer, (cst.For, cst.While)):
        return None
    if (
        not isinstance(near, (cst.For, cst.While))
        or tree.parent(line) is not near.body
        or flow.one_line(line)
    ):
        return None
    if len(scope.bindings[name.value]) > 1 or len(near.body.body) < 2:
        return None
    if flow.tried(line) or not static(flow, node):
        return None
    gone = statement_lines(tree, line)
    # a comment above the line speaks of it
    leading = line.leading_lines if isinstance(line, cst.SimpleStatementLine) else ()
    if tree.comments(gone) or any(item.comment is not None for item in leading):
        return None
    at = statement_lines(tree, outer).start
    moved = f"{indentation(tree, outer)}{tree.code(line)}\n"
    edits = Edit(Span(at, at), moved), Edit(gone, "")
    return Fix("Compile the pattern before the loop", edits, Applicability.UNSAFE)
