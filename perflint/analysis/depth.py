"""How deeply code is nested, asked before LibCST sees it.

LibCST recurses through its trees, in Python and natively: beyond some depth it takes time that
grows faster than the code, then raises, then ends the process. Such code is written by programs.
"""

from __future__ import annotations

import ast
import sys

from perflint.analysis.nodes import children

LEVELS = 800  # of `ast` nodes; LibCST needs up to about five Python frames for one
FRAMES = 5_000


def allow_recursion() -> None:
    """Let this process recurse as deeply as LEVELS needs; Python's default is too shallow for that."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), FRAMES))


def too_deep(node: ast.AST) -> bool:
    """Whether the tree below `node` has more than LEVELS levels."""
    level, nodes = 0, [node]
    while nodes:
        level += 1
        if level > LEVELS:
            return True
        nodes = [child for parent in nodes for child in children(parent)]
    return False
