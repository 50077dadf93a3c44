"""A container is built to add a single item to another.

`xs += [x]` and `xs.extend([x])` make a list of one item, copy the item out of it and throw the
list away; `d.update({k: v})` does so with a dict and looks a method up as well. `append`,
`d[k] = v` and `add` take the item as it is. Reported in loops only, where it adds up.

Bad:

    def index(words):
        places = {}
        for place, word in enumerate(words):
            places.update({word: place})
        return places

Good:

    def index(words):
        places = {}
        for place, word in enumerate(words):
            places[word] = place
        return places

Not flagged: receivers that are not known to be list, dict or set (`Counter.update` adds, a
subclass may treat items its own way, arrays and deques know `+=`), several items, attributes,
code outside of loops and loops over a few known items.

The fix is safe for containers that the code itself makes with a display or a builtin. It is
unsafe for annotated parameters, where both key and value run code (`d[k] = v` evaluates the
value first), and for `s |= {x}`, which may leave the set in another order.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.kinds import Kind
from perflint.analysis.likely import Likely
from perflint.analysis.marks import Mark, adds_one
from perflint.analysis.match import contains, names_in, simple
from perflint.analysis.names import Scope
from perflint.analysis.patterns.containers import exact, life, swappable
from perflint.analysis.rewrite import element
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity


def _hopeful(sketch: Sketch) -> bool:
    likely = sketch.once(Likely)
    for node in (*sketch.looped(ast.AugAssign), *sketch.looped(ast.Expr)):
        match node if adds_one(node) else None:
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add()):
                kinds = {"list"}
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="extend"))):
                kinds = {"list"}
            case ast.AugAssign(target=ast.Name(id=name)) | ast.Expr(
                ast.Call(ast.Attribute(ast.Name(id=name)))
            ):
                kinds = {"dict", "set"}
            case _:
                continue
        if likely.told(name) & kinds or likely.grows_only(name):
            return True
    return False


rule = Rule(
    code="PRF207",
    name="single-item-bulk-update",
    summary="a container is built in a loop to add a single item",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(marks=frozenset({Mark.ADD_ONE}), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="words = ['x' * 7 + str(i) for i in range(n)]", call="index(words)"),
)


@rule.visits(cst.AugAssign, cst.Expr)
def check(node: cst.AugAssign | cst.Expr, context: Context) -> Iterator[Finding]:
    found = _bulk(node)
    if found is None or all(context.flow.bounded(loop) for loop in context.flow.loops(node)):
        return
    owner, form, takes, item = found
    kind = context.kinds.of(owner)
    sure = _sure(owner, context)
    if (sure or kind) not in takes:
        return
    kind = sure or kind
    name = owner.value
    better = {"list": f"{name}.append(...)", "dict": f"{name}[...] = ...", "set": f"{name}.add(...)"}[
        kind or ""
    ]
    message = f"`{form}` builds a container to add one item; use `{better}`"
    yield rule.finding(context, node, message, _fix(node, name, kind, item, bool(sure), context))


Item = cst.BaseExpression | cst.DictElement | cst.Arg


def _bulk(node: cst.AugAssign | cst.Expr) -> tuple[cst.Name, str, tuple[Kind, ...], Item] | None:
    """The receiver, how the update is written, which kinds take it so, and the single item."""
    match node:
        case cst.AugAssign(target=cst.Name() as owner, operator=cst.AddAssign(), value=value):
            item = _single(value, cst.List, cst.Tuple)
            if item is not None:
                comma = isinstance(value, cst.Tuple)
                return owner, f"{owner.value} += {'(...,)' if comma else '[...]'}", ("list",), item
        case cst.AugAssign(target=cst.Name() as owner, operator=cst.BitOrAssign(), value=value):
            item = _single(value, cst.Set, cst.Dict)
            if item is not None:
                kind: Kind = "dict" if isinstance(item, cst.DictElement) else "set"
                return owner, f"{owner.value} |= {{...}}", (kind,), item
        case cst.Expr(
            value=cst.Call(
                func=cst.Attribute(
                    value=cst.Name() as owner, attr=cst.Name(value="extend" | "update" as method)
                ),
                args=[cst.Arg(star="") as arg],
            )
        ):
            return _called(owner, method, arg)
    return None


def _called(
    owner: cst.Name, method: str, arg: cst.Arg
) -> tuple[cst.Name, str, tuple[Kind, ...], Item] | None:
    form = f"{owner.value}.{method}"
    if arg.keyword is not None:
        return (owner, f"{form}({arg.keyword.value}=...)", ("dict",), arg) if method == "update" else None
    match method, arg.value:
        case "update", cst.Dict():
            item = _single(arg.value, cst.Dict)
            return (
                (owner, f"{form}({{...: ...}})", ("dict",), item)
                if isinstance(item, cst.DictElement)
                else None
            )
        case "update", _:
            item = _single(arg.value, cst.List, cst.Tuple, cst.Set)
            return (owner, f"{form}({_shape(arg.value)})", ("set",), item) if item is not None else None
    item = _single(arg.value, cst.List, cst.Tuple)
    return (owner, f"{form}({_shape(arg.value)})", ("list",), item) if item is not None else None


def _shape(display: cst.BaseExpression) -> str:
    return {cst.List: "[...]", cst.Tuple: "(...,)", cst.Set: "{...}"}[type(display)]


def _single(
    display: cst.BaseExpression, *kinds: type[cst.CSTNode]
) -> cst.BaseExpression | cst.DictElement | None:
    """The only item of a display, unless it is starred."""
    if isinstance(display, kinds):
        match display:
            case cst.Dict(elements=[cst.DictElement() as pair]):
                return pair
            case cst.List(elements=[cst.Element(value=item)]) | cst.Tuple(elements=[cst.Element(value=item)]):
                return item
            case cst.Set(elements=[cst.Element(value=item)]):
                return item
    return None


def _sure(owner: cst.Name, context: Context) -> Kind | None:
    """The certain type of the receiver, if the text shows where it is made."""
    loop = context.flow.loop(owner)
    born = life(context, owner.value, loop) if loop is not None else None
    return (born.kind if born else None) or exact(context, owner.value, owner)


def _fix(
    node: cst.AugAssign | cst.Expr, name: str, kind: Kind | None, item: Item, sure: bool, context: Context
) -> Fix | None:
    tree = context.tree
    span = tree.span(node)
    if tree.comments(span) or contains(item, cst.Yield):
        return None
    safe = sure and not _rebinds(name, item, context)
    match item:
        case cst.DictElement(key=key, value=value):
            text = f"{name}[{tree.code(key)}] = {tree.code(value)}"
            safe = safe and swappable(context, key, value)
        case cst.Arg(keyword=cst.Name(value=word), value=value):
            # Names in a class that begin with two underscores are mangled as keywords, but not in quotes.
            if not word.isascii() or word.startswith("__"):
                return None
            text = f'{name}["{word}"] = {tree.code(value)}'
        case cst.BaseExpression():
            text = f"{name}.{'append' if kind == 'list' else 'add'}({element(tree, item)})"
            safe = safe and not (kind == "set" and _merges(node))
        case _:
            return None
    return Fix(
        "Add the item as it is", (Edit(span, text),), Applicability.SAFE if safe else Applicability.UNSAFE
    )


def _merges(node: cst.AugAssign | cst.Expr) -> bool:
    """Whether a set takes in another set: that makes room in another way, and so another order."""
    return isinstance(node, cst.AugAssign) or contains(node, cst.Set)


def _rebinds(name: str, item: Item, context: Context) -> bool:
    """Whether evaluating the item may bind the receiver's name anew: `+=` would bind it back."""
    scope = context.scope(item)
    owner: Scope | None = scope.owner(name)
    inner = owner.captures(name) if owner is not None else []
    named = (part.target for part in walk(item) if isinstance(part, cst.NamedExpr))
    if any(name in names_in(part) for part in named):
        return True
    quiet = isinstance(item, cst.BaseExpression) and simple(item)
    return not quiet and any(name in nested.declared for nested in inner)
