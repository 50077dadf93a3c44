"""Whether a thread or process is a daemon: by its constructor, its class, or an attribute set later."""

from __future__ import annotations

import ast

from perflint.analysis.objects import Made
from perflint.analysis.outline import Home, Outline, own_nodes


def is_daemon(made: Made, place: str | None, home: Home, outline: Outline) -> bool:
    """Whether the thread is a daemon, or may be one.

    `place` is what names it (`t`, `self._thread`; None: any `.daemon = True` of the function may be about it), `home`
    where it is made or used.
    """
    given = [item for item in made.argument("daemon") if item is not None]
    if given:
        return not all(_no(item) for item in given)
    if made.subclass is not None and _mentions_daemon(made.subclass):
        return True
    if place is not None and "." in place and home.owner is not None:
        return any(_sets_daemon(item, place) for item in ast.walk(home.owner))
    around = home.function or outline.facts.tree
    return any(_sets_daemon(item, place) for item in own_nodes(around))


def _no(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and not value.value


def _mentions_daemon(owner: ast.ClassDef) -> bool:
    return any(
        (isinstance(item, ast.keyword) and item.arg in ("daemon", None))
        or (isinstance(item, ast.Name) and item.id == "daemon")
        or _sets_daemon(item, "self")
        for item in ast.walk(owner)
    )


def _sets_daemon(node: ast.AST, place: str | None) -> bool:
    match node:
        case ast.Assign(targets=[ast.Attribute(value=owner, attr="daemon")], value=value):
            return not _no(value) and (place is None or ast.unparse(owner) == place)
        case ast.Call(func=ast.Attribute(value=owner, attr="setDaemon")):
            return place is None or ast.unparse(owner) == place
    return False
