"""A type or a cache is created again on every call, or in every turn of a loop.

`namedtuple`, `Enum`, `make_dataclass` and the `class` statement build a class: namespaces,
descriptors, often generated source that is compiled. Each class is a new type besides, unequal
to the one of the last call, and its instances cannot be pickled. A cache that is made inside
the function that uses it starts empty on every call.

Bad:

    from collections import namedtuple


    def spread(values):
        Range = namedtuple("Range", "low high")
        return Range(min(values), max(values))

Good:

    from collections import namedtuple

    Range = namedtuple("Range", "low high")


    def spread(values):
        return Range(min(values), max(values))

Not flagged: types that are returned, stored or handed on (factories), types made from
arguments or from the loop's variable, `class` and `type(..)` outside of loops, `main`, cached
functions, `__init_subclass__` and functions that their own module calls, code under `if TYPE_CHECKING`, test files. A nested cached
function counts only where it is called once and not by itself: otherwise its cache is of use
within the call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, decorator_name
from perflint.analysis.names import Scope
from perflint.analysis.outline import callee
from perflint.analysis.patterns.invariance import independent, inner, needless, static
from perflint.analysis.patterns.uses import assigned_name, called_by_module, use
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_TYPES = {
    **dict.fromkeys(("collections.namedtuple", "typing.NamedTuple", "typing_extensions.NamedTuple"), 2),
    **{
        f"enum.{name}": 2 for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
    },  # one argument looks up
    **dict.fromkeys(("dataclasses.make_dataclass", "pydantic.create_model"), 1),
}
_CLASS = re.compile(rb"\n[ \t]+class[ \t\\]")  # in something else
_CACHES = ("functools.lru_cache", "functools.cache")


def _hopeful(sketch: Sketch) -> bool:
    if sketch.calls_to(*_TYPES) or (sketch.file_mentions(*_CACHES) and _may_cache(sketch)):
        return True
    made = [call for call in sketch.calls("type") if len(call.args) == 3]
    if made and not set(sketch.repeated(ast.Call)).isdisjoint(made):
        return True
    return sketch.says(_CLASS) and any(not node.decorator_list for node in sketch.looped(ast.ClassDef))


def _may_cache(sketch: Sketch) -> bool:
    inside = [node for node in sketch.functions if node is not sketch.region.node]
    cached = [callee(node.decorator_list[0]) for node in inside if len(node.decorator_list) == 1]
    cached += [call.func.func for call in sketch.of(ast.Call) if isinstance(call.func, ast.Call)]
    lambdas = (isinstance(call.args[0], ast.Lambda) for call in sketch.calls_to(*_CACHES) if call.args)
    return sketch.names_any(cached, _CACHES) or any(lambdas)


rule = Rule(
    code="PRF220",
    name="type-or-cache-built-per-call",
    summary="a type or a cache is created on every call or in every turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        loop_text=(b"class", b'type("', b"type('"), names=(*_TYPES, *_CACHES), inner=True, sketch=_hopeful
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="values = [3, 1, 2]\ntimes = range(n)",
        call="[spread(values) for _ in times]",
        sizes=(10, 100),
    ),
    tests=False,
)

# Functions that run once, or whose result is kept.
_ONCE = frozenset({"main", "_main", "__init_subclass__", "__set_name__"})
_KEEPERS = (
    *("cache", "cached", "lru_cache", "cached_property", "memoize", "memoized"),
    *("fixture", "once", "singleton"),
)


@rule.visits(cst.Call)
def check_call(node: cst.Call, context: Context) -> Iterator[Finding]:
    form = _form(node, context)
    if form is None or not inner(context.flow, node) or _exempt(node, context):
        return
    if needless(context.flow, node, [arg.value for arg in node.args]):
        when = "iteration"
    elif (
        form != "type"
        and context.flow.repeated(node) is None
        and context.scope(node).kind == "function"
        and _fixed(node, context)
    ):
        when = "call"
    else:
        return
    stays = _used_once if form == "lru_cache" else _stays
    if stays(node, context):
        yield rule.finding(context, node, _message(form, when, node, context))


@rule.visits(cst.ClassDef)
def check_class(node: cst.ClassDef, context: Context) -> Iterator[Finding]:
    # a decorator may register the class
    if not needless(context.flow, node, [node]) or node.decorators or _exempt(node, context):
        return
    if _all_local(node.name.value, context.scope(node), node, context):
        message = _message(f"class {node.name.value}", "iteration", node, context)
        yield rule.finding(context, node.name, message)


@rule.visits(cst.FunctionDef)
def check_function(node: cst.FunctionDef, context: Context) -> Iterator[Finding]:
    scope, name = context.scope(node), node.name.value
    match node.decorators:
        case [cst.Decorator(decorator=cst.Call(func=function) | function)]:
            pass
        case _:
            return
    if context.names.qualified(function) not in _CACHES or scope.kind != "function" or _exempt(node, context):
        return
    if _called_once(name, scope, node, context):
        loop = context.flow.loop(node)
        if loop is not None and not independent(context.flow, node, loop):
            return
        when = "iteration" if loop is not None else "call"
        yield rule.finding(context, node.decorators[0], _message("lru_cache", when, node, context))


def _form(node: cst.Call, context: Context) -> str | None:
    """The callee's name, if the call makes a type or a cache."""
    match node:
        case cst.Call(func=cst.Call(func=maker), args=[cst.Arg(star="")]):
            return "lru_cache" if context.names.qualified(maker) == _CACHES[0] else None
        case cst.Call(func=maker, args=[cst.Arg(value=cst.Lambda(), star="")]):
            return "lru_cache" if context.names.qualified(maker) in _CACHES else None
        case cst.Call(func=cst.Name(value="type"), args=[cst.Arg(value=cst.SimpleString()), _, _]):
            written = context.tree.code(node).startswith(('type("', "type('"))  # as the gate looks for it
            return "type" if written and context.names.builtin(node.func) == "type" else None
    qualified = context.names.qualified(node.func) or ""
    plain = not any(arg.star for arg in node.args)
    return qualified.rpartition(".")[2] if plain and len(node.args) >= _TYPES.get(qualified, 99) else None


def _exempt(node: cst.CSTNode, context: Context) -> bool:
    own = True  # no function in between yet
    for above in context.tree.ancestors(node):
        match above:
            case cst.FunctionDef(name=cst.Name(value=name), decorators=decorators):
                if (
                    name in _ONCE
                    or any(decorator_name(item) in _KEEPERS for item in decorators)
                    or called_by_module(context.facts, name)
                ):
                    return True
                own = False
            case cst.If(test=test) if own and context.tree.code(test).endswith("TYPE_CHECKING"):
                return True
            case cst.Decorator() | cst.ClassDef() if own:
                return True
    return False


def _fixed(node: cst.Call, context: Context) -> bool:
    """Whether the arguments are made of constants and of names from outside of all functions."""
    if any(contains(arg, cst.Call, cst.Await, cst.Yield) for arg in node.args):
        return False
    return static(context.flow, *node.args)


def _stays(node: cst.Call, context: Context) -> bool:
    """Whether the new type is used here and now only; what is returned or stored was wanted anew."""
    name = assigned_name(context.tree, node)
    if name is not None:
        return _all_local(name.value, context.scope(node), node, context)
    return use(context.tree, node).role in ("called", "attribute")


def _all_local(name: str, scope: Scope, made: cst.CSTNode, context: Context) -> bool:
    if scope.kind not in ("function", "module") or name in scope.declared:
        return False
    # a class may speak of itself; any other function around it may live longer
    if any(not context.flow.inside(item.node, made) for item in context.flow.captured(name, scope)):
        return False
    return all(_looks(read, context) for read in context.flow.reads(name, scope))


def _looks(read: cst.Name, context: Context) -> bool:
    """Whether this use of a type keeps it here: an instance, a member, `isinstance`."""
    role, node = use(context.tree, read)
    if role == "argument" and isinstance(node, cst.Call):
        return context.names.builtin(node.func) in ("isinstance", "issubclass", "len", "list")
    return role in ("called", "attribute", "subscript", "compared", "annotation")


def _used_once(node: cst.Call, context: Context) -> bool:
    """Whether the wrapped function is called once: a second call in the same run may hit the cache."""
    name = assigned_name(context.tree, node)
    if name is None:
        return use(context.tree, node).role == "called"
    scope = context.scope(node)
    return scope.kind == "function" and _called_once(name.value, scope, node, context)


def _called_once(name: str, scope: Scope, made: cst.CSTNode, context: Context) -> bool:
    if name in scope.declared or context.flow.captured(name, scope):
        return False
    match context.flow.reads(name, scope):
        case [read] if len(scope.bindings.get(name, ())) == 1:
            around = context.flow.repeated(read)
            return use(context.tree, read).role == "called" and (
                around is None or context.flow.inside(made, around)
            )
    return False


def _message(form: str, when: str, node: cst.CSTNode, context: Context) -> str:
    local = not static(context.flow, node)
    place = "out of the loop" if local else "to module level"
    if form == "lru_cache" and local:
        place = "out of the function"
    what = f"the cache of `{form}`" if form == "lru_cache" else f"`{form}`"
    return f"{what} is created on every {when}; move it {place}"
