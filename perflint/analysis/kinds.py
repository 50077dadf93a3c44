"""Which exact builtin type an expression has, where that is known.

A name's kind is known only if every binding in its scope gives the same one. Two grades:
the usual answer takes `"text" + unknown` and `s += unknown` for str, because anything else
raises in practice; the strict answer, which safe fixes need, does not.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Literal

import libcst as cst

from perflint.analysis.names import Binding, Names, Scope

Kind = Literal[
    "str", "bytes", "bytearray", "list", "tuple", "dict", "set", "frozenset", "int", "float", "bool"
]

STR_TO_STR = frozenset(
    [
        "capitalize",
        "casefold",
        "center",
        "expandtabs",
        "format",
        "format_map",
        "join",
        "ljust",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
        "replace",
        "rjust",
        "rstrip",
        "strip",
        "swapcase",
        "title",
        "translate",
        "upper",
        "zfill",
    ]
)
TO_LIST = frozenset({"split", "rsplit", "splitlines"})
TO_INT = frozenset({"count", "find", "index", "rfind", "rindex"})
BUILTINS: dict[str, Kind] = {
    **dict.fromkeys(("str", "repr", "ascii", "chr", "hex", "oct", "bin", "format", "input"), "str"),
    **dict.fromkeys(("list", "sorted", "dir"), "list"),
    **dict.fromkeys(("int", "len", "ord", "hash", "id"), "int"),
    **{name: name for name in ("bytes", "bytearray", "tuple", "dict", "set", "frozenset", "float", "bool")},
}
LIBRARY: dict[str, Kind] = {
    "json.dumps": "str",
    "html.escape": "str",
    "textwrap.dedent": "str",
    "textwrap.indent": "str",
    "urllib.parse.quote": "str",
    "urllib.parse.quote_plus": "str",
    "urllib.parse.urlencode": "str",
    "struct.pack": "bytes",
    "os.urandom": "bytes",
}
ANNOTATIONS: dict[str, Kind] = {
    **{name: name for name in ("str", "bytes", "bytearray", "list", "tuple", "dict", "set", "frozenset")},
    **{name.title(): name for name in ("list", "tuple", "dict", "set")},
}
_ITERABLES = {"list", "List", "set", "Set", "frozenset", "Sequence", "Iterable", "Iterator", "Collection"}
_SEQUENCES = {"str", "bytes", "list", "tuple"}
_STEPS = 300  # names looked at for one answer: in long formulas, names rest on one another by the dozen
_DEPTH = 40  # names that lead to names; deeper chains are unknown


class Kinds:
    """Answers for one region, remembered."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._known: dict[tuple[Scope, str, bool], Kind | None] = {}
        self._assumed: dict[tuple[Scope, str, bool], Kind | None] = {}
        self._steps = 0

    def of(self, node: cst.BaseExpression | None, strict: bool = False) -> Kind | None:
        """The exact builtin type of the value, or None where it is not known."""
        if len(self._assumed) > _DEPTH:
            return None
        handler = _HANDLERS.get(type(node)) if node is not None else None
        return handler(self, node, strict) if handler is not None else None

    def elements(self, node: cst.BaseExpression | None, strict: bool = False) -> Kind | None:
        """The kind of every item that iterating over the value gives."""
        match node:
            case cst.List(elements=items) | cst.Tuple(elements=items) | cst.Set(elements=items) if items:
                return self._same([item.value for item in items], strict) if not _starred(items) else None
            case cst.ListComp(elt=item) | cst.SetComp(elt=item) | cst.GeneratorExp(elt=item):
                return self.of(item, strict)
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=method))) if method in TO_LIST:
                return self.of(owner, strict) or (None if strict else "str")
            case cst.Call(
                func=cst.Name() as function, args=[cst.Arg(value=inner, star="", keyword=None), *_]
            ):
                return self._elements_of_call(self.names.builtin(function), inner, strict)
            case cst.Name(value=name) if self.of(node, strict) not in ("str", "bytes"):
                return self._elements_of_name(name, node, strict)
        return {"str": "str", "bytes": "int"}.get(self.of(node, strict) or "")  # type: ignore[return-value]

    def name(self, name: str, scope: Scope, strict: bool = False) -> Kind | None:
        """The kind of `name` as used in `scope`."""
        owner = self._owner(name, scope)
        if owner is None:
            return _constant_kind(self.names.facts.constant(name))
        if owner is self.names.top and name in self.names.facts.global_names:
            return None
        key = owner, name, strict
        if key in self._assumed:
            return self._assumed[key]
        if key not in self._known:
            self._steps = self._steps + 1 if self._assumed else 0
            if self._steps > _STEPS:
                return None
            answer = self._agreed(owner.bindings[name], key)
            if self._assumed:  # what it rests on is not settled yet
                return answer
            self._known[key] = answer
        return self._known[key]

    def _owner(self, name: str, scope: Scope) -> Scope | None:
        """The scope that owns a name; None for the module's names in a function, which may be a region alone."""
        owner, here = scope.owner(name), scope
        if owner is self.names.top:
            while here.parent is not None and here.kind != "function":
                here = here.parent
        return None if owner is self.names.top and here.kind == "function" else owner

    def _agreed(self, bindings: list[Binding], key: tuple[Scope, str, bool]) -> Kind | None:
        """The kind that all bindings give, taking `s = s + x` to give what `s` is."""
        self._assumed[key] = None
        try:
            first = next((kind for item in bindings if (kind := self._bound(key[1], item, key[2]))), None)
            if first is None:
                return None
            self._assumed[key] = first
            agree = all(
                self._bound(key[1], item, key[2]) == first for item in bindings if item.kind != "delete"
            )
            return first if agree else None
        finally:
            del self._assumed[key]

    def _bound(self, name: str, binding: Binding, strict: bool) -> Kind | None:
        match binding:
            case Binding(kind="assign", value=value):
                return self.of(value, strict) or (None if strict else self._annotation(binding.annotation))
            case Binding(kind="augmented", node=cst.AugAssign(target=target, operator=operator, value=value)):
                return self._augmented(self.of(target, strict), operator, self.of(value, strict), strict)
            case Binding(kind="parameter", node=cst.Param(default=default), annotation=annotation):
                return self._parameter(annotation, default, strict)
            case Binding(kind="loop", node=cst.For(target=cst.Name(value=bound), iter=iterable)) if (
                bound == name
            ):
                return self.elements(iterable, strict)
            case Binding(kind="loop", node=cst.CompFor(target=cst.Name(value=bound), iter=iterable)) if (
                bound == name
            ):
                return self.elements(iterable, strict)
        return None

    def _parameter(
        self, annotation: cst.Annotation | None, default: cst.BaseExpression | None, strict: bool
    ) -> Kind | None:
        known = self._annotation(annotation)
        if annotation is None and not strict:
            return self.of(default)
        return known if default is None or self.of(default) == known else None

    def _augmented(
        self, kind: Kind | None, operator: cst.BaseAugOp, value: Kind | None, strict: bool
    ) -> Kind | None:
        if isinstance(operator, cst.AddAssign):
            if kind in ("list", "bytearray") and (value is not None or not strict):
                return kind  # an unknown operand may take over: `[1] + array` and `+=` ask its __radd__
            if kind in _SEQUENCES and value == kind:
                return kind
            return kind if kind in ("str", "bytes", "tuple") and value is None and not strict else None
        if isinstance(operator, cst.BitOrAssign) and kind in ("set", "dict"):
            return kind if value == kind or not strict else None
        if isinstance(operator, cst.MultiplyAssign) and kind in _SEQUENCES:
            return kind if value == "int" or not strict else None
        return "str" if isinstance(operator, cst.ModuloAssign) and kind == "str" else None

    def _same(self, nodes: list[cst.BaseExpression], strict: bool) -> Kind | None:
        kinds = {self.of(node, strict) for node in nodes}
        return kinds.pop() if len(kinds) == 1 else None

    def _string(self, node: cst.BaseExpression, strict: bool) -> Kind | None:
        while isinstance(node, cst.ConcatenatedString):
            node = node.left
        return "bytes" if isinstance(node, cst.SimpleString) and "b" in node.prefix.lower() else "str"

    def _name(self, node: cst.Name, strict: bool) -> Kind | None:
        if node.value in ("True", "False"):
            return "bool"
        return self.name(node.value, self.names.scope(node), strict)

    def _either(self, node: cst.IfExp | cst.BooleanOperation, strict: bool) -> Kind | None:
        parts = [node.body, node.orelse] if isinstance(node, cst.IfExp) else [node.left, node.right]
        return self._same(parts, strict)

    def _walrus(self, node: cst.NamedExpr, strict: bool) -> Kind | None:
        return self.of(node.value, strict)

    def _operation(self, node: cst.BinaryOperation, strict: bool) -> Kind | None:
        left = self.of(node.left, strict)
        if isinstance(node.operator, cst.Add):
            right = self.of(node.right, strict)
            if left == right or strict:
                return left if left == right else None
            known = left or right
            return known if known in _SEQUENCES and None in (left, right) else None
        if isinstance(node.operator, cst.Modulo):
            return left if left in ("str", "bytes") else None
        if isinstance(node.operator, cst.Multiply):
            right = self.of(node.right, strict)
            for one, other in ((left, right), (right, left)):
                if one in _SEQUENCES and (other == "int" or (other is None and not strict)):
                    return one
        if isinstance(node.operator, cst.BitOr):
            return left if left in ("set", "dict") and left == self.of(node.right, strict) else None
        return None

    def _subscript(self, node: cst.Subscript, strict: bool) -> Kind | None:
        kind = self.of(node.value, strict)
        sliced = len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Slice)
        if kind == "str" or (sliced and kind in ("bytes", "bytearray", "list", "tuple")):
            return kind
        return "int" if kind in ("bytes", "bytearray") else None

    def _call(self, node: cst.Call, strict: bool) -> Kind | None:
        match node.func:
            case cst.Attribute(value=owner, attr=cst.Name(value=method)):
                qualified = self.names.qualified(node.func)
                if qualified is not None:
                    return LIBRARY.get(qualified)  # a module's function, whatever it is called
                return self._method(self.of(owner, strict), method, strict)
            case cst.Name(value=name) as function:
                builtin = self.names.builtin(function)
                if builtin is not None:
                    return BUILTINS.get(builtin)
                return LIBRARY.get(self.names.qualified(function) or "") or self._returned(name, function)
        return None

    def _method(self, owner: Kind | None, method: str, strict: bool) -> Kind | None:
        if owner in ("str", "bytes", "bytearray"):
            if method in STR_TO_STR:
                return owner
            special: dict[str, Kind] = {"encode": "bytes", "decode": "str", "hex": "str"}
            if method in special:
                return special[method]
            return "list" if method in TO_LIST else "int" if method in TO_INT else None
        if owner in ("list", "dict", "set") and method == "copy":
            return owner
        if owner is None and not strict and method in ("encode", "to_bytes"):
            return "bytes"
        return None

    def _returned(self, name: str, function: cst.Name) -> Kind | None:
        """What a plain function of the same file is annotated to return."""
        facts = self.names.facts
        definition = facts.functions.get(name) if facts.defines(name) else None
        owner = self.names.scope(function).owner(name)
        if definition is None or definition.decorator_list or owner not in (None, self.names.top):
            return None
        if len(facts.bindings[name]) > 1 or name in facts.imports or name in facts.global_names:
            return None
        match definition.returns:
            case ast.Name(id=kind) | ast.Constant(value=str(kind)):
                return ANNOTATIONS.get(kind)
        return None

    def _annotation(self, annotation: cst.Annotation | None) -> Kind | None:
        match _unquoted(annotation):
            case cst.Name(value=name) | cst.Subscript(value=cst.Name(value=name)):
                return ANNOTATIONS.get(name)
            case (
                cst.Attribute(attr=cst.Name(value=name))
                | cst.Subscript(value=cst.Attribute(attr=cst.Name(value=name)))
            ) if name[:1].isupper():
                return ANNOTATIONS.get(name)
        return None

    def _elements_of_call(self, builtin: str | None, inner: cst.BaseExpression, strict: bool) -> Kind | None:
        if builtin == "range":
            return "int"
        if builtin in ("list", "tuple", "set", "sorted", "reversed", "frozenset", "iter"):
            return self.elements(inner, strict)
        return None

    def _elements_of_name(self, name: str, node: cst.Name, strict: bool) -> Kind | None:
        """Items of a name that is bound once: to an expression, or by an annotated parameter."""
        owner = self._owner(name, self.names.scope(node))
        bindings = owner.bindings[name] if owner is not None else []
        match bindings:
            case [Binding(kind="parameter", annotation=annotation)]:
                match _unquoted(annotation):
                    case cst.Subscript(
                        value=cst.Name(value=outer), slice=[cst.SubscriptElement(cst.Index(inner)), *_]
                    ):
                        if outer in _ITERABLES or (
                            outer in ("tuple", "Tuple") and "..." in _text(annotation)
                        ):
                            return ANNOTATIONS.get(inner.value) if isinstance(inner, cst.Name) else None
            case [Binding(kind="assign", value=cst.BaseExpression() as value)] if not self._mutable(value):
                return self.elements(value, strict)
        return None

    @staticmethod
    def _mutable(value: cst.BaseExpression) -> bool:
        """An empty list tells nothing, and a list display may be appended to later."""
        return isinstance(value, (cst.List, cst.Set, cst.Name)) or (
            isinstance(value, cst.Call) and not isinstance(value.func, cst.Attribute)
        )


def _starred(items: object) -> bool:
    return any(isinstance(item, cst.StarredElement) for item in items)  # type: ignore[attr-defined]


def _unquoted(annotation: cst.Annotation | None) -> cst.BaseExpression | None:
    node = annotation.annotation if annotation is not None else None
    if isinstance(node, cst.SimpleString):
        try:
            return cst.parse_expression(str(node.evaluated_value))
        except cst.ParserSyntaxError:
            return None
    return node


def _text(annotation: cst.Annotation | None) -> str:
    return cst.Module([]).code_for_node(annotation.annotation) if annotation is not None else ""


def _constant_kind(value: ast.expr | None) -> Kind | None:
    """The kind of an immutable module-level constant; containers may be rebound through aliases."""
    match value:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return "str"
        case ast.Constant(value=bytes()):
            return "bytes"
        case ast.Tuple():
            return "tuple"
        case ast.List() | ast.ListComp():
            return "list"
        case ast.Dict() | ast.DictComp():
            return "dict"
        case ast.Set() | ast.SetComp():
            return "set"
    return None


def _fixed(kind: Kind) -> Callable[[Kinds, Any, bool], Kind | None]:
    return lambda self, node, strict: kind


_HANDLERS: dict[type[cst.CSTNode], Callable[[Kinds, Any, bool], Kind | None]] = {
    cst.SimpleString: Kinds._string,
    cst.ConcatenatedString: Kinds._string,
    cst.FormattedString: Kinds._string,
    cst.Name: Kinds._name,
    cst.IfExp: Kinds._either,
    cst.BooleanOperation: Kinds._either,
    cst.NamedExpr: Kinds._walrus,
    cst.BinaryOperation: Kinds._operation,
    cst.Subscript: Kinds._subscript,
    cst.Call: Kinds._call,
    cst.List: _fixed("list"),
    cst.ListComp: _fixed("list"),
    cst.Tuple: _fixed("tuple"),
    cst.Dict: _fixed("dict"),
    cst.DictComp: _fixed("dict"),
    cst.Set: _fixed("set"),
    cst.SetComp: _fixed("set"),
    cst.Integer: _fixed("int"),
    cst.Float: _fixed("float"),
    cst.Comparison: _fixed("bool"),
}
