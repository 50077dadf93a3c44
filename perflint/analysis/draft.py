"""What a gate can be asked before the file is parsed: facts read off the text, and `ast` of single regions.

A draft admits whatever the facts would admit; what only the whole tree tells, it refuses to answer.
"""

from __future__ import annotations

import ast
import re
from functools import cached_property
from typing import Any, NoReturn

from perflint.analysis.facts import Facts
from perflint.analysis.marks import REBINDING, Mark, marked
from perflint.analysis.needles import probe
from perflint.analysis.regions import NOWHERE, Region, Spots
from perflint.analysis.shown import Shown
from perflint.analysis.skeleton import Skeleton, Unclear
from perflint.analysis.stores import Stores, Types
from perflint.analysis.written import Written
from perflint.model.diagnostics import Span
from perflint.model.source import Source

# What a statement with the mark shows; so may others. Strings are blank.
_SHOWN: dict[Mark, re.Pattern[bytes]] = {
    Mark.ADD: re.compile(rb"\+=(?![ \t]*-?[0-9.][\w.]*[ \t]*(?:[\r\n;#]|\Z))"),
    Mark.REBIND_ADD: re.compile(rb"\+(?!=)"),
    Mark.REBIND_OR: re.compile(rb"\|(?!=)"),
    Mark.REBIND_TEXT: re.compile(rb"%(?!=)|[fF][rR]?[\"']|\.[\s\\]*(?:format|join)\b"),
    Mark.REBIND_DISPLAY: re.compile(rb"[\[({,=][\s\\#]*\*"),
    Mark.REBIND_COPY: re.compile(rb"\b(?:dict|union)\b"),
    Mark.ADD_ONE: re.compile(rb"[+|]=[^\n;]*[,(\[{\\]|\.[\s\\]*(?:extend|update)\b"),
    Mark.COLLECT: re.compile(  # the first statement behind a colon, or one that spans lines
        rb"(?::[\s\\#]*[^\n;:]*|[)\]}][\s\\]*|\n[ \t]*)\.[\s\\]*(?:append|add)\b"
        rb"|:[ \t#\r]*\n[\s\\#]*[(\[{]"
    ),
}

# What gives an attribute, or a name that may be one of a class, a value that is no number, as far as a text shows.
_SET = (
    rb"(?<!\w)%s\b[\s\\]*(?:=(?!=)(?![ \t]*-?[0-9.][\w.]*[ \t]*(?:[\r\n;#]|\Z))"
    rb"|:(?![ \t]*[\r\n#])|,|[\])}]+[ \t]*=(?!=))"
)

_LONG = 100_000  # bytes of a loop that takes too much memory to be parsed for its marks


class Draft(Facts):
    """Facts of a file that is not parsed. Raise Unclear where the text does not tell."""

    def __init__(self, source: Source) -> None:
        Written.__init__(self, source)
        skeleton = Skeleton(source.data)
        imports = list(skeleton.imports())
        for statement in _parsed(b"\n".join(skeleton.blank[slice(*span)] for span in imports)):
            if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                raise Unclear
            self.note(statement)
        self._blank = skeleton.blank
        self.global_names = skeleton.global_names()
        self.regions = [_Piece(source, skeleton, span, [span]) for span in skeleton.functions]
        self.module: _Piece = _Piece(source, skeleton, Span(0, len(source.data)), [])
        self.module.parts = self._outside(imports)

    def constant(self, name: str) -> ast.expr | None:
        word = re.compile(rb"\b%s\b" % name.encode())
        outside = any(word.search(self._blank, *span) for span in self.module.parts)
        return self._rest.constant(name) if outside and name not in self.global_names else None

    def returns(self, name: str) -> ast.expr | None:
        if b"->" in self._blank and re.search(rb"\bdef[ \t]+%s\b" % name.encode(), self._blank):
            raise Unclear
        return None

    def _look(self, needle: bytes | Shown) -> Spots:
        if not isinstance(needle, Shown):
            return super()._look(needle)

        def find(at: int) -> int:
            at = self._blank.find(needle.needle, at)
            while at >= 0 and not needle.at(self._blank, at):
                at = self._blank.find(needle.needle, at + 1)
            return at

        return self._found(find) if probe(needle.needle) in self.source.vocabulary else NOWHERE

    @cached_property
    def stores(self) -> Stores:
        return _Numbers(self._blank)

    @cached_property
    def _rest(self) -> Facts:
        """The facts of what stands outside of functions."""
        tree = self.module.node
        assert isinstance(tree, ast.Module)
        return Facts(Source(self.source.path, self.module.text()), tree)

    def __getattr__(self, name: str) -> NoReturn:
        raise Unclear(name)


class _Numbers(Stores):
    """Knows of the attributes that the file sets to nothing but numbers."""

    def __init__(self, blank: bytes) -> None:
        self._blank = blank

    def attribute(self, line: int, name: str) -> Types:
        """Nothing that grows, or Unclear."""
        if re.search(_SET % name.encode(), self._blank):
            raise Unclear
        return frozenset()

    def variable(self, name: str) -> Types:
        raise Unclear


class _Piece(Region):
    """A region whose loops, marks and tree are found when somebody asks."""

    def __init__(self, source: Source, skeleton: Skeleton, span: Span, parts: list[Span]) -> None:
        self.span, self.parts, self.holes = span, parts, set()
        self.function = bool(parts)
        self._source, self._skeleton = source, skeleton

    def __getattr__(self, name: str) -> Any:
        if name == "loops":
            self.loops = self._skeleton.loops_in(self.span) if self.function else self._skeleton.loops
        elif name == "marks":
            self.marks = self._marks()
        elif name == "node":
            self.node = self._function() if self.function else ast.Module(_parsed(self.text()), [])
        else:
            raise AttributeError(name)
        return self.__dict__[name]

    def _function(self) -> ast.AST:
        text = self._source.data[slice(*self.span)]
        tree = _parsed(text)
        if len(tree) != 1 or not isinstance(tree[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise Unclear
        return tree[0]

    def text(self) -> bytes:
        """The module, with `pass` in the place of each function."""
        data, at = self._source.data, 0
        parts: list[bytes] = []
        for start, end in self._skeleton.functions:
            function = data[start:end]
            indent = len(function) - len(function.lstrip(b" "))
            parts += (data[at:start], b" " * indent, b"pass\n")
            at = end
        return b"".join((*parts, data[at:]))

    def _marks(self) -> set[Mark]:
        marks: set[Mark] = set()
        for span in self.loops:
            loop = self._skeleton.blank[slice(*span)]
            shown = {mark for mark, pattern in _SHOWN.items() if pattern.search(loop)}
            if shown:
                marks |= shown & self._marked(span) if len(loop) < _LONG else shown
            if b":=" in loop:  # as the facts do
                marks |= REBINDING
        return marks

    def _marked(self, span: Span) -> set[Mark]:
        """The marks of a loop; all that there are where it cannot be read alone, as a comprehension's line."""
        try:
            return marked(_parsed(self._source.data[slice(*span)]))
        except Unclear:
            return set(Mark)


def _parsed(text: bytes) -> list[ast.stmt]:
    """The statements of a text that may be indented. Raise Unclear where it is none of Python's."""
    indented = text.startswith((b" ", b"\t"))
    try:
        tree = ast.parse((b"if 1:\n" * indented + text).decode())
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise Unclear from error
    return tree.body[0].body if indented and isinstance(tree.body[0], ast.If) else tree.body
