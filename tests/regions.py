"""Regions taken apart for questions about one call in them."""

import ast
import textwrap

import libcst as cst

from perflint.analysis.facts import Facts
from perflint.analysis.rule import Context
from perflint.analysis.tree import parse, walk
from perflint.model.config import Config
from perflint.model.source import Source


def context(code: str, function: str | None = None, **options) -> Context:
    """The context of the outermost function `function`, or of the whole module."""
    source = Source("service.py", textwrap.dedent(code).encode())
    facts = Facts(source, ast.parse(source.text))
    regions = {item.node.name: item for item in facts.regions}
    region = regions[function] if function else facts.module
    return Context(source, facts, parse(source, region), Config(**options))


def call(context: Context, text: str) -> cst.Call:
    """The innermost call in the region whose code holds `text`."""
    calls = [item for item in walk(context.tree.root) if isinstance(item, cst.Call)]
    return min(
        (item for item in calls if text in context.tree.code(item)),
        key=lambda item: len(context.tree.code(item)),
    )


def loop(context: Context) -> cst.CSTNode:
    """The first loop of the region."""
    return next(item for item in walk(context.tree.root) if isinstance(item, (cst.For, cst.While)))
