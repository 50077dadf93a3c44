"""The command `perflint`. `app` declares it, the other modules do what it says."""

from __future__ import annotations

import gc
import sys

import perflint


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # answered before anything is imported
        print(f"perflint {perflint.__version__}")
        return
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the time of a warm run
    from perflint.cli import app

    gc.freeze()
    gc.enable()
    sys.exit(app.run(sys.argv[1:]))
