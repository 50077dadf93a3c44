"""The `ast` nodes of one region by type: what a gate asks last, before LibCST reads the region."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from functools import cache, cached_property
from typing import TYPE_CHECKING, TypeVar

from perflint.analysis.nodes import fields

if TYPE_CHECKING:
    from perflint.analysis.facts import Facts
from perflint.analysis.regions import Region

N = TypeVar("N", bound=ast.AST)
T = TypeVar("T")
Nodes = dict[type[ast.AST], list[ast.AST]]

GAP = rb"(?:[\s\\()]|#[^\n]*\n)*"  # what may stand between two parts of an expression: parentheses in it change nothing
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_REPEATING = frozenset({*_LOOPS, *_COMPREHENSIONS})
_LITERALS = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Set, ast.Dict)
_PAUSES = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield)
_UNASKED = {"annotation", "names", "returns", "type_params"}
_fields: dict[type[ast.AST], tuple[str, ...]] = {}


class Sketch:
    """Everything in a region but annotations and operators; a function's decorators and defaults are in it.

    A sketch must not hide a finding, so what it says is about the text, never about what names mean.
    """

    def __init__(self, facts: Facts, region: Region) -> None:
        self.facts = facts
        self.region = region
        self._answers: dict[Callable[[Sketch], object], object] = {}

    def once(self, ask: Callable[[Sketch], T]) -> T:
        """The answer to a question that several gates ask; asked once."""
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        return self._answers[ask]  # type: ignore[return-value]

    def forget(self) -> None:
        """Let go of the answers, which know the sketch: without the cycle its nodes go at once."""
        self._answers.clear()

    def of(self, kind: type[N]) -> list[N]:
        """The nodes of exactly this type, in no order."""
        return self._nodes.get(kind, [])  # type: ignore[return-value]

    def looped(self, kind: type[N]) -> list[N]:
        """Those of them inside of a `for` or `while` statement, its head included."""
        return self._looped.get(kind, [])  # type: ignore[return-value]

    def repeated(self, kind: type[N]) -> list[N]:
        """Those of them inside of a loop or a comprehension, the heads included."""
        return self._repeated.get(kind, [])  # type: ignore[return-value]

    def calls(self, *words: str) -> list[ast.Call]:
        """The calls whose function ends in one of the words: `append` for `xs.append(x)`, `run` for `run()`."""
        if not self._parsed:
            words = tuple(filter(self._may_call, words))
        return [call for word in words for call in self._calls.get(word, ())]

    def methods(self, *words: str) -> list[ast.Call]:
        """Those of the calls that are methods of something else than a literal: no `", ".join(xs)`."""
        calls = (call for call in self.calls(*words) if isinstance(call.func, ast.Attribute))
        return [call for call in calls if not isinstance(call.func.value, _LITERALS)]  # type: ignore[attr-defined]

    def looped_calls(self, *words: str) -> list[ast.Call]:
        """Those of them inside of a `for` or `while` statement."""
        return [call for word in words for call in self._looped_calls.get(word, ())]

    def says(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether the region's text, strings and comments in it, shows the pattern: asked before it is parsed."""
        return not self._text.isascii() or pattern.search(self._text) is not None

    def mentions(self, *names: str) -> bool:
        """Whether any of the qualified names may be meant somewhere, as the file imports them."""
        words = set(map(_last_word, self.facts.written(names)))
        held = {word for word in words if self.facts.holds(word.encode())}  # before the region is parsed
        return bool(held) and not self.words.isdisjoint(held)

    def file_mentions(self, *names: str) -> bool:
        """Whether the file's text holds any of the qualified names, as the file imports them."""
        return self.facts.mentions(names)

    def mentioned_elsewhere(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Whether the file's text has the function's name anywhere but behind its `def`."""
        return self.facts.mentioned.get(function.name.encode()) != 1

    def calls_to(self, *names: str) -> list[ast.Call]:
        """The calls that are written as any of the qualified names, as the file imports them."""
        written = self.facts.written(names)
        calls = self.calls(*{_last_word(text) for text in written})
        return [call for call in calls if dotted_text(call.func) in written]

    def names_any(self, nodes: Iterable[ast.expr], names: tuple[str, ...]) -> bool:
        """Whether one of the nodes, or an item of a tuple among them, is written as any of the qualified names."""
        written = self.facts.written(names)
        parts = (part for node in nodes for part in (node.elts if isinstance(node, ast.Tuple) else [node]))
        return not written.isdisjoint(map(dotted_text, parts))

    @cached_property
    def words(self) -> frozenset[str]:
        """The names and attributes that the region reads or writes."""
        names = {node.id for node in self.of(ast.Name)}
        return frozenset(names.union(node.attr for node in self.of(ast.Attribute)))

    @cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The function of the region and those in it."""
        return [*self.of(ast.FunctionDef), *self.of(ast.AsyncFunctionDef)]

    @cached_property
    def blocks(self) -> list[list[ast.stmt]]:
        """The statement lists of the functions, classes, loops, branches and the like, and the module's own."""
        found = [self.region.node.body] if isinstance(self.region.node, ast.Module) else []
        for kind, nodes in self._nodes.items():
            if issubclass(kind, (ast.stmt, ast.excepthandler, ast.match_case)):
                parts = [name for name in ("body", "orelse", "finalbody") if name in kind._fields]
                found += [block for name in parts for node in nodes if (block := getattr(node, name))]
        return found

    @cached_property
    def entered(self) -> list[ast.expr]:
        """What the `with` statements enter; those of `async with` are left out."""
        return [item.context_expr for block in self.of(ast.With) for item in block.items]

    @cached_property
    def bound(self) -> set[ast.expr]:
        """What a statement or a walrus gives to one plain name, awaited or not."""
        found = [node.value for node in self.of(ast.NamedExpr)]
        found += [node.value for node in self.of(ast.AnnAssign) if node.value is not None]
        found += [node.value for node in self.of(ast.Assign) if isinstance(node.targets[0], ast.Name)]
        return set(map(awaited_for, found))

    @cached_property
    def loops(self) -> list[ast.For | ast.AsyncFor | ast.While]:
        """The `for` and `while` statements, nested ones included."""
        return [loop for kind in _LOOPS for loop in self.of(kind)]  # type: ignore[misc]

    @property
    def _parsed(self) -> bool:
        """Whether the nodes are there: then to ask the text saves nothing."""
        return "_nodes" in self.__dict__

    def _may_call(self, word: str) -> bool:
        """Whether the text shows a call of the word, which may be in a string or a comment."""
        name = word.encode()
        return not self._text.isascii() or (name in self._text and _call(name).search(self._text) is not None)

    @cached_property
    def _text(self) -> bytes:
        """The region as it is written; Python reads some letters that are not ASCII as others."""
        return b"\n".join(self.facts.source.data[slice(*part)] for part in self.region.parts)

    @cached_property
    def _nodes(self) -> Nodes:
        node = self.region.node
        return _index(node.body if isinstance(node, ast.Module) else [node], self.region.holes)

    @cached_property
    def _looped(self) -> Nodes:
        return _index(self.loops) if self.loops else {}

    @cached_property
    def _repeated(self) -> Nodes:
        return _index([*self.loops, *(node for kind in _COMPREHENSIONS for node in self.of(kind))])

    @cached_property
    def _calls(self) -> dict[str, list[ast.Call]]:
        return _by_word(self.of(ast.Call))

    @cached_property
    def _looped_calls(self) -> dict[str, list[ast.Call]]:
        return _by_word(self.looped(ast.Call))


def repeats(*words: str) -> Callable[[Sketch], bool]:
    """A gate's question: whether a loop or comprehension calls what ends in one of the words."""
    return lambda sketch: not set(sketch.calls(*words)).isdisjoint(sketch.repeated(ast.Call))


def entering(*names: str) -> Callable[[Sketch], bool]:
    """A gate's question: whether one of the functions is called, and a `with` enters that or a name."""

    def hopeful(sketch: Sketch) -> bool:
        opened = sketch.calls_to(*names)
        return bool(opened) and any(isinstance(item, ast.Name) or item in opened for item in sketch.entered)

    return hopeful


def suspends(body: Iterable[ast.AST]) -> bool:
    """Whether a coroutine may give way to others somewhere in the statements, nested functions included."""
    parts = (part for node in body for part in ast.walk(node))
    return any(
        isinstance(part, _PAUSES) or (isinstance(part, ast.comprehension) and part.is_async) for part in parts
    )


def awaited_for(node: ast.expr) -> ast.expr:
    """The expression itself, or what an `await` waits for."""
    return node.value if isinstance(node, ast.Await) else node


def is_constant(node: ast.AST | None, value: object) -> bool:
    """Whether the node is a literal that equals the value."""
    return isinstance(node, ast.Constant) and node.value == value


def _last_word(name: str) -> str:
    return name.rpartition(".")[2]


def dotted_text(node: ast.expr) -> str:
    """The text of `a.b.c`; that of anything else is no name's."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted_text(value)}.{name}"
    return ""


@cache
def _call(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\b%s\b%s\(" % (name, GAP))


def _by_word(calls: Iterable[ast.Call]) -> dict[str, list[ast.Call]]:
    found: dict[str, list[ast.Call]] = defaultdict(list)
    for call in calls:
        function = call.func
        if isinstance(function, ast.Attribute):
            found[function.attr].append(call)
        elif isinstance(function, ast.Name):
            found[function.id].append(call)
    return found


def _index(roots: Iterable[ast.AST], without: Collection[ast.AST] = ()) -> Nodes:
    """All nodes below the roots by type, each once, without these subtrees."""
    found: Nodes = defaultdict(list)
    seen: set[ast.AST] = set()
    stack: list[ast.AST | None] = list(roots)
    while stack:
        node = stack.pop()
        if node is None or node in without:
            continue
        kind = node.__class__
        if kind in _REPEATING:
            if node in seen:  # a loop inside of a loop, both among the roots
                continue
            seen.add(node)
        found[kind].append(node)
        names = _fields.get(kind)
        if names is None:
            names = _fields[kind] = tuple(name for name in fields(kind) if name not in _UNASKED)
        for name in names:
            child = getattr(node, name)
            if child.__class__ is list:
                stack.extend(child)
            else:
                stack.append(child)
    return found
