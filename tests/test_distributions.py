"""What is installed, told as `importlib.metadata` tells it."""

import sys
import zipfile
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from perflint.analysis.distributions import rule_packages, version

POINTS = "[perflint.rules]\nacme = acme.rules\n"


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of `sys.path`, and no finders but Python's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = [finder for finder in sys.meta_path if finder.__module__.startswith("_frozen_importlib")]
    monkeypatch.setattr(sys, "meta_path", plain)
    # A backport that some library brings along takes this away.
    found = staticmethod(metadata.MetadataPathFinder.find_distributions)
    monkeypatch.setattr(PathFinder, "find_distributions", found, raising=False)
    return tmp_path


def install(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "METADATA").write_text("Name: acme\nVersion: 1.2\n")
    (folder / name / "entry_points.txt").write_text(POINTS)


@pytest.mark.usefixtures("alone")
def test_of_this_environment() -> None:
    assert version("libcst") == metadata.version("libcst")
    assert version("acme") is None
    assert rule_packages() == sorted(metadata.entry_points(group="perflint.rules"))


@pytest.mark.parametrize("name", ["acme-1.2.dist-info", "Acme-1.2.egg-info"])
def test_a_package_of_rules(alone: Path, name: str) -> None:
    install(alone, name)
    (alone / name / "METADATA").rename(alone / name / "PKG-INFO") if "egg" in name else None
    assert version("acme") == "1.2"
    assert "acme.rules" in [point.value for point in rule_packages()]


def test_in_an_archive(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(alone / "acme.zip", "w") as archive:
        archive.writestr("acme-1.2.dist-info/METADATA", "Name: acme\nVersion: 1.2\n")
        archive.writestr("acme-1.2.dist-info/entry_points.txt", POINTS)
    monkeypatch.syspath_prepend(str(alone / "acme.zip"))
    assert version("acme") == "1.2"
    assert "acme.rules" in [point.value for point in rule_packages()]
    assert version("none") is None


def test_by_a_finder_of_its_own(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder(metadata.MetadataPathFinder):
        """Finds the same as Python's."""

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    install(alone, "acme-1.2.dist-info")
    assert version("acme") == "1.2"
