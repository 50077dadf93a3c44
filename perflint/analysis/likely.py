"""Which builtin types an expression may have, from `ast` alone: what gates ask in place of `kinds`.

An answer holds every type that `kinds` could give for the same expression, and sometimes a few more.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property, reduce
from typing import TYPE_CHECKING

from perflint.analysis.kinds import ANNOTATIONS, BUILTINS, LIBRARY, STR_TO_STR, TO_INT, TO_LIST

if TYPE_CHECKING:
    from perflint.analysis.sketch import Sketch

Types = frozenset[str]
_Bound = tuple[
    ast.expr | None, ast.expr | None, ast.expr | None
]  # a value, an annotation, or an item of a value

NONE: Types = frozenset()
ANY: Types = frozenset((*BUILTINS.values(), *ANNOTATIONS.values()))
_TEXT = frozenset(("str", "bytes", "bytearray"))
_SLICED = frozenset(("str", "bytes", "bytearray", "list", "tuple"))
_COPIED = frozenset(("list", "dict", "set"))
_DEPTH = 40  # deeper expressions, and names that rest on more names, may be anything
_SAME: ast.expr = ast.Starred(ast.Constant(None))  # stands for whatever the name was before
_KEEPING = (ast.Add, ast.BitOr, ast.Mult, ast.Mod)  # `x @= y` may leave the type of x as it was
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_UNKNOWN: _Bound = (None, None, None)
_FIXED: dict[type[ast.AST] | type[None], Types] = {
    ast.JoinedStr: frozenset(("str",)),
    ast.Tuple: frozenset(("tuple",)),
    ast.Compare: frozenset(("bool",)),
    **dict.fromkeys((ast.List, ast.ListComp), frozenset(("list",))),
    **dict.fromkeys((ast.Dict, ast.DictComp), frozenset(("dict",))),
    **dict.fromkeys((ast.Set, ast.SetComp), frozenset(("set",))),
}
_RESULTS: dict[str, str] = {  # of methods, and of functions by the last word of their names
    **{name.rpartition(".")[2]: kind for name, kind in LIBRARY.items()},
    "encode": "bytes",
    "to_bytes": "bytes",
    "decode": "str",
    "hex": "str",
    "readlines": "list",  # `kinds` leaves this one to those who ask
    **dict.fromkeys(TO_LIST, "list"),
    **dict.fromkeys(TO_INT, "int"),
}


class Likely:
    """Answers for one region, remembered."""

    def __init__(self, sketch: Sketch) -> None:
        self._sketch = sketch
        self._known: dict[str, Types] = {}
        self._depth = 0
        self._own = ""  # the name whose bindings are looked at
        self._assumed = NONE  # what it is taken for in these

    def of(self, node: ast.expr | None) -> Types:
        """The types that the value may have, of those that `kinds` knows."""
        if self._depth > _DEPTH:
            return ANY
        self._depth += 1
        try:
            return _FIXED.get(type(node)) or self._of(node)
        finally:
            self._depth -= 1

    def name(self, name: str) -> Types:
        """The types that a name may have, wherever the region uses it."""
        if name == self._own:
            return self._assumed
        if name not in self._known:
            self._known[name] = ANY  # for names that rest on this one, and it on them
            told = self.told(name)  # by one of the bindings; all agree where they bind the same name
            if told and name in self.bindings and self.local(name):
                told = reduce(frozenset.__and__, self._answers(name, ANY), told)
            self._known[name] = told
        return self._known[name]

    def told(self, name: str) -> Types:
        """The types of all that is bound to a name, whether or not these agree."""
        return self.of(self._sketch.facts.constant(name)).union(*self._answers(name, NONE))

    def grows_only(self, name: str) -> bool:
        """Whether all that binds the name is made from it: a class's `xs += ["x"]` may read the module's list."""
        values = [value for value, _, _ in self.bindings.get(name, ())]
        return bool(values) and all(value is _SAME or (value and name in _read(value)) for value in values)

    def _answers(self, name: str, assumed: Types) -> list[Types]:
        """What each binding gives, where it names `name` itself taken for what is assumed."""
        before = self._own, self._assumed
        self._own, self._assumed = name, assumed
        answers = [
            self.of(value) | _annotated(annotation) | self._elements(items)
            for value, annotation, items in self.bindings.get(name, ())
        ]
        self._own, self._assumed = before
        return answers

    def _of(self, node: ast.expr | None) -> Types:
        match node:
            case ast.Constant(value=value):
                return ANY & {type(value).__name__}
            case ast.Name(id=name):
                return self.name(name)
            case ast.IfExp(body=one, orelse=other):
                return self.of(one) & self.of(other)
            case ast.BoolOp(values=values):
                return reduce(frozenset.__and__, map(self.of, values))
            case ast.BinOp(left=left, op=ast.Mod() | ast.BitOr()):
                return self.of(left)
            case ast.BinOp(left=left, op=ast.Add() | ast.Mult(), right=right):
                return self.of(left) | self.of(right)
            case ast.Subscript(value=value, slice=part):
                owner = self.of(value)
                same = owner & (_SLICED if isinstance(part, ast.Slice) else {"str"})
                return same | {"int"} if owner & _TEXT else same
            case ast.NamedExpr(value=value):
                return self.of(value)
            case ast.Call(func=ast.Attribute(value=value, attr=word)):
                same = self.of(value) & (_TEXT if word in STR_TO_STR else _COPIED if word == "copy" else NONE)
                return same | {_RESULTS[word]} if word in _RESULTS else same
            case ast.Call(func=ast.Name(id=word)):
                return frozenset(self._results(word))
        return self._assumed if node is _SAME else NONE

    def _results(self, function: str) -> Iterator[str]:
        facts = self._sketch.facts
        if function in BUILTINS:
            yield BUILTINS[function]
        for meaning in facts.imports_anywhere.get(function, ()):
            if meaning in LIBRARY:
                yield LIBRARY[meaning]
        yield from _annotated(facts.returns(function))

    def _elements(self, node: ast.expr | None) -> Types:
        """The types of what iterating over the value gives."""
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return NONE.union(*map(self.of, items))
            case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
                return self.of(item)
            case ast.Call(func=ast.Attribute(value=owner, attr=word)) if word in TO_LIST:
                return self.of(owner) | {"str"}
            case ast.Call(func=ast.Name(id="range")):
                return frozenset(("int",))
            case ast.Call(func=ast.Name(), args=[inner, *_]):
                return self._elements(inner)
            case ast.Name(id=name) if not self.name(name) & _TEXT:
                return NONE.union(*(self._held(bound) for bound in self.bindings.get(name, ())))
        return frozenset(("str", "int")) if self.of(node) & _TEXT else NONE

    def _held(self, bound: _Bound) -> Types:
        """The types of the items of what a name is bound to; a list may get others later."""
        match bound:
            case _, ast.Constant(), _:
                return ANY
            case None, ast.Subscript(slice=ast.Tuple(elts=[item, *_]) | item), _:
                return _annotated(item)
            case ((ast.List() | ast.Set() | ast.Name() | ast.Call(func=ast.Name())), _, _):
                return NONE
        return self._elements(bound[0])

    def local(self, name: str) -> bool:
        """Whether a name that the region binds is the same wherever it stands there: then all its bindings must agree."""
        return self._alone and name not in self._inside

    @cached_property
    def _alone(self) -> bool:
        """Whether the region is one scope, comprehensions aside."""
        return sum(len(self._sketch.of(kind)) for kind in _SCOPES) <= self._sketch.region.function

    @cached_property
    def _inside(self) -> set[str]:
        """The names that comprehensions bind, each for itself."""
        clauses = self._sketch.of(ast.comprehension)
        return {name for clause in clauses for name, _ in _names(clause.target)}

    @cached_property
    def bindings(self) -> dict[str, list[_Bound]]:
        """What binds each name."""
        found: dict[str, list[_Bound]] = defaultdict(list)
        for target, bound in _bindings(self._sketch):
            for name, whole in _names(target):
                found[name].append(bound if whole else _UNKNOWN)
        for arguments in self._sketch.of(ast.arguments):
            for argument, default in _parameters(arguments):
                note = argument.annotation
                found[argument.arg].append((default if note is None else None, note, None))
        return found


def assigned(sketch: Sketch) -> Iterator[tuple[ast.expr, ast.expr, ast.expr | None]]:
    """What the region assigns: the target, the value and the annotation, if it has one."""
    for node in sketch.of(ast.Assign):
        for target in node.targets:
            for part, value in pairs(target, node.value):
                yield part, value, None
    for one in sketch.of(ast.AnnAssign):
        if one.value is not None:
            yield one.target, one.value, one.annotation
    for walrus in sketch.of(ast.NamedExpr):
        yield walrus.target, walrus.value, None


def _bindings(sketch: Sketch) -> Iterator[tuple[ast.expr, _Bound]]:
    for place, given, annotation in assigned(sketch):
        yield place, (given, annotation, None)
    for change in sketch.of(ast.AugAssign):
        yield change.target, (_SAME if isinstance(change.op, _KEEPING) else None, None, None)
    loops: list[ast.For | ast.AsyncFor | ast.comprehension] = [*sketch.of(ast.For), *sketch.of(ast.AsyncFor)]
    for loop in (*loops, *sketch.of(ast.comprehension)):
        yield loop.target, (None, None, loop.iter)
    for item in sketch.of(ast.withitem):
        if item.optional_vars is not None:
            yield item.optional_vars, _UNKNOWN


def pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Which target takes which value: `a, b = 1, 2` is two assignments."""
    match target, value:
        case ast.Tuple(elts=places), ast.Tuple(elts=values) if len(places) == len(values):
            if not any(isinstance(part, ast.Starred) for part in (*places, *values)):
                return list(zip(places, values, strict=True))
    return [(target, value)]


def _names(target: ast.expr) -> Iterator[tuple[str, bool]]:
    """The names that a target binds, and whether each takes the whole value."""
    if isinstance(target, ast.Name):
        yield target.id, True
    elif isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            for name, _ in _names(part):
                yield name, False


def _read(value: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(value) if isinstance(part, ast.Name)}


def _parameters(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    plain = [*arguments.posonlyargs, *arguments.args]
    missing = len(plain) - len(arguments.defaults)
    yield from zip(plain, (*[None] * missing, *arguments.defaults), strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((star, None) for star in (arguments.vararg, arguments.kwarg) if star is not None)


def _annotated(annotation: ast.expr | None) -> Types:
    """The type that an annotation names."""
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            pass
        case ast.Subscript(value=value):
            return _annotated(value)
        case ast.Constant(value=str(text)):
            name = text.partition("[")[0].rpartition(".")[2].strip()
        case _:
            return NONE
    return frozenset((ANNOTATIONS[name],)) if name in ANNOTATIONS else NONE
