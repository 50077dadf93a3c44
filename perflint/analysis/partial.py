"""Facts of a file that is parsed as far as somebody asks: what most checks ask for stands outside of functions."""

from __future__ import annotations

import ast
from functools import cached_property

from perflint.analysis import syntax
from perflint.analysis.draft import Draft
from perflint.analysis.facts import Facts
from perflint.analysis.outline import Outline
from perflint.analysis.stores import Stores
from perflint.analysis.written import Written
from perflint.model.source import Source


class Unreadable(Exception):
    """Python's parser does not take the file: its syntax may be newer than this Python."""


def read(source: Source, tree: ast.Module | None = None) -> Facts:
    """The facts of the whole file, whose tree the caller may have. Raise Unreadable where it is none of Python's."""
    try:
        return Facts(source, tree if tree is not None else syntax.parse(source))
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise Unreadable from error


class Partial(Facts):
    """The regions and names of a draft that was clear, and the whole file's tree only when it is needed.

    Raise Unreadable where the tree is needed and there is none.
    """

    def __init__(self, draft: Draft, tree: ast.Module | None = None) -> None:
        self._parsed = tree
        Written.__init__(self, draft.source)
        self.packages, self.imports_anywhere = draft.packages, draft.imports_anywhere
        self.global_names = draft.global_names
        self.regions, self.module = draft.regions, draft.module
        outside = draft.outside
        self.imports, self.bindings, self.star_import = outside.imports, outside.bindings, outside.star_import

    @cached_property
    def whole(self) -> Facts:
        return read(self.source, self._parsed)

    @property
    def tree(self) -> ast.Module:  # type: ignore[override]
        return self.whole.tree

    @property
    def functions(self) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:  # type: ignore[override]
        return self.whole.functions

    @property
    def stores(self) -> Stores:
        return self.whole.stores

    @property
    def outline(self) -> Outline:
        return self.whole.outline

    def forget(self) -> None:
        whole = self.__dict__.get("whole")
        if whole is not None:
            whole.forget()
