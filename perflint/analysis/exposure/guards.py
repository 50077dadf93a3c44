"""Code that runs only where somebody asked for it: behind a switch, or in a file for development."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from perflint.analysis.outline import Definition, Outline
from perflint.analysis.places import is_test_file

By = Literal["switch", "environment"]

_DEVELOPMENT = re.compile(
    r"(^|[_\-.])(dev|devel|local|development|tests?|conftest|examples?|samples?|demos?|tutorials?|docs_src)($|[_\-.\d])",
    re.I,
)
_SWITCH = re.compile(
    r"(^|_)(debug\w*|dev(elopment)?(_mode)?|local|profil(e|ing|er)\w*|trace\w*|testing|verbose|__debug__|type_checking|enabled)$|^enable_\w+$",
    re.I,
)
_OPTIONS = {
    "args",
    "arguments",
    "options",
    "opts",
    "ns",
    "namespace",
    "flags",
    "parsed_args",
    "cli_args",
    "params",
}
_VISITOR = {"request", "req", "query_params", "scope", "headers", "cookies"}
_ENVIRONMENT = {"getenv", "environ", "env", "getenv_bool"}


def development(path: str) -> bool:
    """Whether the file is for development or tests by its name or a folder's: `settings/local.py`, `examples/chat/`.

    `debug.py` is not: a service may well serve what is in it.
    """
    place = PurePath(path)
    words = (place.stem, place.parent.name, place.parent.parent.name)
    return is_test_file(path) or any(_DEVELOPMENT.search(word) for word in words)


def guarded(outline: Outline, node: ast.AST) -> By | None:
    """What must be switched on before the node runs: `if settings.DEBUG:`, `if os.environ.get(..):`, `if args.dev:`.

    A test that leaves the function before the node (`if not app.debug: return`) guards it too.
    """
    parents = outline.parents
    below = node
    above = parents.get(node)
    while above is not None:
        for test in _tests(above, below):
            found = switches(test) or _followed(outline, test)
            if found is not None:
                return found
        below, above = above, parents.get(above)
    return None


def _followed(outline: Outline, test: ast.expr) -> By | None:
    """What a module-level name in the test was read from: `attach = os.getenv("ATTACH")` and then `if attach:`."""
    names = (part.id for part in ast.walk(test) if isinstance(part, ast.Name) and part.id not in _VISITOR)
    held = (outline.facts.constant(name) for name in names)
    return next((found for item in held if item is not None and (found := switches(item))), None)


def conditional(outline: Outline, node: ast.AST) -> bool:
    """Whether anything must hold before the node runs: an `if` of any kind, but not that of `__main__`."""
    parents = outline.parents
    below, above = node, parents.get(node)
    while above is not None:
        if any(not _of_main(test) for test in _tests(above, below)):
            return True
        below, above = above, parents.get(above)
    return False


def _of_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def switches(test: ast.expr) -> By | None:
    """Whether the expression asks for a switch: an environment variable, a flag for debugging, a command's option."""
    words = [word for part in _asked(test) for word in _words(part)]
    if any(word in _ENVIRONMENT for word in words):
        return "environment"
    if any(_SWITCH.search(word) or word in _OPTIONS for word in words):
        return "switch"
    return None


def _tests(above: ast.AST, below: ast.AST) -> Iterator[ast.expr]:
    match above:
        case ast.If(test=test) | ast.IfExp(test=test) if below is not test:
            yield test
        case ast.BoolOp(values=[first, *_]) if below is not first:
            yield first
    body = getattr(above, "body", None)
    if isinstance(above, Definition) and isinstance(body, list) and below in body:
        for item in body[: body.index(below)]:
            if isinstance(item, ast.If) and isinstance(item.body[-1], (ast.Return, ast.Raise)):
                yield item.test


def _asked(test: ast.expr) -> Iterator[ast.expr]:
    """The parts of a test that a visitor does not choose: `request.args.get("debug")` is no switch."""
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    for part in parts:
        if _VISITOR.isdisjoint(_words(part)):
            yield part


def _words(test: ast.expr) -> Iterator[str]:
    for part in ast.walk(test):
        match part:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str(text)):
                yield text
