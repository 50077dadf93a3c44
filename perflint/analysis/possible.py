"""Which types of the library an expression may have, from `ast` alone: what gates ask in place of `objects`.

A yes is given wherever `objects` could name one of the types, and sometimes elsewhere. A draft knows of no other
function than the region's, and refuses to answer where that would tell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache

from perflint.analysis import library
from perflint.analysis.likely import Likely
from perflint.analysis.outline import Definition, Home, Store, is_none
from perflint.analysis.sketch import Sketch, dotted_text

Kinds = frozenset[str]

_DEPTH = 12  # more names on the way may lead to anything
_HERE = Home()


def calls_on(sketch: Sketch, kinds: Kinds, *methods: str) -> list[ast.Call]:
    """The calls of the methods whose receiver may be of one of the types."""
    if not may_have(sketch, kinds):
        return []
    calls = [call for call in sketch.methods(*methods) if isinstance(call.func, ast.Attribute)]
    return [call for call in calls if may_be(sketch, call.func.value, kinds)]  # type: ignore[attr-defined]


def may_have(sketch: Sketch, kinds: Kinds) -> bool:
    """Whether the file may have something of one of the types: users may have the runtime's module elsewhere."""
    return bool(kinds & library.RUNTIME_POOLS) or sketch.file_mentions(*library.makers(kinds))


def may_be(sketch: Sketch, node: ast.expr, kinds: Kinds) -> bool:
    """Whether the expression, one of the region, may be of one of the types."""
    if kinds & library.RUNTIME_POOLS:
        return True
    return may_have(sketch, kinds) and sketch.once(_Possible).of(node, kinds, _HERE)


def own(sketch: Sketch, name: str) -> bool:
    """Whether a name of the region is nothing but its own, wherever it stands."""
    declared = sketch.of(ast.Global)
    if not sketch.region.function or any(name in node.names for node in declared):
        return False
    likely = sketch.once(Likely)
    return name in likely.bindings and likely.local(name) and name not in sketch.once(_outside)


def _outside(sketch: Sketch) -> set[str]:
    """The names in the decorators and defaults of the region's function, which mean those of the scope around."""
    node = sketch.region.node
    head = [*node.decorator_list, node.args] if isinstance(node, Definition) else []
    return {part.id for item in head for part in ast.walk(item) if isinstance(part, ast.Name)}


class _Possible:
    """Answers for one region, remembered."""

    def __init__(self, sketch: Sketch) -> None:
        self._sketch = sketch
        self._known: dict[tuple[str, Kinds], bool] = {}
        self._depth = 0

    def of(self, node: ast.expr | None, kinds: Kinds, home: Home) -> bool:
        """Whether a value may be; `home` is the place of code that is not the region's."""
        if self._depth > _DEPTH:
            return True
        self._depth += 1
        try:
            return self._of(node, kinds, home)
        finally:
            self._depth -= 1

    def _of(self, node: ast.expr | None, kinds: Kinds, home: Home) -> bool:
        match node:
            case ast.Call():
                return self._call(node, kinds, home)
            case ast.NamedExpr(value=value) | ast.Await(value=value):
                return self.of(value, kinds, home)
            case ast.IfExp(body=one, orelse=other):
                return self.of(one, kinds, home) and self.of(other, kinds, home)
            case ast.BoolOp(values=values):
                return all(self.of(value, kinds, home) for value in values)
            case ast.Name(id=name):
                return self._name(name, kinds) if home is _HERE else self._elsewhere(name, kinds, home)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                return self._attribute(name, kinds)
            case ast.Attribute(value=owner, attr=name):
                return self._part(owner, name, kinds, home)
            case ast.Subscript(value=owner):
                return self._part(owner, "*", kinds, home)
        return False

    def _call(self, node: ast.Call, kinds: Kinds, home: Home) -> bool:
        function = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        text, facts = dotted_text(function), self._sketch.facts
        if text in facts.written(_functions(kinds)):
            return True
        if len(node.args) == 1 and text in facts.written(tuple(library.WRAPPERS)):
            return self.of(node.args[0], kinds, home)
        if (makers := _owners(kinds, "__call__")) and self.of(function, makers, home):
            return True
        match function:
            case ast.Attribute(value=receiver, attr=method):
                owners = _owners(kinds, method)
                return bool(owners) and self.of(receiver, owners, home)
            case ast.Name(id=name):
                return bool(kinds & library.SUBCLASSED) and facts.defines(name)
        return False

    def _part(self, owner: ast.expr, name: str, kinds: Kinds, home: Home) -> bool:
        owners = _holders(kinds, name)
        return bool(owners) and self.of(owner, owners, home)

    def _name(self, name: str, kinds: Kinds) -> bool:
        """Whether a name may be, wherever the region uses it."""
        key = name, kinds
        if key not in self._known:
            self._known[key] = True  # for names that rest on this one, and it on them
            told = any(self._bound(name, kinds))
            if not told and not own(self._sketch, name):
                told = self._stored(self._variable(name), kinds)
            self._known[key] = told
        return self._known[key]

    def _bound(self, name: str, kinds: Kinds) -> Iterator[bool]:
        """Whether each of the region's values for the name may be."""
        for value, annotation, _ in self._sketch.once(Likely).bindings.get(name, ()):
            yield self.of(value, kinds, _HERE) or self._annotated(annotation, kinds)
        for item in self._sketch.of(ast.withitem):
            if isinstance(item.optional_vars, ast.Name) and item.optional_vars.id == name:
                yield self.of(item.context_expr, kinds, _HERE)

    def _elsewhere(self, name: str, kinds: Kinds, home: Home) -> bool:
        """Whether a name of another function may be."""
        for function in home.functions:
            for node in ast.walk(function):
                match node:
                    case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                        if self.of(value, kinds, home):
                            return True
                    case ast.arg(arg=parameter, annotation=annotation) if parameter == name:
                        if self._annotated(annotation, kinds):
                            return True
        return self._stored(self._variable(name), kinds)

    def _attribute(self, name: str, kinds: Kinds) -> bool:
        """Whether `self.name` may be, in whatever class of the file."""
        key = f"self.{name}", kinds
        if key not in self._known:
            self._known[key] = True
            outline = self._sketch.facts.setting(name).outline
            self._known[key] = any(self._stored(stores, kinds) for stores in outline.attributes(name))
        return self._known[key]

    def _stored(self, stores: Iterable[Store], kinds: Kinds) -> bool:
        told = [item for item in stores if item.annotation or not is_none(item.value)]
        return bool(told) and all(
            self.of(item.value, kinds, item.home) or self._annotated(item.annotation, kinds) for item in told
        )

    def _annotated(self, annotation: ast.expr | None, kinds: Kinds) -> bool:
        """Whether the annotation, or a part of it, names one of the types."""
        if annotation is None:
            return False
        written = self._sketch.facts.written(library.spellings(kinds))
        for part in ast.walk(annotation):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                if any(text in part.value for text in written):
                    return True
            elif isinstance(part, (ast.Name, ast.Attribute)) and dotted_text(part) in written:
                return True
        return False

    def _variable(self, name: str) -> list[Store]:
        """What the file assigns to the module-level name; functions do so by a `global` statement."""
        facts = self._sketch.facts
        return facts.about(*{name} & facts.global_names).outline.variable(name)


@cache
def _functions(kinds: Kinds) -> tuple[str, ...]:
    """The classes and functions that make an object of one of the types when they are called."""
    returning = {name for name, kind in library.RETURNS.items() if kind in kinds}
    naming = {name for name, named in library.NAMED.items() if not kinds.isdisjoint(named.values())}
    return library.spellings(kinds | returning | naming)


@cache
def _owners(kinds: Kinds, method: str) -> Kinds:
    """The types whose method returns one of the types."""
    found = {owner for (owner, name), kind in library.METHODS.items() if name == method and kind in kinds}
    context = library.made_by(f"multiprocessing.{method}") in kinds
    return frozenset(found | {"multiprocessing"} if context else found)


@cache
def _holders(kinds: Kinds, attribute: str) -> Kinds:
    """The types whose attribute is of one of the types."""
    parts = library.ATTRIBUTES.items()
    return frozenset(owner for (owner, name), kind in parts if name in (attribute, "*") and kind in kinds)
