"""Facts of a file that is parsed as far as somebody asks: what most checks ask for stands outside of functions."""

from __future__ import annotations

import ast

from perflint.analysis.draft import Draft
from perflint.analysis.facts import Facts
from perflint.analysis.outline import Outline
from perflint.analysis.stores import Stores
from perflint.analysis.written import Written


class Partial(Facts):
    """The regions and names of a draft that was clear, and the whole file's tree only when it is needed.

    Raise Unreadable where the tree is needed and there is none.
    """

    def __init__(self, draft: Draft) -> None:
        Written.__init__(self, draft.source)
        self.packages, self.imports_anywhere = draft.packages, draft.imports_anywhere
        self.global_names = draft.global_names
        self.regions, self.module = draft.regions, draft.module
        outside = draft.outside
        self.imports, self.bindings, self.star_import = outside.imports, outside.bindings, outside.star_import
        self._draft = draft
        draft.forget_text()

    @property
    def whole(self) -> Facts:
        """What only the whole file tells."""
        return self._draft.whole

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
        self._draft.forget()
