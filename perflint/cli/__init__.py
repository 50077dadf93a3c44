"""The command `perflint`. `app` declares it, the other modules do what it says."""

from __future__ import annotations

import sys

import perflint


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # answered before anything is imported
        print(f"perflint {perflint.__version__}")
        return
    from perflint.cli import app

    sys.exit(app.run(sys.argv[1:]))
