"""How a file writes the names that it imports."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cached_property

from perflint.analysis.needles import by_root, needles
from perflint.model.source import Source

_NAME = rb"[\w\x80-\xff]+"
_WORD = re.compile(_NAME)
DEFINED = re.compile(rb"\b(?:def|class)[\s\\]+(" + _NAME + rb")")
_PLAIN = bytes.maketrans(b"()\t\r\n\f#;", b" " * 8)  # comments are blank, parentheses add nothing


class Written:
    """What is known of a file from its import statements and its bytes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.packages: set[str] = set()  # top-level packages imported anywhere
        self.imports_anywhere: dict[str, set[str]] = {}  # local name -> qualified names it is imported as
        self._held: dict[bytes | re.Pattern[bytes], bool] = {}
        self._written: dict[tuple[str, ...], frozenset[str]] = {}

    def note(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
        """Take in an import statement: the names that it binds, and what they stand for; "*" stands for itself."""
        module = "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        return [self._bind(module, alias.name, alias.asname) for alias in node.names]

    def note_text(self, statement: bytes) -> bool:
        """Take in an import statement by its text, without strings in it; False where it is none of the plain ones."""
        head, word, names = statement.translate(_PLAIN, b"\\").decode().rpartition("import ")
        start = head.split()
        aliases = [name.split() for name in names.rstrip(" ,").split(",")]
        plain = all(len(alias) == 1 or (len(alias) == 3 and alias[1] == "as") for alias in aliases)
        if not word or not plain or (start and start[0] != "from"):
            return False
        module = "".join(start[1:])
        for alias in aliases:
            self._bind(module, alias[0], alias[2] if len(alias) == 3 else None)
        return True

    def _bind(self, module: str, name: str, alias: str | None) -> tuple[str, str]:
        root = (module or name).partition(".")[0]
        if root:
            self.packages.add(root)
        if module:
            local, qualified = alias or name, f"{module}.{name}"
        else:
            local, qualified = alias or root, name if alias else root
        if local != "*":
            self.imports_anywhere.setdefault(local, set()).add(qualified)
        return local, qualified

    def holds(self, text: bytes) -> bool:
        """Whether the file's text has it anywhere; looked for once, however many regions ask."""
        if text not in self._held:
            self._held[text] = text in self.source.data
        return self._held[text]

    def shows(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether the pattern is anywhere in the file's text; looked for once."""
        if pattern not in self._held:
            self._held[pattern] = pattern.search(self.source.data) is not None
        return self._held[pattern]

    def defines(self, name: str) -> bool:
        """Whether a function or class of that name may be in the file: none is where the text shows none."""
        return not self.plain or name.encode() in self._defined

    def mentions(self, names: tuple[str, ...]) -> bool:
        """Whether the text holds any of the qualified names, as the file imports them."""
        return any(self.holds(text.encode()) for text in self.written(names))

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
    def plain(self) -> bool:
        """Whether a name is written in one way alone: Python reads some letters that are not ASCII as others."""
        return self.source.data.isascii()

    @cached_property
    def _defined(self) -> frozenset[bytes]:
        return frozenset(DEFINED.findall(self.source.data))

    @cached_property
    def mentioned(self) -> Counter[bytes]:
        """How often the text has each name that it defines."""
        words = (match[0] for match in _WORD.finditer(self.source.data))
        return Counter(word for word in words if word in self._defined)

    @cached_property
    def _by_root(self) -> dict[str, dict[str, set[str]]]:
        """The imports by the first parts of the qualified names that they lead to."""
        found: dict[str, dict[str, set[str]]] = {}
        for local, meanings in self.imports_anywhere.items():
            for meaning in meanings:
                found.setdefault(meaning.partition(".")[0], {}).setdefault(local, set()).add(meaning)
        return found
