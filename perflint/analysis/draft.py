"""What a gate can be asked before the file is parsed: facts read off the text, and `ast` of single regions.

A draft admits whatever the facts would admit; what only the whole tree tells, it refuses to answer.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache, cached_property, partial
from typing import Any, NoReturn

from perflint.analysis import syntax
from perflint.analysis.facts import Facts
from perflint.analysis.marks import REBINDING, Mark, marked
from perflint.analysis.regions import Region
from perflint.analysis.shown import Needle, Shown, shows_marks
from perflint.analysis.skeleton import Skeleton, Unclear
from perflint.analysis.stores import Stores, Types
from perflint.analysis.written import DEFINED, Written
from perflint.model.diagnostics import Span
from perflint.model.source import Source, words

_NAMED = ast.Pass()  # what binds the name of a function or class: nobody asks for more

# What gives an attribute, or a name that may be one of a class, a value that is no number, as far as a text shows.
_SET = (
    rb"(?<!\w)%s\b[\s\\]*(?:=(?!=)(?![ \t]*-?[0-9.][\w.]*[ \t]*(?:[\r\n;#]|\Z))"
    rb"|:(?![ \t]*[\r\n#])|,|[\])}]+[ \t]*=(?!=))"
)

_STORED = rb"\b%s\b[\s\\)\]}]*(?:[-+*/%%&|^@<>]*=(?!=)|[:,#])"  # an attribute, in whatever gives it a value; and other uses
_SEARCHES = 20  # of a text take as long as a parse of it
_SPENT = 20_000  # bytes of a small file
_PREFIXES = b"fFtTrR"  # the last letters before the quotes of an f-string or template, and of raw strings, where braces are rare
_STRING = 5_000  # bytes that are looked back to the start of a string: read for each needle in it, more would take time squared
_NO_HOLES: set[ast.AST] = set()
_LONG = 30_000  # bytes of a loop that is neither searched nor parsed for its marks: one line may be as long


class Draft(Facts):
    """Facts of a file that is not parsed, or whose tree the caller has. Raise Unclear where the text does not tell."""

    def __init__(self, source: Source, tree: ast.Module | None = None) -> None:
        Written.__init__(self, source)
        self._tree = tree
        self._kept: dict[bytes, frozenset[Span]] = {}  # by a pattern, where it is found
        self._excerpts: dict[frozenset[Span], Facts] = {}
        self._spent = 0
        self._skeleton = skeleton = Skeleton(source.data)
        imports = list(skeleton.imports())
        if not all(self.note_text(skeleton.blank[slice(*span)]) for span in imports):
            raise Unclear
        self._blank = skeleton.blank
        self.global_names = skeleton.global_names()
        loops = [skeleton.loops_in(span) for span in skeleton.functions]
        skeleton.forget()  # before there are regions
        self.regions = [
            _Piece(source, skeleton, span, inner)
            for span, inner in zip(skeleton.functions, loops, strict=True)
        ]
        whole = Span(0, len(source.data))
        self.module: _Piece = _Piece(source, skeleton, whole, skeleton.loops, function=False)
        self.module.parts = self._outside(imports)
        self.module.parts = [part for part in self.module.parts if not self._blank[slice(*part)].isspace()]

    def constant(self, name: str) -> ast.expr | None:
        outside = name.encode() in self._words_outside and name not in self.global_names
        return self.outside.constant(name) if outside else None

    @cached_property
    def _words_outside(self) -> frozenset[bytes]:
        """The words between the functions: looked for in turn, each name would take as long as the file is."""
        return words(b"\n".join(self._blank[slice(*span)] for span in self.module.parts))

    def returns(self, name: str) -> ast.expr | None:
        if b"->" in self._blank and re.search(rb"\bdef[ \t]+%s\b" % name.encode(), self._blank):
            return self.about(name).returns(name)
        return None

    def about(self, *names: str) -> Facts:
        """The facts of a text without the functions that hold none of the names: nothing there is about these."""
        if not names:
            return self.outside
        return self._excerpt(rb"\b(?:%s)\b" % "|".join(names).encode())

    def setting(self, attribute: str) -> Facts:
        return self._excerpt(_STORED % attribute.encode())

    def _excerpt(self, pattern: bytes) -> Facts:
        """The facts of the functions and classes in which the pattern is found, and of what stands outside of them."""
        if "whole" in self.__dict__:
            return self.whole
        if pattern not in self._kept:
            self.spend()
            places = [found.start() for found in re.finditer(pattern, self.source.data)]
            first = ((span, bisect_left(places, span.start)) for span in self.module.pieces() if places)
            kept = (span for span, at in first if at < len(places) and places[at] < span.end)
            self._kept[pattern] = frozenset(kept)
        return self._read(self._kept[pattern])

    def spend(self, parsed: int = 0) -> None:
        """Count a search of the text, or bytes that are parsed. Raise Unclear where that was so much that a parse of the
        whole file, which answers all that follows, is the cheaper one."""
        self._spent += parsed or len(self.source.data) // _SEARCHES
        if self._spent > 2 * len(self.source.data) + _SPENT:
            self.forget_excerpts()
            raise Unclear

    def _read(self, kept: frozenset[Span]) -> Facts:
        """The facts of a text with no other functions and classes than these."""
        if kept not in self._excerpts:
            text, named = self.module.outside(kept)
            if kept:
                self.spend(len(text))
            facts = Facts(Source(self.source.path, text), ast.Module(_parsed(text), []))
            facts.packages, facts.imports_anywhere = self.packages, self.imports_anywhere
            facts.global_names = self.global_names
            for name in named:
                facts.bindings.setdefault(name, []).append(_NAMED)
            self._excerpts[kept] = facts
        return self._excerpts[kept]

    def _finder(self, needle: Needle, text: bytes) -> Callable[[int], int]:
        search = super()._finder(needle, text)
        return partial(self._find, needle, search) if isinstance(needle, Shown) else search

    def _find(self, needle: Shown, search: Callable[[int], int], at: int) -> int:
        """The next place, from a byte on, where the needle is meant; negative where there is none."""
        data, blank = self.source.data, self._blank
        at = search(at)
        while at >= 0:
            # What stands around it in a field of an f-string is blank: there it counts.
            if needle.at(blank, at) if data[at] == blank[at] else self._in_field(at):
                break
            at = search(at + 1)
        return at

    def _in_field(self, at: int) -> bool:
        """Whether the byte of a string is code: stands in braces of an f-string. Yes far behind the start of a string."""
        first = max(at - _STRING, 0)
        code = self._blank[first:at].rstrip(self._blank[at : at + 1])  # before the string
        if not code:
            return first > 0
        if code[-1] not in _PREFIXES:
            return False
        string = self.source.data[first + len(code) : at].replace(b"{{", b"").replace(b"}}", b"")
        return string.count(b"{") > string.count(b"}")

    @cached_property
    def stores(self) -> Stores:
        return _Numbers(self)

    @property
    def outside(self) -> Facts:
        """The facts of what stands outside of functions, in a text of its own."""
        return self._read(frozenset())

    def is_python(self) -> bool:
        """Whether the whole file parses."""
        return syntax.parses(self.source, self._blank)

    @cached_property
    def whole(self) -> Facts:
        """The facts of the whole file. Raise Unreadable where Python does not take it."""
        return Facts(self.source, self._tree if self._tree is not None else syntax.parse(self.source))

    def forget_text(self) -> None:
        """Let go of the text without strings, which only plans are made from."""
        del self._blank
        self.forget_excerpts()
        self._excerpts.clear()
        self._skeleton.forget(text=True)

    def forget(self) -> None:
        whole = self.__dict__.get("whole")
        if whole is not None:
            whole.forget()
        self.forget_excerpts()

    def forget_excerpts(self) -> None:
        """Let go of the excerpts but for what stands outside of functions, which is asked for again."""
        for facts in self._excerpts.values():
            facts.forget()
        self._excerpts = {kept: facts for kept, facts in self._excerpts.items() if not kept}

    def __getattr__(self, name: str) -> NoReturn:
        raise Unclear(name)


class _Numbers(Stores):
    """Knows of the attributes that the file sets to nothing but numbers, and reads the code about the others."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._counts: dict[str, bool] = {}

    def anywhere(self, name: str) -> list[Types]:
        if name not in self._counts:
            self._draft.spend()
            self._counts[name] = not re.search(_SET % name.encode(), self._draft._blank)
        return [] if self._counts[name] else self._draft.setting(name).stores.anywhere(name)

    def attribute(self, line: int, name: str) -> Types:
        raise Unclear  # the lines of a region are its own

    def variable(self, name: str) -> Types:
        return self._draft.about(name).stores.variable(name)


class _Piece(Region):
    """A region whose marks and tree are found when somebody asks."""

    __slots__ = ("_skeleton", "_source")

    def __init__(
        self, source: Source, skeleton: Skeleton, span: Span, loops: list[Span], function: bool = True
    ) -> None:
        self.span, self.loops, self.holes = span, loops, _NO_HOLES
        self.function, self._deep = function, None
        self._source, self._skeleton = source, skeleton

    def __getattr__(self, name: str) -> Any:
        if name == "marks":
            self.marks = _shared(frozenset(self._marks()))
        elif name == "parts":  # of a function; a tuple for each would be a quarter of what they take
            return (self.span,)
        elif name == "node":
            self.node = self._function() if self.function else ast.Module(_parsed(self.text()), [])
        else:
            raise AttributeError(name)
        return getattr(self, name)

    def forget(self) -> None:
        """Let go of the tree, which is made again when somebody asks."""
        with suppress(AttributeError):
            del self.node

    def _function(self) -> ast.AST:
        text = self._source.data[slice(*self.span)]
        tree = _parsed(text)
        if len(tree) != 1 or not isinstance(tree[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise Unclear
        return tree[0]

    def text(self) -> bytes:
        """The module, with a statement in the place of each function."""
        data, at = self._source.data, 0
        parts: list[bytes] = []
        for span in self._skeleton.functions:
            parts += (data[at : span.start], b" " * self._indent(span), b"pass\n")
            at = span.end
        return b"".join((*parts, data[at:]))

    def pieces(self) -> list[Span]:
        """The outermost functions, and the classes at the margin."""
        return sorted([*self._skeleton.functions, *self._skeleton.classes()])

    def outside(self, kept: Collection[Span]) -> tuple[bytes, list[str]]:
        """The module with these of its pieces only. The names of the others at the margin come besides, and a class is in
        the place of each other: they are many in a large file, and a tree of a class is a small one."""
        data, at = self._source.data, 0
        parts: list[bytes] = []
        names: list[str] = []
        for span in self.pieces():
            if span.start < at or span in kept:  # a method of a class that is left out
                continue
            found = DEFINED.search(self._skeleton.blank, *span)
            if found is None:
                raise Unclear
            parts.append(data[at : span.start])
            indent = self._indent(span)
            if indent:
                parts.append(b" " * indent + b"class %s: pass\n" % found[1])
            else:
                names.append(found[1].decode())
            at = span.end
        self._skeleton.forget()
        return b"".join((*parts, data[at:])), names

    def _indent(self, span: Span) -> int:
        function = self._source.data[slice(*span)]
        return len(function) - len(function.lstrip(b" "))

    def _marks(self) -> set[Mark]:
        marks: set[Mark] = set()
        for span in self.loops:
            loop = self._skeleton.blank[slice(*span)]
            if len(loop) > _LONG or shows_marks(loop, self._source.data[slice(*span)]):
                marks |= self._marked(span)
            if b":=" in loop:  # as the facts do
                marks |= REBINDING
        return marks

    def _marked(self, span: Span) -> set[Mark]:
        """The marks of a loop; all that there are where it cannot be read alone, as a comprehension's line, or is long."""
        if span.end - span.start > _LONG:
            return set(Mark)
        try:
            return marked(_parsed(self._source.data[slice(*span)]))
        except Unclear:
            return set(Mark)


@cache
def _shared(marks: frozenset[Mark]) -> set[Mark]:
    """One set for all regions with the same marks."""
    return set(marks)


def _parsed(text: bytes) -> list[ast.stmt]:
    """The statements of a text that may be indented. Raise Unclear where it is none of Python's."""
    indented = text.startswith((b" ", b"\t"))
    try:
        tree = ast.parse((b"if 1:\n" * indented + text).decode())
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise Unclear from error
    return tree.body[0].body if indented and isinstance(tree.body[0], ast.If) else tree.body
