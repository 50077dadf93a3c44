"""A loop copies the parts of an iterable into a str: by hand what `join` does.

`"".join(parts)` adds up the lengths, makes the text once and fills it in one call; the loop
runs several instructions for each part and may have to copy what it has so far.

Bad:

    def merge(words: list[str]):
        text = ""
        for word in words:
            text += word
        return text

Good:

    def merge(words: list[str]):
        text = "".join(words)
        return text

The same with a separator that is cut off at the end: `text += word + ", "`, then `text[:-2]`.

Not flagged: parts that the loop changes (`text += word.upper()` is local-str-accumulation, where
there is little to gain), a prefix or suffix around each part, `rstrip` instead of a cut, since it
takes off more, loops that do anything else, values that are no plain locals
(quadratic-str-accumulation).

The fix is safe where every part is sure to be exactly str: a str is taken apart, or the parts come
from `split` or a display. Else it is unsafe: `+=` lets a part with `__radd__` take over, as those of
MarkupSafe do, and `join` does not. It is not offered where the start stands further up, the loop
variable is used elsewhere, or a comment would be lost.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.analysis.patterns.accumulate import Accumulator, annotated
from perflint.analysis.patterns.accumulating import accumulating
from perflint.analysis.patterns.joins import Copy, copied
from perflint.analysis.rewrite import element, remove, replace, statement_lines
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span


def _hopeful(sketch: Sketch) -> bool:
    places = {item.place for item in accumulating(sketch, "str")}
    bodies = (loop.body for loop in sketch.loops)
    grown = (body[0].target for body in bodies if len(body) == 1 and isinstance(body[0], ast.AugAssign))
    return any(isinstance(target, ast.Name) and target.id in places for target in grown)


rule = Rule(
    code="PRF105",
    name="manual-str-join",
    summary='a loop does what one `"".join(..)` does',
    category="text",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="words = ['x' * 8] * n", call="merge(words)"),
)


@rule.visits(cst.AugAssign)
def check(node: cst.AugAssign, context: Context) -> Iterator[Finding]:
    for item in context.accumulators.of(node):
        copy = copied(item, context.flow) if item.kind == "str" else None
        if copy is None or context.accumulators.quadratic(item, context.config.target):
            continue
        yield rule.finding(
            context,
            node,
            f"this loop is `{_call(copy, context)}`; call it once",
            _fix(item, copy, context),
        )


def _call(copy: Copy, context: Context) -> str:
    parts = context.tree.code(copy.loop.iter)
    return f"{copy.separator or _EMPTY}.join({parts if len(parts) < 40 and parts.isprintable() else '..'})"


_EMPTY = '""'


def _fix(item: Accumulator, copy: Copy, context: Context) -> Fix | None:
    tree, flow, loop = context.tree, context.flow, copy.loop
    if (
        not copy.adjacent
        or not flow.loop_variable_free(loop, item.scope)
        or not flow.private(item.place, item.scope)
    ):
        return None
    statements: list[cst.BaseStatement] = [loop]
    if copy.cut is not None:
        statements.append(tree.statement(copy.cut))
    lines = Span(
        statement_lines(tree, tree.statement(copy.init)).start, statement_lines(tree, statements[-1]).end
    )
    footer = loop.body.footer if isinstance(loop.body, cst.IndentedBlock) else ()
    if tree.comments(lines) or any(line.comment for line in footer):
        return None
    parts = element(tree, loop.iter)
    if loop.asynchronous is not None:
        word = tree.code(loop.target)
        parts = f"[{word} async for {word} in {parts}]"
    start = f"{tree.code(copy.value)} + " if copy.value.evaluated_value else ""
    edits = [
        replace(tree, copy.value, f"{start}{copy.separator or _EMPTY}.join({parts})"),
        remove(tree, loop),
    ]
    edits.extend(_without_cut(item, copy, context))
    return Fix("Join the parts", tuple(edits), _applicability(copy, start, context))


def _without_cut(item: Accumulator, copy: Copy, context: Context) -> Iterator[Edit]:
    if copy.cut is None:
        return
    small = context.tree.parent(copy.cut)
    if isinstance(small, cst.Return):
        yield replace(context.tree, copy.cut, item.place)
    else:
        yield remove(context.tree, context.tree.statement(copy.cut))


def _applicability(copy: Copy, start: str, context: Context) -> Applicability:
    loop, kinds = copy.loop, context.kinds
    whole = kinds.of(loop.iter, strict=True) == "str"  # its characters are exactly str, whatever it is
    exact = whole or (
        kinds.elements(loop.iter, strict=True) == "str" and not annotated(loop.iter, context.names)
    )
    safe = exact and not start and loop.asynchronous is None and not context.flow.guarded(loop)
    return Applicability.SAFE if safe else Applicability.UNSAFE
