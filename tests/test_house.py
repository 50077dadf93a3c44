"""The layers and budgets of the architecture, read from the imports themselves."""

import ast
from functools import cache
from pathlib import Path

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


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever the import stands."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_imports_point_up() -> None:
    broken = []
    for here, name in ((module_name(path), name) for path in FILES for name in imported(path)):
        there = name.removeprefix("perflint.")
        if name.startswith("perflint.") and layer(there) >= 0:
            if layer(there) > layer(here):
                broken.append(f"perflint.{here} must not import {name}")
            if here.startswith("rules.") and there.startswith("rules."):
                broken.append(f"{here}: a rule never imports another")
    assert broken == []


def test_heavy_packages_have_one_door() -> None:
    assert [module_name(path) for path in FILES if opens_a_door(module_name(path), imported(path))] == []


def opens_a_door(here: str, names: set[str]) -> bool:
    roots = {name.partition(".")[0] for name in names}
    knows_libcst = here.startswith("rules.") or here == "fixing.imports" or layer(here) == SHARED
    return (
        ("click" in roots and not here.startswith("cli."))
        or (bool(roots & {"dask", "distributed"}) and here != "project.cluster")  # an extra
        or any(name.startswith("libcst.metadata") for name in names)  # dear: `analysis.spans` replaces it
        or (any(name.startswith("libcst._") for name in names) and here != "analysis.spans")
        or ("libcst" in roots and not knows_libcst and here != "analysis.visits")  # it names node types
    )


def test_the_version_costs_nothing() -> None:
    assert imported(PACKAGE / "__init__.py") == set()


def test_budgets() -> None:
    long = []
    for path in FILES:
        here = module_name(path)
        budget = 250 if here.startswith("rules.") else 400
        lines = len(path.read_text().splitlines())
        if lines > budget and here not in OVER_BUDGET:
            long.append(f"{here} has {lines} lines of {budget}")
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > 40 and f"{here}:{node.name}" not in OVER_BUDGET:
                    long.append(f"{here}:{node.name} has {length} lines")
    assert long == []
