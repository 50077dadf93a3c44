"""Adds an import once, in the right place, or reuses the one that is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from functools import lru_cache

from perflint.model.config import Config
from perflint.model.diagnostics import Edit, Span
from perflint.model.source import Source

# What a fix rewrites stands in or under one of these; a statement without them may come before the import.
_BUSY = (
    *(ast.Call, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Lambda),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_RUNTIME_FROM = (3, 10)  # the oldest Python that the runtime runs on

# Lines that mean something only where they stand, at the top of the file.
_HEADER = re.compile(r"#!|[ \t\f]*#.*?coding[:=]")


def import_edit(
    source: Source, tree: ast.Module, module: str, name: str | None, taken: Container[str] = ()
) -> tuple[str, Edit | None] | None:
    """How to write `module.name` (`module`, where `name` is None) in this file, and the import to add.

    No import is added where the file has one that surely holds: directly at module level,
    among the statements before the first call, loop or definition, its name bound to nothing
    else in any scope. The answer is None where a new name cannot be bound without doubt: a
    star import, or every form would meet a name that the file uses or that is in `taken`.
    """
    names = _names(tree)
    if names.star:
        return None
    if name and (bound := names.bound_to(f"{module}.{name}")):
        return bound, None
    if bound := names.bound_to(module):
        return f"{bound}.{name}" if name else bound, None
    for statement, binds, expression in _forms(module, name):
        # `import a` binds what `import a.b` binds
        same = statement.startswith("import ") and names.bound_to(binds) == binds
        if (same or binds not in names.used) and binds not in taken:
            return expression, _insertion(source, tree, statement)
    return None


def runtime_import(
    source: Source, tree: ast.Module, config: Config, name: str, taken: Container[str] = ()
) -> tuple[str, Edit | None] | None:
    """As `import_edit`, for a name of the runtime; None also where the project has not asked for it."""
    if not config.runtime_fixes or config.target.low < _RUNTIME_FROM:
        return None
    return import_edit(source, tree, config.runtime_module, name, taken)


def definition_edit(source: Source, tree: ast.Module, statement: str) -> Edit:
    """Add a module-level statement in a paragraph of its own, below the imports of the head.

    What `import_edit` finds without an edit is bound there; the caller has made sure of every other name.
    """
    anchors = [node for node in _head(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not anchors:
        return _insertion(source, tree, statement)
    return _below(source, anchors[-1].end_lineno or anchors[-1].lineno, statement, apart=True)


def _forms(module: str, name: str | None) -> Iterator[tuple[str, str, str]]:
    """The statements to try, the name that each binds, and the expression to write."""
    if name:
        yield f"from {module} import {name}", name, name
    yield f"import {module}", module.partition(".")[0], f"{module}.{name}" if name else module


class _Names:
    """Every name in a file, whatever its scope, and what the imports in its head stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.star = False
        self.used: set[str] = set()
        self._doubtful: set[str] = set()  # bound by anything but an import in the head
        self._imported: dict[str, set[str]] = {}  # local name -> the paths it stands for
        self._modules: set[str] = set()  # `a.b` of `import a.b`
        head = set(_head(tree))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node, node in head)
            elif not isinstance(node, ast.alias):
                self._other(node)

    def bound_to(self, path: str) -> str | None:
        """The expression that means `path` everywhere after the head."""
        for name, paths in self._imported.items():
            if paths == {path} and name not in self._doubtful:
                return name
        root = path.partition(".")[0]
        sure = self._imported.get(root) == {root} and root not in self._doubtful
        return path if sure and path in self._modules else None

    def _import(self, node: ast.Import | ast.ImportFrom, in_head: bool) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                path = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                local = alias.asname or alias.name
            else:
                root = alias.name.partition(".")[0]
                path, local = (alias.name, alias.asname) if alias.asname else (root, root)
            self.star |= alias.name == "*"
            self.used.add(local)
            if in_head:
                self._imported.setdefault(local, set()).add(path)
                if isinstance(node, ast.Import):
                    self._modules.add(alias.name)
            else:
                self._doubtful.add(local)

    def _other(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                self.used.add(name)
                return
            case ast.Name(id=name) | ast.arg(arg=name) | ast.MatchMapping(rest=str(name)):
                bound = [name]
            case ast.Global(names=bound) | ast.Nonlocal(names=bound):
                pass
            case _:
                # functions, classes, handlers, captures and type parameters
                named = getattr(node, "name", None)
                bound = [named] if isinstance(named, str) else []
        self.used.update(bound)
        self._doubtful.update(bound)


@lru_cache(maxsize=1)
def _names(tree: ast.Module) -> _Names:
    return _Names(tree)


def _head(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run before anything a fix could rewrite."""
    for statement in tree.body:
        if any(isinstance(node, _BUSY) for node in ast.walk(statement)):
            return
        yield statement


def _insertion(source: Source, tree: ast.Module, statement: str) -> Edit:
    """Add `statement` below the imports of the head, else below the docstring, else above the code."""
    anchors = [node for node in _head(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not anchors and ast.get_docstring(tree, clean=False) is None:
        return _above(source, tree.body[0], statement)
    anchor = [tree.body[0], *anchors][-1]
    line, column = anchor.end_lineno or anchor.lineno, anchor.end_col_offset or 0
    end, line_end = source.offset(line, column), source.line_span(line)[1]
    if source.data[end:line_end].strip()[:1] in (b";", b"\\"):
        return Edit(Span(end, end), f"; {statement}")
    return _below(source, line, statement, apart=not _is_plain_import(anchor))


def _is_plain_import(node: ast.AST) -> bool:
    """Whether a further import may follow without a blank line."""
    return isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")


def _below(source: Source, line: int, statement: str, *, apart: bool) -> Edit:
    """`statement` after that line; `apart` keeps blank lines around it."""
    before = "\n" if apart else ""
    if line == len(source.line_starts):  # the last line has no line end, and keeps none
        at = len(source.data)
        return Edit(Span(at, at), f"\n{before}{statement}")
    at = source.line_starts[line]
    crowded = apart and bool(source.line_text(line + 1).strip())
    return Edit(Span(at, at), f"{before}{statement}\n" + "\n" * crowded)


def _above(source: Source, first: ast.stmt, statement: str) -> Edit:
    """`statement` before the first statement and the comment that sticks to it, after the header lines."""
    decorators = getattr(first, "decorator_list", [])
    line = min([first.lineno, *(node.lineno for node in decorators)])
    header = max((at for at in (1, 2) if at < line and _HEADER.match(source.line_text(at))), default=0)
    while line > header + 1 and source.line_text(line - 1).lstrip().startswith("#"):
        line -= 1
    at = source.line_starts[line - 1]
    return Edit(Span(at, at), statement + "\n\n" + "\n" * isinstance(first, _DEFINITION))
