"""Which files a run looks at."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from perflint.model.config import ConfigError
from perflint.project import files


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names: str, text: str = "") -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def find(*names: str, exclude: Sequence[str] = ()) -> list[str]:
    found = files.find(names or (".",), Path.cwd(), exclude)
    assert not found.problems
    return [name.replace(os.sep, "/") for name in found.files]


@pytest.mark.usefixtures("tree")
class TestSearch:
    def test_python_files_sorted_each_once(self) -> None:
        make("b.py", "a/c.pyi", "a/b.pyw", "a/x.txt", "a/script")
        assert find() == ["a/b.pyw", "a/c.pyi", "b.py"]
        assert find("b.py", "a", ".", "a/b.pyw") == ["a/b.pyw", "a/c.pyi", "b.py"]

    def test_named_files(self) -> None:
        make("script", text="#!/usr/bin/env python3\n")
        make("tool.cgi", text="#!/usr/bin/python -u\n")
        make("shell", "a.txt", text="#!/bin/sh\n")
        assert find("script", "tool.cgi", "shell", "a.txt") == ["script", "tool.cgi"]

    def test_folders_that_hold_no_code_of_the_project(self) -> None:
        make("venv/a.py", "x/node_modules/a.py", "build/a.py", ".git/a.py", "x/a.py", "site-packages/a.py")
        assert find() == ["site-packages/a.py", "x/a.py"]
        assert find("build", "venv/a.py") == ["build/a.py", "venv/a.py"]
        assert find(exclude=["!build"]) == ["build/a.py", "site-packages/a.py", "x/a.py"]

    def test_exclude_holds_for_named_files_too(self) -> None:
        make("a.py", "gen/a.py", "x/gen/b.py", "x/c_pb2.py")
        assert find(exclude=["gen/", "*_pb2.py"]) == ["a.py"]
        assert find("gen", "x/gen/b.py", "x/c_pb2.py", exclude=["gen/", "*_pb2.py"]) == []
        assert find(exclude=["/gen"]) == ["a.py", "x/c_pb2.py", "x/gen/b.py"]

    def test_gitignore(self) -> None:
        make(".git/HEAD", "a.py", "out/a.py", "x/a.py", "x/keep.py", "x/y/b.py", "x/y/c.py")
        make(".gitignore", text="out/\n/x/a.py\nb.py\n[\n")
        make("x/y/.gitignore", text="!b.py\nc.py\n")
        assert find() == ["a.py", "x/keep.py", "x/y/b.py"]
        assert find("x/y") == ["x/y/b.py"]
        assert find("x/a.py", "out") == ["out/a.py", "x/a.py"]

    def test_gitignore_ends_at_the_repository(self) -> None:
        make(".gitignore", text="*.py\n")
        make("repo/.git/HEAD", "repo/a.py", "repo/x/b.py")
        assert find("repo") == ["repo/a.py", "repo/x/b.py"]
        assert find("repo/x") == ["repo/x/b.py"]

    def test_loops_of_links_end(self) -> None:
        make("a/b/c.py")
        Path("a/b/up").symlink_to(Path("..").resolve() / Path.cwd().name, target_is_directory=True)
        Path("a/self").symlink_to("self")
        Path("a/gone.py").symlink_to("nowhere.py")
        assert find() == ["a/b/c.py"]

    def test_files_go_by_their_real_name(self) -> None:
        make("z/real.py", "outside/b.py")
        Path("a.py").symlink_to("z/real.py")
        Path("a").symlink_to("z", target_is_directory=True)
        Path("z/linked").symlink_to(Path("outside").resolve(), target_is_directory=True)
        assert find() == ["outside/b.py", "z/real.py"]
        assert find("z") == ["z/linked/b.py", "z/real.py"]

    def test_what_does_not_exist(self) -> None:
        with pytest.raises(ConfigError, match=r"^nope.py: no such file or directory$"):
            find("nope.py")

    def test_a_folder_called_like_a_file(self) -> None:
        make("pkg.py/a.py")
        assert find() == ["pkg.py/a.py"]

    def test_names_that_are_no_text(self) -> None:
        with open(b"\xff.py", "w"):  # noqa: PTH123
            pass
        assert [os.fsencode(name) for name in files.find(["."], Path.cwd()).files] == [b"\xff.py"]


def test_a_folder_that_cannot_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("a/b.py", "c.py")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(files.os, "scandir", refuse)
    found = files.find(["."], tree)
    assert found.files == ("c.py",)
    assert found.problems == ((Path("a"), "permission denied"),)


@pytest.mark.usefixtures("tree")
def test_excluded() -> None:
    assert files.excluded(Path("gen/a.py"), Path.cwd(), ["gen"])
    assert not files.excluded(Path("a.py"), Path.cwd(), ["gen"])
