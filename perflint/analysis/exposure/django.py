"""Django's settings as a file shows them: which file is for production, and whom it lets in."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from pathlib import PurePath
from typing import Literal

from perflint.analysis.exposure.values import UNKNOWN, value
from perflint.analysis.outline import Home, Outline
from perflint.analysis.sketch import Sketch

Kind = Literal["production", "base", "settings"]

_PRODUCTION = re.compile(r"(^|[_\-.])(prod|production|live)($|[_\-.])", re.I)
_BASE = re.compile(r"^(base|common|defaults?|global)(_settings)?$|_base$", re.I)
_PRIVATE = re.compile(
    r"^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[?::1|0\.0\.0\.0|.*\.(local|localhost|test|internal)$)"
)


def settings_kind(path: str) -> Kind | None:
    """What sort of settings module a path names: `settings.py`, `settings/base.py`, `config/production.py`."""
    place = PurePath(path)
    if _PRODUCTION.search(place.stem):
        return "production"
    inside = place.parent.name in ("settings", "config", "conf")
    if inside and _BASE.search(place.stem):
        return "base"
    return "settings" if "settings" in place.stem or (inside and place.stem == "__init__") else None


def lets_everybody_in(hosts: object) -> str | None:
    """The first of ALLOWED_HOSTS that is not this machine or a private network."""
    if hosts is UNKNOWN or not isinstance(hosts, tuple):
        return None
    words = [item for item in hosts if isinstance(item, str)]
    return next((item for item in words if item == "*" or ("." in item and not _PRIVATE.match(item))), None)


def settled(outline: Outline, name: str) -> object:
    """The constant that a setting has at the end of the file, or UNKNOWN: a later `from .local import *` may change it."""
    node = outline.facts.constant(name)
    if node is None or _overruled(outline, node):
        return UNKNOWN
    return value(outline, node, Home())


def _overruled(outline: Outline, node: ast.expr) -> bool:
    for item in ast.walk(outline.facts.tree):
        match item:
            case ast.ImportFrom(names=[ast.alias(name="*")]) if item.lineno > node.lineno:
                return True
            case ast.Call(func=ast.Name(id="globals" | "locals" | "vars" | "exec" | "execfile")):
                return True
    return False


def settings_hold(sketch: Sketch, lists: Collection[str], entries: Collection[object]) -> bool:
    """Whether the module's own code may set `DEBUG` for everybody, or put one of the entries into one of the lists."""
    facts = sketch.facts
    if sketch.region.function or settings_kind(facts.source.path) is None:
        return False
    if not sketch.words.isdisjoint(lists) and any(node.value in entries for node in sketch.of(ast.Constant)):
        return True
    hosts = "DEBUG" in sketch.words and settled(facts.outline, "ALLOWED_HOSTS")
    return hosts is not False and lets_everybody_in(hosts) is not None
