"""`perflint vendor`: the runtime as one module of the user's own, which needs nothing of perflint."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import perflint
from perflint.model.config import ConfigError
from perflint.project.settings import is_importable
from perflint.project.writing import WriteError, create, replace

FILE_NAME = "perflint_runtime.py"  # in a folder

# The digest is that of the whole text without it; formatters and fixers of others must keep off.
_HEAD = """\
# Written by `perflint vendor` of perflint {version}, sha256 {digest}
# Do not edit: run `perflint vendor` again for a newer one; it refuses a file that was edited.
# Copyright (c) 2026 The perflint authors. SPDX-License-Identifier: MIT
# fmt: off
# isort: skip_file
# flake8: noqa
# perflint: skip-file
"""
_MARK = re.compile(r"^# Written by `perflint vendor`(?: of perflint (\S+), sha256 ([0-9a-f]+)$)?", re.M)
_ROOT_FILES = ("pyproject.toml", "perflint.toml", "setup.py", "setup.cfg", ".git")
_WIDTH = 88


class Vendored(NamedTuple):
    """What `vendor` did."""

    path: Path
    before: str | None  # the version that wrote the file before, where there was one
    written: bool


def vendor(dest: Path) -> Vendored:
    """Write the runtime to `dest`, a file or a folder, or update it there.

    Raise ConfigError, and change nothing, where that cannot be or would lose what others wrote.
    """
    path, text = _file(dest), build()
    old = _read(path)
    if old is None:
        _write(path, None, text.encode())
        return Vendored(path, None, True)
    lines = old.replace(b"\r\n", b"\n")  # as git may have checked it out
    before = _version(path, lines.decode("utf-8", "replace"))
    new = text.encode()
    if lines == new:
        return Vendored(path, before, False)
    _write(path, old, new.replace(b"\n", b"\r\n") if b"\r\n" in old else new)
    return Vendored(path, before, True)


def module_name(path: Path) -> str:
    """How the project imports `path`, as far as its place tells: from `src`, or from the project's top."""
    folder = path.parent.resolve()  # the path itself may be a link
    path = folder if path.stem == "__init__" else folder / path.name
    parts = [path.stem]
    in_package = _is_package(path.parent)
    for folder in path.parents:
        is_package = _is_package(folder)
        if not folder.name and not in_package:  # no project in sight
            return path.stem
        outside = in_package or folder.name == "src" or folder == Path.cwd()
        if (outside and not is_package) or not is_importable(folder.name):
            break
        if any((folder / name).exists() for name in _ROOT_FILES):
            break
        parts.insert(0, folder.name)
    return ".".join(parts)


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


# The file.


def _file(dest: Path) -> Path:
    """The file that `dest` stands for; it can be imported, and its folder is there."""
    path = dest / FILE_NAME if dest.is_dir() else dest
    if path.suffix != ".py":
        raise ConfigError(
            f"{path}: neither a folder nor a name for a .py file; write one such as app/perf.py"
        )
    if not is_importable(path.stem):
        raise ConfigError(f"{path}: {path.stem!r} cannot be imported; choose another name, such as perf.py")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: not written: no folder {path.parent}; create it first")
    return path


def _read(path: Path) -> bytes | None:
    if not path.exists():
        return None
    if not path.is_file():
        raise ConfigError(f"{path}: not a regular file; choose another name")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _version(path: Path, text: str) -> str:
    """The version that wrote this text. Raise ConfigError where others wrote it, or in it."""
    mark = _MARK.search(text)
    if not mark:
        raise ConfigError(f"{path}: not written by perflint vendor; choose another name, or move it away")
    version, digest = mark.groups()
    if digest != _digest(text[: mark.start(2)] + text[mark.end(2) :]):
        raise ConfigError(f"{path}: edited since perflint wrote it; undo the edits, or delete the file first")
    return str(version)


def _write(path: Path, old: bytes | None, new: bytes) -> None:
    try:
        if old is None:
            create(path, new)
        else:
            replace(path, old, new)
    except WriteError as error:
        raise ConfigError(str(error)) from None


# The text.


def build() -> str:
    """The text of the module: the same for one version of perflint on any Python."""
    return assemble(package_files(), perflint.__version__)


def package_files() -> dict[str, str]:
    """The files of the runtime, by the name of their module; it is read and not imported."""
    folder = resources.files("perflint").joinpath("runtime")
    files = (file for file in folder.iterdir() if file.name.endswith(".py"))
    return {file.name.removesuffix(".py"): file.read_text("utf-8") for file in files}


def assemble(files: Mapping[str, str], version: str) -> str:
    """The files of a package, flat, whose `__init__` holds a docstring, imports and `__all__`, as one module."""
    imports, typed = _Imports(), _Imports()
    parts = {name: _part(files[name], imports, typed) for name in ordered(files)}
    doc, names = parts.pop("__init__")
    blocks = [
        _HEAD.format(version=version, digest="") + doc,
        "from __future__ import annotations",
        imports.text(),
        "if TYPE_CHECKING:\n" + textwrap.indent(typed.without(imports).text(), "    "),
        names,
        *(f"\n{_comment(ast.literal_eval(doc))}\n\n{body}" for doc, body in parts.values()),
    ]
    text = "\n\n".join(blocks) + "\n"
    return text.replace("sha256 \n", f"sha256 {_digest(text)}\n", 1)


def ordered(files: Mapping[str, str]) -> list[str]:
    """The modules of a flat package, each after those that it imports; graphlib.CycleError where that cannot be."""
    sorter = TopologicalSorter({name: set(_relatives(files[name])) for name in files})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def _relatives(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.module or "__init__"


@dataclass
class _Imports:
    """Absolute imports, merged."""

    modules: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)

    def add(self, node: ast.Import | ast.ImportFrom) -> None:
        aliases = {f"{item.name} as {item.asname}" if item.asname else item.name for item in node.names}
        if isinstance(node, ast.Import):
            self.modules |= aliases
        elif not node.level and node.module != "__future__":
            self.names.setdefault(node.module or "", set()).update(aliases)

    def without(self, others: _Imports) -> _Imports:
        left = {module: names - others.names.get(module, set()) for module, names in self.names.items()}
        return _Imports(
            self.modules - others.modules, {module: names for module, names in left.items() if names}
        )

    def text(self) -> str:
        lines = [f"import {module}" for module in sorted(self.modules)]
        for module, names in sorted(self.names.items()):
            listed = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
            line = f"from {module} import {', '.join(listed)}"
            if len(line) > _WIDTH:
                line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in listed) + ")"
            lines.append(line)
        return "\n".join(lines)


def _part(text: str, imports: _Imports, typed: _Imports) -> tuple[str, str]:
    """The docstring of a file as written, and its text without it and without imports, which join those given."""
    tree = ast.parse(text)
    doc = ast.get_source_segment(text, tree.body[0]) or ""
    lines = text.split("\n")
    for node in reversed(list(_lifted(tree, imports, typed))):
        end = node.end_lineno or node.lineno
        while end < len(lines) and not lines[end].strip():
            end += 1
        del lines[node.lineno - 1 : end]
    return doc, "\n".join(lines).strip("\n")


def _lifted(tree: ast.Module, imports: _Imports, typed: _Imports) -> Iterator[ast.stmt]:
    """The statements that the merged head stands for."""
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom():
                imports.add(node)
                yield node
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
                found = [item for item in body if isinstance(item, (ast.Import, ast.ImportFrom))]
                for item in found:
                    typed.add(item)
                yield from [node] if found == body else found
            case ast.Expr() if node is tree.body[0]:  # the docstring
                yield node


def _comment(doc: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in doc.strip().split("\n"))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
