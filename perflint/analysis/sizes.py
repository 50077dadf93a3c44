"""How many items an iterable can give: a few that the text shows, an unknown number, or no end."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

import libcst as cst

from perflint.analysis.match import dotted
from perflint.analysis.names import Binding, Names
from perflint.analysis.objects import Objects
from perflint.analysis.outline import FunctionNode, Outline, generates, own_nodes
from perflint.analysis.tree import Comprehension, walk_scope


class Size(Enum):
    SMALL = "small"  # at most `small-limit` items, or as many as there are workers
    UNKNOWN = "unknown"
    INFINITE = "infinite"


# Names that say how many workers or slots there are: a range over one starts a pool.
_POOL_SIZE = re.compile(
    r"(^|_)(n_?|num_?|number_of_?|max_?|nb_?)?(workers?|threads?|process(es)?|procs|jobs|consumers?|concurren(t|cy)|"
    r"parallel(ism)?|cpus?|cpu_count|cores?|slots|shards|replicas|pool_?size)(_(count|num|number|limit|size))?$",
    re.I,
)
_SAME_SIZE = {"enumerate", "sorted", "reversed", "list", "tuple", "set", "frozenset", "iter"}
_AT_MOST = {"filter", "map"}
_ENDLESS = {"itertools.count", "itertools.cycle"}
_CHUNKS = re.compile(r"(^|_)(batch(ed|es)?|chunk(ed|s)?|grouper|ichunked|windowed|partition_all)$")
_SAMPLES = {"random.sample", "random.choices"}
_ENUMS = {f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")}
_MUTATORS = {"append", "extend", "insert", "add", "update", "setdefault", "appendleft"}
_LAZY_METHODS = {"rglob", "glob", "iterdir", "iter_lines", "iter_content", "scan_iter"}
_LAZY_CALLS = {
    "builtins.open",
    "io.open",
    "gzip.open",
    "os.walk",
    "os.scandir",
    "csv.reader",
    "csv.DictReader",
    "glob.iglob",
    "fileinput.input",
    "itertools.chain",
}
_DEPTH = 8


class Sizes:
    """Answers for one region. `limit` is the configuration's `small-limit`."""

    def __init__(self, names: Names, objects: Objects, limit: int) -> None:
        self.names = names
        self.objects = objects
        self.limit = limit

    @property
    def outline(self) -> Outline:
        return self.names.facts.outline

    def repeats(self, loop: cst.CSTNode) -> Size:
        """How often a `for`, `while` or comprehension runs; that of its largest clause for the latter."""
        match loop:
            case cst.While():
                return Size.INFINITE
            case cst.For(iter=iterable, asynchronous=asynchronous):
                size = self.of(iterable)
                return Size.INFINITE if asynchronous and size is not Size.SMALL else size
        if isinstance(loop, Comprehension):
            return self._comprehension(loop)
        return Size.UNKNOWN

    def of(self, node: cst.BaseExpression | None, depth: int = 0) -> Size:
        """How many items iterating over the value gives."""
        if depth > _DEPTH:
            return Size.UNKNOWN
        match node:
            case cst.List() | cst.Tuple() | cst.Set() | cst.Dict():
                return self._display(node.elements)
            case cst.ListComp() | cst.SetComp() | cst.GeneratorExp() | cst.DictComp():
                return self._comprehension(node, depth + 1)
            case cst.Subscript(value=value, slice=[cst.SubscriptElement(slice=cst.Slice() as part)]):
                return Size.SMALL if self._short(part) else _finite(self.of(value, depth + 1))
            case cst.Call():
                return self._call(node, depth + 1)
            case cst.Name():
                return self._name(node, depth + 1)
            case cst.IfExp(body=one, orelse=other):
                return _largest([self.of(one, depth + 1), self.of(other, depth + 1)])
        return Size.UNKNOWN

    def lazy(self, node: cst.BaseExpression | None) -> bool:
        """Whether the iterable makes its items as it goes: a generator, a file, a directory walk."""
        match node:
            case cst.GeneratorExp():
                return self.of(node) is not Size.SMALL
            case cst.Call(func=cst.Name(value=name)) if self.generator(node) is not None:
                return bool(name)
            case cst.Call(func=function, args=args):
                qualified = self.names.qualified(function)
                if qualified == "builtins.open" or qualified in _LAZY_CALLS:
                    return True
                if qualified in ("builtins.enumerate", "builtins.map", "builtins.filter", "builtins.zip"):
                    return any(self.lazy(item.value) for item in args)
                method = function.attr.value if isinstance(function, cst.Attribute) else ""
                return method in _LAZY_METHODS or self.generator(node) is not None
            case cst.Name(value=name):
                value = self._only_value(node)
                return value is not None and not isinstance(value, cst.Name) and self.lazy(value)
        return False

    def generator(self, node: cst.BaseExpression) -> FunctionNode | None:
        """The generator function of this file that a call calls."""
        function = self.objects.referred(node.func) if isinstance(node, cst.Call) else None
        return function if function is not None and generates(function) else None

    # Parts

    def _display(self, items: Sequence[cst.BaseElement | cst.BaseDictElement]) -> Size:
        starred = [
            item.value for item in items if isinstance(item, (cst.StarredElement, cst.StarredDictElement))
        ]
        if starred:
            return _finite(_largest([self.of(value) for value in starred]))
        return Size.SMALL if len(items) <= self.limit else Size.UNKNOWN

    def _comprehension(self, node: cst.BaseComp, depth: int = 0) -> Size:
        sizes, clause = [], node.for_in
        endless = False
        while clause is not None:
            size = self.of(clause.iter, depth)
            endless = endless or (clause.asynchronous is not None and size is not Size.SMALL)
            sizes.append(size)
            clause = clause.inner_for_in  # type: ignore[assignment]
        return Size.INFINITE if endless else _largest(sizes)

    def _short(self, part: cst.Slice) -> bool:
        """`[:10]`, `[-5:]`, `[i : i + n]`: a part of fixed length."""
        match part:
            case cst.Slice(lower=None | cst.Integer(), upper=cst.Integer(value=value)):
                return _integer(value) <= self.limit
            case cst.Slice(
                lower=cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer(value=value))
            ):
                return _integer(value) <= self.limit
            case cst.Slice(
                lower=cst.BaseExpression() as low, upper=cst.BinaryOperation(left=left, right=right)
            ):
                place = dotted(low)
                return place is not None and place in (dotted(left), dotted(right))
            case cst.Slice(upper=cst.BaseExpression() as upper):
                return _names_pool_size(upper)
        return False

    def _call(self, node: cst.Call, depth: int) -> Size:
        args = [item.value for item in node.args if not item.star and item.keyword is None]
        qualified = self.names.qualified(node.func) or ""
        builtin = qualified.removeprefix("builtins.")
        method = node.func.attr.value if isinstance(node.func, cst.Attribute) else ""
        if qualified in _ENDLESS or (qualified == "itertools.repeat" and len(args) == 1):
            return Size.INFINITE
        if builtin == "iter" and len(args) == 2:
            return Size.INFINITE
        if builtin == "range":
            return self._range(args)
        if builtin in _SAME_SIZE and args:
            return self.of(args[0], depth)
        if builtin in _AT_MOST and len(args) >= 2:
            return self.of(args[1], depth)
        if builtin == "zip" and args:
            return _smallest([self.of(item, depth) for item in args])
        if qualified in ("itertools.islice", *_SAMPLES) or builtin == "islice":
            return self._counted(args[1:2])
        if method in ("items", "keys", "values") and not args and isinstance(node.func, cst.Attribute):
            return _finite(self.of(node.func.value, depth))
        function = self.generator(node)
        return Size.INFINITE if function is not None and _endless(function) else Size.UNKNOWN

    def _counted(self, args: list[cst.BaseExpression]) -> Size:
        match args:
            case [cst.Integer(value=value)]:
                return Size.SMALL if _integer(value) <= self.limit else Size.UNKNOWN
            case [count] if _names_pool_size(count):
                return Size.SMALL
        return Size.UNKNOWN

    def _range(self, args: list[cst.BaseExpression]) -> Size:
        bounds = [self._integer(arg) for arg in args]
        if bounds and None not in bounds and not (len(bounds) == 3 and not bounds[2]):
            return Size.SMALL if len(range(*bounds)) <= self.limit else Size.UNKNOWN  # type: ignore[arg-type]
        last = args[-1] if len(args) == 1 else args[1] if len(args) > 1 else None
        return Size.SMALL if last is not None and _names_pool_size(last) else Size.UNKNOWN

    def _integer(self, node: cst.BaseExpression) -> int | None:
        match node:
            case cst.Integer(value=value):
                return _integer(value)
            case cst.Name(value=name) if self.names.scope(node).owner(name) in (None, self.names.top):
                constant = self.names.facts.constant(name)
                match constant:
                    case ast.Constant(value=int(number)):
                        return number
        return None

    def _name(self, node: cst.Name, depth: int) -> Size:
        scope = self.names.scope(node)
        owner = scope.owner(node.value)
        if owner is None or owner is self.names.top:
            constant = self._module_size(node.value)
            if owner is None or constant is Size.SMALL:
                return constant
        bindings = owner.bindings[node.value]
        if all(item.kind == "loop" for item in bindings):
            return _largest([self._element(item, node.value) for item in bindings])
        value = self._only_value(node)
        if value is None:
            return Size.UNKNOWN
        size = self.of(value, depth)
        return Size.UNKNOWN if size is Size.SMALL and self._grows(node.value, node) else size

    def _only_value(self, node: cst.Name) -> cst.BaseExpression | None:
        match self.names.bindings(node):
            case [Binding(node=cst.WithItem(item=item, asname=cst.AsName(name=cst.Name(value=bound))))]:
                return item if bound == node.value else None
        return self.names.assigned(node)

    def _element(self, binding: Binding, name: str) -> Size:
        """An element of `batched(xs, n)` is a chunk."""
        iterable = binding.node.iter if isinstance(binding.node, (cst.For, cst.CompFor)) else None
        match iterable:
            case cst.Call(func=function, args=[_, *_]):
                return (
                    Size.SMALL
                    if _CHUNKS.search((dotted(function) or "").rpartition(".")[2])
                    else Size.UNKNOWN
                )
        return Size.UNKNOWN

    def _module_size(self, name: str) -> Size:
        facts = self.names.facts
        if name in facts.imports:
            return Size.UNKNOWN
        classes = self.outline.classes.get(name, ())
        if len(classes) == 1 and not _ENUMS.isdisjoint(self.outline.bases(classes[0])):
            return Size.SMALL
        value = facts.constant(name)
        while isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and len(value.args) == 1:
            if value.func.id not in ("tuple", "list", "set", "frozenset", "sorted"):
                return Size.UNKNOWN
            value = value.args[0]
        small = isinstance(value, (ast.List, ast.Tuple, ast.Set)) and not any(
            isinstance(item, ast.Starred) for item in value.elts
        )
        small = small and len(value.elts) <= self.limit  # type: ignore[union-attr]
        if isinstance(value, ast.Dict):
            small = None not in value.keys and len(value.keys) <= self.limit
        return Size.SMALL if small and not _mutated(name, facts.source.data) else Size.UNKNOWN

    def _grows(self, name: str, at: cst.CSTNode) -> bool:
        """Whether the local is filled after it was made."""
        owner = self.names.scope(at).owner(name)
        if owner is None:
            return False
        for node in walk_scope(owner.node):
            match node:
                case cst.Call(
                    func=cst.Attribute(value=cst.Name(value=receiver), attr=cst.Name(value=method))
                ):
                    if receiver == name and method in _MUTATORS:
                        return True
                case cst.AssignTarget(target=cst.Subscript(value=cst.Name(value=receiver))) if (
                    receiver == name
                ):
                    return True
        return False


def _names_pool_size(node: cst.BaseExpression) -> bool:
    """`n_workers`, `self.concurrency`, `os.cpu_count() or 1`, `len(self.workers)`: the size of a pool."""
    match node:
        case cst.Call(func=cst.Name(value="len" | "int" | "min" | "max"), args=args):
            return any(_names_pool_size(item.value) for item in args)
        case cst.Call(func=function):
            return _names_pool_size(function)
        case cst.BooleanOperation(left=left) | cst.BinaryOperation(left=left):
            return _names_pool_size(left)
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as key))]):
            text = key.evaluated_value
            return isinstance(text, str) and bool(_POOL_SIZE.search(text))
    last = (dotted(node) or "").rpartition(".")[2]
    return bool(last and _POOL_SIZE.search(last))


def _integer(text: str) -> int:
    return int(text.replace("_", ""), 0)


def _finite(size: Size) -> Size:
    return Size.UNKNOWN if size is Size.INFINITE else size


def _largest(sizes: list[Size]) -> Size:
    for size in (Size.INFINITE, Size.UNKNOWN):
        if size in sizes:
            return size
    return Size.SMALL


def _smallest(sizes: list[Size]) -> Size:
    for size in (Size.SMALL, Size.UNKNOWN):
        if size in sizes:
            return size
    return Size.INFINITE


@lru_cache(maxsize=256)
def _mutated(name: str, data: bytes) -> bool:
    pattern = rb"\b%s\s*(\.\s*(%s)\s*\(|\[[^\]]*\]\s*=[^=])" % (name.encode(), "|".join(_MUTATORS).encode())
    return re.search(pattern, data) is not None


def _endless(function: ast.AST) -> bool:
    """Whether a generator holds a `while True` that yields."""
    return any(
        isinstance(node, ast.While)
        and isinstance(node.test, ast.Constant)
        and bool(node.test.value)
        and generates(node)
        for node in own_nodes(function)
    )
