"""How a file writes the names that it imports."""

from __future__ import annotations

import ast
from functools import cached_property

from perflint.analysis.needles import by_root, needles
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
            wanted = by_root(names)
            found = [
                needles(wanted[root], self._by_root[root]) for root in wanted.keys() & self._by_root.keys()
            ]
            self._written[names] = frozenset(text.decode() for texts in found for text in texts)
        return self._written[names]

    @cached_property
    def _by_root(self) -> dict[str, dict[str, set[str]]]:
        """The imports by the first parts of the qualified names that they lead to."""
        found: dict[str, dict[str, set[str]]] = {}
        for local, meanings in self.imports_anywhere.items():
            for meaning in meanings:
                found.setdefault(meaning.partition(".")[0], {}).setdefault(local, set()).add(meaning)
        return found
