"""Code that every start of the program runs: modules as they are imported, application factories, start-up hooks."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath
from typing import Literal

from perflint.analysis.exposure.routes import FRAMEWORKS
from perflint.analysis.outline import FunctionNode, Home, Outline, decorators
from perflint.analysis.places import is_script

Moment = Literal["import", "start-up"]

_FACTORY = re.compile(
    r"^(create|make|build)_?(\w+_)?app(lication)?$|lifespan|^(on_)?startup(_event|_handler)?$"
)
_MEASURES = re.compile(r"bench|profil|memtest|leak|coverage|tracemalloc|(^|_)(perf|mem|memory)($|_)", re.I)
_HOOKS = {
    "on_event",
    "before_serving",
    "before_first_request",
    "on_startup",
    "listener",
    "before_server_start",
}


def measures(path: str) -> bool:
    """Whether the file is a program that measures, by its name, or one run by hand."""
    return is_script(path) or bool(_MEASURES.search(PurePath(path).stem))


def moment(outline: Outline, node: ast.AST, home: Home) -> Moment | None:
    """When the node runs without being asked; None where it waits for a caller, or for `__main__`.

    The `__main__` block of a web application is its start, too.
    """
    line = getattr(node, "lineno", 0)
    if home.function is None:
        if any(line in lines for lines in outline.main_lines):
            return "start-up" if not outline.facts.packages.isdisjoint(FRAMEWORKS) else None
        return "import"
    return "start-up" if any(_starts(outline, item, home) for item in home.functions) else None


def _starts(outline: Outline, function: FunctionNode, home: Home) -> bool:
    if decorators(function) & _HOOKS:
        return not any(_word(item) == "shutdown" for item in function.decorator_list)
    owner = outline.homes[function].owner
    if function.name == "ready" and owner is not None:  # of Django's applications
        return any(base.rpartition(".")[2] == "AppConfig" for base in outline.bases(owner))
    if function.name == "main":  # of Pyramid
        return [item.arg for item in function.args.args[:1]] == ["global_config"]
    return owner is None and bool(_FACTORY.search(function.name))


def _word(node: ast.expr) -> object:
    match node:
        case ast.Call(args=[ast.Constant(value=word), *_]):
            return word
    return None
