"""Options and servers shared by all tests."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers

sys.path.append(str(Path(__file__).parent.parent))  # `bench`, which is not installed; perflint may be


def pytest_configure() -> None:
    if servers.MEMORY:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", servers.MEMORY)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: many tests wait for servers, processes and time-outs."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # Hypothesis, if it is loaded only for its summary, looks for referrers, and sees no frozen ones


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: at the end, one worker would be busy with it and the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("install") is None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the *.py.fixed files")


@pytest.fixture(scope="session", autouse=True)
def cache_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test finds a cache where it does not look for one."""
    os.environ["PERFLINT_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    with servers.postgres() as uri:
        yield uri


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Each collection of garbage would walk through all that pytest and the modules before this one keep."""
    gc.collect()
    gc.freeze()
