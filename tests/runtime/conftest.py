"""Every test of the runtime is bounded in time and must leave no thread, task or unraisable error behind."""

import faulthandler
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from runtime_helpers import gone

SECONDS = 120  # a hang ends the run with the stacks of all threads


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """PERFLINT_SWITCH=1e-5 makes the interpreter change threads as often as it can."""
    before, threads = sys.getswitchinterval(), set(threading.enumerate())
    sys.setswitchinterval(float(os.environ.get("PERFLINT_SWITCH", before)))
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        yield
        assert gone(threads), f"left running: {set(threading.enumerate()) - threads}"
    finally:
        faulthandler.cancel_dump_traceback_later()
        sys.setswitchinterval(before)
