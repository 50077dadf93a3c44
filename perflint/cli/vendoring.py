"""`perflint vendor`."""

from __future__ import annotations

from pathlib import Path

import perflint
from perflint.project import vendor as vendored


def vendor(dest: Path) -> str:
    """Write the runtime to `dest`, and say what was done and what to do with it."""
    path, before, written = vendored.vendor(dest)
    version = perflint.__version__
    if not written:
        return f"{path} is up to date (perflint {version})"
    done = f"wrote {path}" if before is None else f"updated {path}, from perflint {before} to {version}"
    return (
        f"{done}\nFor fixes that import from it, write in pyproject.toml:\n\n"
        f'[tool.perflint]\nruntime-module = "{vendored.module_name(path)}"'
    )
