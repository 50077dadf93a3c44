"""The layers and budgets of the architecture, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "perflint"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

# A module may import from its own line and those above it; names are prefixes below `perflint.`.
LAYERS = (
    ("model",),
    (
        "analysis",
        "fixing.imports",  # a rule's fix may need one
    ),
    ("rules",),
    (
        "analysis.registry",
        "analysis.hopes",
        "analysis.planning",
        "analysis.suppress",
        "analysis.visits",
        "analysis.engine",
        "fixing",
    ),
    ("project", "reports", "evidence", "testing"),
    ("cli", "flake8", "__main__"),
)
SHARED = 1  # the layer that rules may ask

OVER_BUDGET: dict[str, str] = {}  # "file" or "file:function" -> why it may be longer


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def layer(module: str) -> int:
    ranks = [
        (len(prefix), rank)
        for rank, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or module.startswith(f"{prefix}.")
    ]
    return max(ranks)[1] if ranks else -1


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_up(path: Path) -> None:
    here = module_name(path)
    for name in imported(path):
        there = name.removeprefix("perflint.")
        if name.startswith("perflint.") and layer(there) >= 0:
            assert layer(there) <= layer(here), f"perflint.{here} must not import {name}"
            if here.startswith("rules."):
                assert not there.startswith("rules."), f"{here}: a rule never imports another"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_heavy_packages_have_one_door(path: Path) -> None:
    here, names = module_name(path), imported(path)
    roots = {name.partition(".")[0] for name in names}
    if not here.startswith("cli."):
        assert "click" not in roots
    if here != "project.cluster":  # an extra
        assert roots.isdisjoint({"dask", "distributed"})
    assert not any(name.startswith("libcst.metadata") for name in names)  # dear: `analysis.spans` replaces it
    if here != "analysis.spans":
        assert not any(name.startswith("libcst._") for name in names)
    knows_libcst = here.startswith("rules.") or here == "fixing.imports" or layer(here) == SHARED
    if not knows_libcst and here != "analysis.visits":  # it names node types in its table
        assert "libcst" not in roots


def test_the_version_costs_nothing() -> None:
    assert imported(PACKAGE / "__init__.py") == set()


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_budgets(path: Path) -> None:
    here, text = module_name(path), path.read_text()
    budget = 250 if here.startswith("rules.") else 400
    lines = len(text.splitlines())
    assert lines <= budget or here in OVER_BUDGET, f"{here} has {lines} lines of {budget}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 40 or f"{here}:{node.name}" in OVER_BUDGET, (
                f"{here}:{node.name} has {length} lines"
            )
