"""Changes to a database's tables: they run once, often on all the rows that there are."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.database.statements import FETCHES, statements
from perflint.analysis.match import last_name
from perflint.analysis.places import is_migration
from perflint.analysis.tree import walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context


def migrates(context: Context) -> bool:
    """Whether the file is a migration: by its folder or name, or because it imports alembic."""
    path = context.source.path
    return (
        "alembic" in context.facts.packages
        or is_migration(path)
        or PurePath(path).stem.endswith("migrations")
    )


def reads_rows(context: Context, loop: cst.CSTNode) -> bool:
    """Whether the function around a loop asks the database for rows: what is written is not in the source."""
    block = context.tree.function(loop) or context.tree.root
    if any(found.verb == "SELECT" for found in statements(context, block)):
        return True
    calls = (part for part in walk_scope(block) if isinstance(part, cst.Call))
    return any(last_name(call.func) in FETCHES | {"query"} for call in calls)
