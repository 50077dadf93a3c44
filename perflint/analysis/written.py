"""How a file writes the names that it imports."""

from __future__ import annotations

import ast
from functools import cached_property

from perflint.analysis.needles import needles
from perflint.model.source import Source


class Written:
    """What is known of a file from its import statements and its bytes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.packages: set[str] = set()  # top-level packages imported anywhere
        self.imports_anywhere: dict[str, set[str]] = {}  # local name -> qualified names it is imported as
        self._held: dict[bytes, bool] = {}
        self._written: dict[tuple[str, ...], frozenset[str]] = {}

    def note(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
        """Take in an import statement: the names that it binds, and what they stand for; "*" stands for itself."""
        module = "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        bound = []
        for alias in node.names:
            root = (module or alias.name).partition(".")[0]
            if root:
                self.packages.add(root)
            if module:
                local, qualified = alias.asname or alias.name, f"{module}.{alias.name}"
            else:
                local, qualified = alias.asname or root, alias.name if alias.asname else root
            if local != "*":
                self.imports_anywhere.setdefault(local, set()).add(qualified)
            bound.append((local, qualified))
        return bound

    def holds(self, text: bytes) -> bool:
        """Whether the file's text has it anywhere; looked for once, however many regions ask."""
        if text not in self._held:
            self._held[text] = text in self.source.data
        return self._held[text]

    def written(self, names: tuple[str, ...]) -> frozenset[str]:
        """The ways to write any of the qualified names, imports inside functions included."""
        if names not in self._written:
            found = needles(names, self.imports_anywhere)
            self._written[names] = frozenset(text.decode() for text in found)
        return self._written[names]

    @cached_property
    def import_roots(self) -> set[str]:
        """The first parts of all qualified names that imports lead to."""
        meanings = (meaning for found in self.imports_anywhere.values() for meaning in found)
        return {meaning.partition(".")[0] for meaning in meanings}
