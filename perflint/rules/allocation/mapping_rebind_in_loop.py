"""A dict or set grows by `d = {**d, k: v}` or `s = s | {x}` in a loop.

Each turn builds a new container from all that was collected so far to add one item, so the
work grows with the square of the number of turns. `d[k] = v`, `d.update(...)` and `s.add(x)`
change the container where it is. `functools.reduce(lambda d, x: {**d, ...}, ...)` is the same loop.

Bad:

    def lengths(words):
        found = {}
        for word in words:
            found = {**found, word: len(word)}
        return found

Good:

    def lengths(words):
        found = {}
        for word in words:
            found[word] = len(word)
        return found

Not flagged: names that are not known to be a dict or set (`flags = flags | X`), `new = {**base}`
under another name, containers that begin anew in each turn, loops over a few known items, and
containers that each turn hands to others, who may count on their own copy.

The fix is safe for a dict that the function makes itself and nobody else holds, as long as not
both key and value run code: `d[k] = v` evaluates the value first. For sets it is unsafe: a set
that grows in place may list its items in another order than one that is copied.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.growth import growths as grown
from perflint.analysis.kinds import Kind
from perflint.analysis.likely import Likely
from perflint.analysis.marks import MAPPING_REBOUND
from perflint.analysis.match import Growth, contains, dotted, growths
from perflint.analysis.patterns.containers import (
    Life,
    alterable,
    certain,
    escapes,
    glance,
    growing_in,
    life,
    made,
    swappable,
    witnesses_in,
)
from perflint.analysis.rewrite import element
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    likely = sketch.once(Likely)
    for item in grown(sketch):
        if item.form == "display" and isinstance(item.value, (ast.Dict, ast.Set)):
            return True
        if item.form in ("copy", "or") and likely.told(item.place) & {"dict", "set"}:
            return True
    adders = (call.args[0] for call in sketch.calls_to("functools.reduce") if len(call.args) > 1)
    return any(isinstance(item, ast.Lambda) and isinstance(item.body, (ast.Dict, ast.Set)) for item in adders)


rule = Rule(
    code="PRF202",
    name="mapping-rebind-in-loop",
    summary="`d = {**d, k: v}` copies the whole dict in each turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"reduce(",), marks=MAPPING_REBOUND, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="words = [str(i) for i in range(n)]", call="lengths(words)"),
)


@dataclass(frozen=True)
class Update:
    """How the change is written in place, and whether that certainly adds the same."""

    text: str
    certain: bool


@rule.visits(cst.Assign, cst.AnnAssign)
def check(node: cst.Assign | cst.AnnAssign, context: Context) -> Iterator[Finding]:
    for growth in growths(node):
        name = dotted(growth.target)
        loop = growing_in(context, node, growth.target) if name else None
        if loop is None or name is None:
            continue
        born = life(context, name, loop) if isinstance(growth.target, cst.Name) else None
        known = made(context.names, born.value) if born else context.kinds.of(growth.target)
        kind = _kind(growth, known, context)
        if kind is None:
            continue
        reads = born.witnesses if born else witnesses_in(context, name, loop)
        # Others keep the container of each turn: the copy is wanted.
        if any(escapes(context, read) for read in reads if not context.flow.inside(read, node)):
            continue
        message = f'"{_form(growth, name, kind)}" copies the whole {kind} each iteration; update it in place'
        yield rule.finding(context, node, message, _fix(growth, name, born, context))


@rule.visits(cst.Call)
def check_reduce(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.args:
        case [
            cst.Arg(value=cst.Lambda(params=cst.Parameters(params=[first, _]), body=body), keyword=None),
            _,
            *_,
        ]:
            name = first.name.value
        case _:
            return
    match body:
        case cst.Dict(elements=items) | cst.Set(elements=items) if any(
            _spreads(item, name) for item in items
        ):
            if context.names.qualified(node.func) == "functools.reduce":
                kind, star = ("dict", "**") if isinstance(body, cst.Dict) else ("set", "*")
                form = f"{{{star}{name}, ...}}"
                message = f'"{form}" in `reduce` copies the whole {kind} each iteration; update one {kind} in a loop'
                yield rule.finding(context, node, message)


def _spreads(item: cst.CSTNode, name: str) -> bool:
    return isinstance(item, (cst.StarredDictElement, cst.StarredElement)) and dotted(item.value) == name


def _kind(growth: Growth, known: Kind | None, context: Context) -> Kind | None:
    """Whether a dict or a set grows; None where the target is not known to be one."""
    kind: Kind | None = None
    match growth.form, growth.value:
        case "display", cst.Dict(elements=items) | cst.Set(elements=items) if len(items) > 1:
            kind = "dict" if isinstance(growth.value, cst.Dict) else "set"
            own = isinstance(growth.target, cst.Name) or dotted(growth.target.value) == "self"  # type: ignore[attr-defined]
            return kind if own and known in (None, kind) else None
        case "copy", cst.Call(func=cst.Name() as function, args=args) if len(args) > 1:
            kind = "dict" if context.names.builtin(function) == "dict" else None
        case "copy", cst.Call(func=cst.Attribute(), args=args) if args:
            kind = "set"
        case "or", _ if known in ("dict", "set"):
            fits = (None, known, "frozenset") if known == "set" else (None, known)
            kind = known if context.kinds.of(growth.operands[0]) in fits else None
    return kind if known == kind else None


def _form(growth: Growth, name: str, kind: Kind) -> str:
    match growth.form, growth.value:
        case "display", cst.Dict() | cst.Set() as display:
            star = "**" if kind == "dict" else "*"
            leads = _spreads(display.elements[0], name)
            return f"{name} = {{{star}{name}, ...}}" if leads else f"{name} = {{..., {star}{name}}}"
        case "copy", cst.Call(func=cst.Name()):
            return f"{name} = dict({name}, ...)"
        case "copy", _:
            return f"{name} = {name}.union(...)"
    return f"{name} = {name} | ..."


def _fix(growth: Growth, name: str, born: Life | None, context: Context) -> Fix | None:
    tree, node = context.tree, growth.node
    if not growth.sole or not isinstance(growth.target, cst.Name) or tree.comments(tree.span(node)):
        return None
    if not alterable(context, name, node) or contains(node, cst.Yield):
        return None
    if any(isinstance(context.tree.parent(read), cst.Yield) for read in (born.witnesses if born else ())):
        return None
    old = next(part for part in walk(growth.value) if isinstance(part, cst.Name) and part.value == name)
    reads = (part for part in walk(growth.value) if isinstance(part, cst.Name) and part.value == name)
    if any(read is not old and not glance(context, read) for read in reads):
        return None
    update = _update(growth, name, context)
    if update is None:
        return None
    safe = update.certain and born is not None and born.kind == "dict" and born.secret
    grade = Applicability.SAFE if safe else Applicability.UNSAFE
    return Fix("Update in place", (Edit(tree.span(node), update.text),), grade)


def _update(growth: Growth, name: str, context: Context) -> Update | None:
    match growth.form, growth.value:
        case "display", cst.Dict(elements=[first, *rest]) if _spreads(first, name):
            return _dict_items(name, rest, context)
        case "display", cst.Set(elements=[first, *rest]) if _spreads(first, name):
            match rest:
                case [cst.Element(value=item)]:
                    return Update(f"{name}.add({element(context.tree, item)})", False)
            return Update(f"{name}.update(({_text(rest, context)}))", False) if len(rest) > 1 else None
        case "or", _:
            return _operand(name, growth.operands[0], context)
        case "copy", cst.Call(func=cst.Name(), args=[_, *rest]):
            return _keywords(name, rest, context)
        case "copy", cst.Call(args=args):
            match args:
                case [cst.Arg(value=cst.List(elements=[cst.Element(value=item)]), star="")]:
                    return Update(f"{name}.add({element(context.tree, item)})", False)
            return Update(f"{name}.update({_text(args, context)})", False)
    return None


def _dict_items(name: str, items: Sequence[cst.BaseDictElement], context: Context) -> Update | None:
    match items:
        case [cst.DictElement(key=key, value=value)]:
            code = context.tree.code
            return Update(f"{name}[{code(key)}] = {code(value)}", swappable(context, key, value))
        case [cst.StarredDictElement(value=other)]:
            return Update(f"{name}.update({element(context.tree, other)})", certain(context, other) == "dict")
    constant = all(
        isinstance(item, cst.DictElement) and isinstance(item.key, cst.SimpleString) for item in items
    )
    return Update(f"{name}.update({{{_text(items, context)}}})", constant)


def _operand(name: str, operand: cst.BaseExpression, context: Context) -> Update | None:
    match operand:
        case cst.Dict(elements=[cst.DictElement()]):
            return _dict_items(name, operand.elements, context)
        case cst.Set(elements=[cst.Element(value=item)]):
            return Update(f"{name}.add({element(context.tree, item)})", False)
    return Update(f"{name} |= {context.tree.code(operand)}", certain(context, operand) == "dict")


def _keywords(name: str, args: Sequence[cst.Arg], context: Context) -> Update:
    match args:
        # Names in a class that begin with two underscores are mangled as keywords, but not in quotes.
        case [cst.Arg(keyword=cst.Name(value=word), value=value)] if word.isascii() and not word.startswith(
            "__"
        ):
            return Update(f'{name}["{word}"] = {context.tree.code(value)}', True)
    return Update(f"{name}.update({_text(args, context)})", all(arg.keyword is not None for arg in args))


def _text(nodes: Sequence[cst.CSTNode], context: Context) -> str:
    """The text from the first node to the last."""
    return context.source.slice(context.tree.span(nodes[0]).start, context.tree.span(nodes[-1]).end)
