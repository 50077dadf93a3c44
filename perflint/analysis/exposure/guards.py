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
    r"(^|[_\-.])(dev|devel|local|development|debug|tests?|conftest|examples?|sample|demo)($|[_\-.\d])", re.I
)
_SWITCH = re.compile(
    r"(^|_)(debug\w*|dev(elopment)?(_mode)?|local|profil(e|ing|er)\w*|trace\w*|testing|verbose|__debug__|type_checking)$",
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
_ENVIRONMENT = {"getenv", "environ", "env", "getenv_bool"}


def development(path: str) -> bool:
    """Whether the file is for development or tests by its name or its folder's: `settings/local.py`, `examples/`."""
    place = PurePath(path)
    return is_test_file(path) or bool(
        _DEVELOPMENT.search(place.stem) or _DEVELOPMENT.search(place.parent.name)
    )


def guarded(outline: Outline, node: ast.AST) -> By | None:
    """What must be switched on before the node runs: `if settings.DEBUG:`, `if os.environ.get(..):`, `if args.dev:`.

    A test that leaves the function before the node (`if not app.debug: return`) guards it too.
    """
    parents = outline.parents
    below = node
    above = parents.get(node)
    while above is not None:
        for test in _tests(above, below):
            found = switches(test)
            if found is not None:
                return found
        below, above = above, parents.get(above)
    return None


def switches(test: ast.expr) -> By | None:
    """Whether the expression asks for a switch: an environment variable, a flag for debugging, a command's option."""
    words = list(_words(test))
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


def _words(test: ast.expr) -> Iterator[str]:
    for part in ast.walk(test):
        match part:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str(text)):
                yield text

