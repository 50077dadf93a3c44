"""The logger that a module has anyway: what a fix may write to."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.names import Names
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Edit

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_NAMES = ("logger", "log", "_logger", "_log", "LOGGER", "LOG")
_MAKERS = {"logging.getLogger", "structlog.get_logger", "structlog.getLogger"}


def module_logger(names: Names, at: cst.CSTNode) -> str | None:
    """The name of the module's one logger, if code at `at` sees it under that name."""
    for name in _NAMES:
        value = names.facts.constant(name)
        made = isinstance(value, ast.Call) and names.facts.outline.qualified(value.func) in _MAKERS
        if (made or names.facts.imported(name) == "loguru.logger") and _sees_module(names, name, at):
            return name
    return None


def logging_expression(context: Context, at: cst.CSTNode) -> tuple[str, Edit | None] | None:
    """How to write a logger at `at`, and the import that it needs: the module's own, else one by its name."""
    logger = module_logger(context.names, at)
    if logger is not None:
        return logger, None
    found = import_edit(context.source, context.facts.tree, "logging", None)
    return (f"{found[0]}.getLogger(__name__)", found[1]) if found is not None else None


def _sees_module(names: Names, name: str, at: cst.CSTNode) -> bool:
    return names.scope(at).owner(name) in (None, names.top)
