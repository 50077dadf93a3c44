"""Loops that do nothing but collect items in a list or set, and how one expression takes their place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from perflint.analysis.match import contains, names_in, sole_small
from perflint.analysis.patterns.containers import Life
from perflint.analysis.rewrite import indentation, statement_lines
from perflint.analysis.rule import Context
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Tree, walk
from perflint.model.diagnostics import Applicability, Edit, Span

WIDTH = 88  # a longer expression gets a line for each of its clauses


@dataclass(frozen=True, eq=False)
class Collect:
    """A `for` whose whole body is `owner.method(item)`, perhaps under one `if test`."""

    loop: cst.For
    owner: str
    method: str
    item: cst.BaseExpression
    test: cst.BaseExpression | None

    @property
    def copies(self) -> bool:
        """Whether it takes every item as it is."""
        target = self.loop.target
        plain = isinstance(target, cst.Name) and isinstance(self.item, cst.Name)
        return plain and self.test is None and target.value == self.item.value  # type: ignore[attr-defined]


def collect(loop: cst.For) -> Collect | None:
    """What the loop collects, if that is all it does and the collection does not depend on its own turn."""
    body, test = loop.body, None
    match body:
        case cst.IndentedBlock(body=[cst.If(test=condition, body=inner, orelse=None)]):
            body, test = inner, condition
    match sole_small(body):
        case cst.Expr(
            value=cst.Call(
                func=cst.Attribute(
                    value=cst.Name(value=owner), attr=cst.Name(value="append" | "add" as method)
                ),
                args=[cst.Arg(value=item, keyword=None, star="")],
            )
        ) if loop.orelse is None and owner not in names_in(loop.target, loop.iter, item, test):
            return Collect(loop, owner, method, item, test)
    return None


def collecting(sketch: Sketch) -> Iterator[tuple[ast.For | ast.AsyncFor, ast.Call, bool]]:
    """The loops of a region that `collect` may know, each with its call, and whether it takes items as they are."""
    for loop in (node for node in sketch.loops if not isinstance(node, ast.While)):
        body, tested = loop.body, False
        match body:
            case [ast.If(body=body, orelse=[])]:
                tested = True
        match body:
            case [ast.Expr(ast.Call(ast.Attribute(ast.Name(), "append" | "add"), [item], []) as call)]:
                target = loop.target
                plain = isinstance(target, ast.Name) and isinstance(item, ast.Name) and item.id == target.id
                yield loop, call, plain and not tested


def trace(context: Context, loop: cst.For) -> Applicability | None:
    """How safely the loop's variables can vanish: not at all where something in sight still reads them."""
    scope = context.scope(loop)
    if context.flow.loop_variable_free(loop, scope):
        return Applicability.SAFE
    declared = scope is context.names.top and not names_in(loop.target).isdisjoint(context.facts.global_names)
    return Applicability.UNSAFE if context.flow.loop_variable_unread(loop, scope) and not declared else None


def adjacent(context: Context, born: Life) -> bool:
    """Whether the container is started, empty, by the statement right before its loop."""
    return born.empty and context.tree.before(born.loop) is born.start


def commented(tree: Tree, loop: cst.For) -> bool:
    """Whether a comment stands in the loop, at its end or below its last statement."""
    lines, span = statement_lines(tree, loop), tree.span(loop)
    if tree.comments(Span(span.start, lines.end)):
        return True
    blocks = (node for node in walk(loop) if isinstance(node, cst.IndentedBlock))
    return any(line.comment is not None for block in blocks for line in block.footer)


def fuse(context: Context, born: Life, loop: cst.For, text: str) -> tuple[Edit, ...] | None:
    """Start the container with `text` instead of filling it in the loop; the caller has asked `commented`."""
    tree = context.tree
    first, last = statement_lines(tree, born.start), statement_lines(tree, loop)
    if tree.before(loop) is born.start and not tree.comments(Span(first.end, last.start)):
        return Edit(tree.span(born.value), text), Edit(Span(first.end, last.end), "")
    if tree.comments(Span(tree.span(born.start).end, first.end)):
        return None
    start = tree.source.slice(tree.span(born.start).start, tree.span(born.value).start)
    after = tree.source.line_of(first.end)
    while not tree.source.line_text(after).strip():
        after += 1
    gone = Span(first.start, tree.source.line_starts[after - 1])
    return Edit(gone, ""), Edit(tree.span(loop), start + text)


def clauses(context: Context, loop: cst.For, parts: list[str], opening: str) -> str:
    """The parts of a comprehension in brackets, on one line or on a line each. `opening` stands before it."""
    line = f"[{' '.join(parts)}]"
    margin = indentation(context.tree, loop)
    if "\n" not in line and len(margin) + len(opening) + len(line) <= WIDTH:
        return line
    inner = f"\n{margin}    "
    return f"[{inner}{inner.join(parts)}\n{margin}]"


def outdented(context: Context, node: cst.BaseExpression, text: str, loop: cst.For) -> str:
    """The text of an item of several lines, moved to where it will stand, unless a string spans lines."""
    tree = context.tree
    if "\n" not in text or any(_spans_lines(tree, part) for part in walk(node)):
        return text
    source, start = tree.source, tree.span(node).start
    line = source.line_text(source.line_of(start))
    column = len(line) - len(line.lstrip())
    shift = column - len(indentation(tree, loop)) - 4
    first, *rest = text.split("\n")
    if shift <= 0 or any(part.strip() and part[:shift].strip() for part in rest):
        return text
    return "\n".join((first, *(part[shift:] for part in rest)))


def _spans_lines(tree: Tree, part: cst.CSTNode) -> bool:
    return isinstance(part, (cst.SimpleString, cst.FormattedString)) and "\n" in tree.code(part)


def runs_foreign_code(*nodes: cst.CSTNode | None) -> bool:
    """Whether evaluating may call, look up or wait: anything beyond operators on names and constants."""
    risky = (cst.Call, cst.Attribute, cst.Subscript, cst.Await, cst.NamedExpr)
    return any(contains(node, *risky) for node in nodes if node is not None)
