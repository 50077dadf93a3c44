"""The laws hold on code that nobody wrote for us: the standard library of this Python."""

import sys
import sysconfig
from pathlib import Path

import pytest
from laws import broken_laws, python_files, unparsable

STDLIB = Path(sysconfig.get_path("stdlib"))
FOLDERS = ("asyncio", "email", "http", "json", "logging", "unittest", "xml")
SINGLE = sorted(path for path in STDLIB.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_laws_hold_on_packages_of_the_standard_library(folder: str) -> None:
    assert_laws(python_files([STDLIB / folder]))


@pytest.mark.slow
@pytest.mark.parametrize("letters", ["abc", "st"])
def test_laws_hold_on_modules_of_the_standard_library(letters: str) -> None:
    assert_laws([path for path in SINGLE if path.name[0].lower() in letters])


def test_laws_hold_on_a_few_modules() -> None:
    assert_laws([STDLIB / name for name in ("textwrap.py", "difflib.py", "shlex.py", "tabnanny.py")])


def assert_laws(paths: list[Path]) -> None:
    assert paths
    results = [(path, *broken_laws(path)) for path in paths]
    broken = [line for _, lines, _ in results for line in lines]
    broken += unparsable([(path, text) for path, _, text in results if text is not None], sys.executable)
    assert broken == []
