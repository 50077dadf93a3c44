"""Proofs that a fix leaves the database as the code before it would; see differences.py."""

import faulthandler
import gc
import warnings
from collections.abc import Iterator

import pytest
from databases import database as database

SECONDS = 120  # a hang, such as a driver waiting for itself, ends the run with the stacks of all threads


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    with (
        warnings.catch_warnings()
    ):  # code before its fix leaves connections open; they end here, not in a later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
        gc.freeze()  # what is left is in use; the next test's collection need not walk through it
