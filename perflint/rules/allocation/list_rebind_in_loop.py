"""A list grows by `xs = xs + [x]` in a loop.

Each turn builds a new list: everything collected so far is copied to add one item, so the
work grows with the square of the number of turns. `[*xs, x]` copies just as much and is no
gain. `append` and `extend` grow the list where it is.

Bad:

    def lengths(words):
        found = []
        for word in words:
            found = found + [len(word)]
        return found

Good:

    def lengths(words):
        found = []
        for word in words:
            found.append(len(word))
        return found

Not flagged: names that are not known to be lists (arrays add their items), lists that begin
anew in each turn, loops over a few known items, and lists that each turn hands to others
(`stack.append((node, path))`): there the copy is wanted.

The fix is safe where the function makes the list itself and nobody else holds it, since an
alias would see `append` and not the rebinding; otherwise it is unsafe. There is none for
attributes, default arguments, names that a nested function uses, and items put in front.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.growth import growths as grown
from perflint.analysis.likely import Likely
from perflint.analysis.marks import Mark
from perflint.analysis.match import Growth, contains, dotted, growths, names_in
from perflint.analysis.patterns.containers import (
    Life,
    alterable,
    certain,
    escapes,
    glance,
    growing_in,
    life,
    made,
    witnesses_in,
)
from perflint.analysis.rewrite import element
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span


def _hopeful(sketch: Sketch) -> bool:
    likely = sketch.once(Likely)
    for item in grown(sketch):
        match item.form, item.value:
            case "display", ast.List(elts=[_, _, *_]):
                return True
            case (("append" | "prepend" | "middle"), _):
                shown = any(isinstance(part, ast.List) and part.elts for part in item.operands)
                if shown or (item.form == "append" and "list" in likely.told(item.place)):
                    return True
    return False


rule = Rule(
    code="PRF201",
    name="list-rebind-in-loop",
    summary="`xs = xs + [x]` copies the whole list in each turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.REBIND_ADD, Mark.REBIND_DISPLAY}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="words = ['x' * 7] * n", call="lengths(words)"),
)

_IN_FRONT = "insert in front with collections.deque.appendleft, or append and reverse once"


@rule.visits(cst.Assign, cst.AnnAssign, cst.NamedExpr)
def check(node: cst.Assign | cst.AnnAssign | cst.NamedExpr, context: Context) -> Iterator[Finding]:
    for growth in growths(node):
        name = dotted(growth.target)
        loop = growing_in(context, node, growth.target) if name else None
        if loop is None or name is None:
            continue
        born = life(context, name, loop) if isinstance(growth.target, cst.Name) else None
        if not _lists(growth, born, context):
            continue
        # Others keep the list of each turn, as a search keeps its paths: the copy is wanted.
        reads = born.witnesses if born else witnesses_in(context, name, loop)
        if any(escapes(context, read) for read in reads if not context.flow.inside(read, node)):
            continue
        yield rule.finding(context, node, _message(growth, name), _fix(growth, name, born, context))


def _lists(growth: Growth, born: Life | None, context: Context) -> bool:
    """Whether a known list gets items: at least one, as far as the text tells."""
    kinds = context.kinds
    if growth.form == "display":
        return isinstance(growth.value, cst.List) and len(growth.value.elements) > 1
    if growth.form not in ("append", "prepend", "middle"):
        return False
    parts = [kinds.of(part) for part in growth.operands]
    if any(isinstance(part, cst.List) and not part.elements for part in growth.operands):
        return False
    if growth.form != "append" and not any(isinstance(part, cst.List) for part in growth.operands):
        return False  # `found = deeper + found` puts whole lists in front: no single step mends that
    if isinstance(growth.target, cst.Name):
        known = kinds.of(growth.target) or (made(context.names, born.value) if born else None)
        return known == "list" and all(kind in ("list", None) for kind in parts)
    own = isinstance(growth.target, cst.Attribute) and dotted(growth.target.value) in ("self", "cls")
    return own and any(isinstance(part, cst.List) for part in growth.operands)


def _message(growth: Growth, name: str) -> str:
    if growth.form == "display":
        first = growth.value.elements[0]  # type: ignore[attr-defined]
        leads = isinstance(first, cst.StarredElement) and dotted(first.value) == name
        form = f"{name} = [*{name}, ...]" if leads else f"{name} = [..., *{name}]"
        advice = "use `.append()`/`.extend()`" if leads else _IN_FRONT
        return f'"{form}" copies the whole list each iteration, as "+" does; {advice}'
    form = f"{name} = ... + {name}" if growth.form != "append" else f"{name} = {name} + ..."
    advice = _IN_FRONT if growth.form != "append" else "use `.append()`/`.extend()`"
    return f'"{form}" copies the whole list each iteration; {advice}'


def _fix(growth: Growth, name: str, born: Life | None, context: Context) -> Fix | None:
    tree = context.tree
    if not growth.sole or not isinstance(growth.target, cst.Name) or tree.comments(tree.span(growth.node)):
        return None
    if not alterable(context, name, growth.node):
        return None
    parts = _parts(growth, name)
    if not parts or any(name in names_in(part) and not _harmless(part, name, context) for part in parts):
        return None
    if any(contains(part, cst.Yield) for part in parts) or _yielded(name, context, growth):
        return None
    text, certain = _statement(name, parts, growth, context)
    safe = (
        certain
        and born is not None
        and born.kind == "list"
        and born.secret
        and not any(name in names_in(part) for part in parts)
    )
    grade = Applicability.SAFE if safe else Applicability.UNSAFE
    return Fix("Grow the list in place", (Edit(tree.span(growth.node), text),), grade)


def _parts(growth: Growth, name: str) -> list[cst.BaseExpression | cst.BaseElement] | None:
    """What is added at the end: the operands, or the elements after `*name`."""
    if growth.form == "append":
        return list(growth.operands)
    if growth.form == "display" and isinstance(growth.value, cst.List):
        first, *rest = growth.value.elements
        if isinstance(first, cst.StarredElement) and dotted(first.value) == name:
            return list(rest)
    return None


def _statement(
    name: str, parts: list[cst.BaseExpression | cst.BaseElement], growth: Growth, context: Context
) -> tuple[str, bool]:
    """The statement that grows the list, and whether it certainly adds the same items."""
    tree = context.tree
    if growth.form == "append":
        items = [item for part in parts if isinstance(part, cst.List) for item in part.elements]
        match parts:
            case [cst.Call(args=[cst.Arg(value=inner, keyword=None, star="")]) as call] if (
                made(context.names, call) == "list"
                and dotted(call.func) == "list"
                and not isinstance(inner, cst.GeneratorExp)
            ):
                # `extend` keeps what it got before an exception.
                return f"{name}.extend({element(tree, inner)})", not context.flow.guarded(growth.node)
        if not all(isinstance(part, cst.List) for part in parts):
            rest = Span(tree.span(parts[0]).start, tree.span(parts[-1]).end)
            return f"{name}.extend({tree.source.slice(*rest)})", all(
                certain(context, part) == "list" for part in parts if isinstance(part, cst.BaseExpression)
            )
    else:
        items = [item for item in parts if isinstance(item, cst.BaseElement)]
    if len(items) == 1 and isinstance(items[0], cst.Element):
        return f"{name}.append({element(tree, items[0].value)})", True
    if len(items) == 1 and growth.form == "display":
        # `extend` keeps what it got before an exception, the display does not.
        return f"{name}.extend({element(tree, items[0].value)})", not context.flow.guarded(growth.node)
    text = ", ".join(
        f"*{element(tree, item.value)}" if isinstance(item, cst.StarredElement) else element(tree, item.value)
        for item in items
    )
    return f"{name}.extend(({text}{',' if len(items) == 1 else ''}))", True


def _harmless(part: cst.CSTNode, name: str, context: Context) -> bool:
    reads = (node for node in walk(part) if isinstance(node, cst.Name) and node.value == name)
    return all(glance(context, node) for node in reads)


def _yielded(name: str, context: Context, growth: Growth) -> bool:
    """Whether the loop yields the list as it is."""
    return any(
        isinstance(context.tree.parent(read), cst.Yield)
        for read in context.flow.foreign_reads(name, context.scope(growth.node))
    )
