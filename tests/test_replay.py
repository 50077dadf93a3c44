"""A run is played again only where it would print the same: everything that it depends on is changed here, one by one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import SLOW_PATH

from perflint.cli import app, options
from perflint.model.config import Config
from perflint.model.outcome import Outcome
from perflint.project import jobs, replay, stamps

OTHER = "def g(xs):\n    return sorted(xs)[0]\n"


class Runs:
    """Runs `perflint check`, and knows whether it was a real run."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = False
        self.code = 0
        self._capsys = capsys
        read = options.read

        def seen(arguments: list[str]) -> options.Plain | None:
            self.real = True
            return read(arguments)

        monkeypatch.setattr(options, "read", seen)

    def check(self, *arguments: str) -> str:
        self.real = False
        self.code = app.run(["check", *arguments])
        out, err = self._capsys.readouterr()
        assert not err
        return out


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runs:
    """In a repository with a file that has a finding, one without, one that is ignored and one behind a link."""
    monkeypatch.setattr(replay, "MARGIN", -(10**12))  # files count as old at once
    monkeypatch.delenv("PERFLINT_CACHE_DIR")
    for name in ("repo/.git", "repo/src/sub", "elsewhere", "other"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo")
    Path(".perflint_cache").mkdir()
    Path(".perflint_cache/CACHEDIR.TAG").touch()
    Path("src/a.py").write_text(SLOW_PATH)
    Path("src/sub/b.py").write_text("x = 1\n")
    Path("src/sub/c.py").write_text(SLOW_PATH)
    Path("src/.gitignore").write_text("c.py\n")
    (tmp_path / "elsewhere/d.py").write_text(SLOW_PATH)
    (tmp_path / "other/d.py").write_text(OTHER)
    Path("src/link").symlink_to(tmp_path / "elsewhere")
    Path("src/broken").symlink_to(tmp_path / "later")
    return Runs(capsys, monkeypatch)


def later(path: str) -> None:
    """Give a file the time that it would have if it had been written a moment later."""
    now = Path(path).stat().st_mtime_ns
    os.utime(path, ns=(now + 10**7, now + 10**7))


def rewrite(path: str, text: str) -> Callable[[], None]:
    def change() -> None:
        Path(path).write_text(text)
        later(path)

    return change


@pytest.mark.parametrize("format", ["text", "concise", "json", "github"])
def test_the_same_is_printed(runs: Runs, format: str) -> None:
    first = runs.check("--output-format", format, "src")
    assert runs.real and runs.code == 1
    again = runs.check("--output-format", format, "src")
    assert not runs.real and runs.code == 1
    if format == "json":
        assert [item["code"] for item in json.loads(again)] == ["PRF102", "PRF102"]
    ends = [
        text.rpartition(" s\n")[0].rpartition(" ")[0] or text for text in (first, again)
    ]  # but the time it took
    assert ends[0] == ends[1] and "PRF102" in ends[0]


def test_each_command_by_itself(runs: Runs) -> None:
    lines = [
        ["src"],
        ["src/a.py"],
        ["src", "-q"],
        ["src", "--statistics"],
        ["src", "--shard", "1/2"],
        ["src/sub/b.py"],
    ]
    said = [(runs.check(*line, "--output-format", "concise"), runs.code, runs.real) for line in lines]
    assert all(real for *_, real in said)
    for line, (text, code, _) in zip(lines, said, strict=True):
        assert (runs.check(*line, "--output-format", "concise"), runs.code, runs.real) == (text, code, False)


CHANGES: dict[str, Callable[[], object]] = {
    "a file written": rewrite("src/sub/b.py", SLOW_PATH),
    "a file written, as long as before": rewrite("src/sub/b.py", "y = 1\n"),
    "a file touched": lambda: later("src/a.py"),
    "a file removed": lambda: Path("src/a.py").unlink(),
    "a file more": lambda: Path("src/sub/new.py").write_text(SLOW_PATH),
    "a folder more": lambda: Path("src/more").mkdir(),
    "a file replaced by an older one": lambda: (
        Path("../old.py").write_text(OTHER),
        os.utime("../old.py", (1, 1)),
        Path("../old.py").replace("src/a.py"),
    ),
    "ignored no more": rewrite("src/.gitignore", "d.py\n"),
    "nothing ignored": lambda: Path("src/.gitignore").unlink(),
    "ignored from above": rewrite(".gitignore", "a.py\n"),
    "ignored within": rewrite("src/sub/.gitignore", "b.py\n"),
    "no repository": lambda: Path(".git").rmdir(),
    "a repository of its own": lambda: Path("src/.git").mkdir(),
    "a link turned": lambda: (
        Path("src/link").unlink(),
        Path("src/link").symlink_to(Path("../other").resolve()),
    ),
    "a link that leads somewhere now": lambda: Path("../later").symlink_to("other"),
    "a file behind a link written": rewrite("../elsewhere/d.py", OTHER),
    "a file more behind a link": lambda: Path("../elsewhere/new.py").write_text(SLOW_PATH),
    "settings": rewrite("pyproject.toml", '[tool.perflint]\nignore = ["PRF102"]\n'),
    "settings nearer": rewrite("src/perflint.toml", 'ignore = ["PRF102"]\n'),
    "settings above": rewrite("../perflint.toml", 'ignore = ["PRF102"]\n'),
    "another Python": rewrite("pyproject.toml", '[project]\nrequires-python = ">=3.13"\n'),
    "ruff's settings": rewrite("ruff.toml", '[lint]\nselect = ["PERF"]\n'),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_noticed(runs: Runs, change: Callable[[], object]) -> None:
    runs.check("src")
    runs.check("src")
    assert not runs.real
    change()
    runs.check("src")
    assert runs.real
    plain = runs.check("src", "--output-format", "json", "--no-cache")
    assert [runs.check("src", "--output-format", "json") for _ in range(2)] == [plain] * 2


def test_settings_that_are_named(runs: Runs) -> None:
    Path("x.toml").write_text("")
    runs.check("src", "--config", "x.toml")
    rewrite("x.toml", 'ignore = ["PRF102"]\n')()
    assert "No findings" in runs.check("src", "--config", "x.toml")


def test_named_files(runs: Runs) -> None:
    """Those that are none of Python's, too: what they hold decides."""
    Path("tool").write_text("#!/bin/sh\n")
    for _ in range(2):
        assert "tool:" not in runs.check("tool", "src/a.py")
    assert not runs.real
    Path("tool").write_text(f"#!/usr/bin/python\n{SLOW_PATH}")
    assert "tool:5" in runs.check("tool", "src/a.py")


@pytest.mark.parametrize("replaced", [True, False])
def test_as_long_and_as_old(runs: Runs, replaced: bool) -> None:
    """Another file in its place has another inode; one that was written has another ctime, which nobody sets back."""
    file = Path("src/a.py")
    runs.check("src/a.py")
    old = file.stat()
    written = Path("../twin.py") if replaced else file
    time.sleep(0.02)  # a few ticks of the file system's clock
    written.write_text("#".ljust(len(SLOW_PATH)))
    os.utime(written, ns=(0, old.st_mtime_ns))
    written.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    assert "No findings" in runs.check("src/a.py")


def test_where_and_how_it_is_read(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.check("src")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in runs.check("src") and "\x1b[" in runs.check("src")
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b[" not in runs.check("src") and not runs.real
    monkeypatch.chdir("src")
    runs.check(".")
    assert runs.real


def test_what_is_installed(runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    runs.check("src")
    (tmp_path / "other" / "more-1.0.dist-info").mkdir()
    runs.check("src")
    assert runs.real


@pytest.mark.parametrize("arguments", [["--no-cache"], ["--output-file", "out.txt"]], ids=" ".join)
def test_not_kept(runs: Runs, arguments: list[str]) -> None:
    Path("out.txt").touch()
    for _ in range(2):
        runs.check("src", *arguments)
        assert runs.real


def test_changed_just_now(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be written again within the same tick of the clock."""
    monkeypatch.setattr(replay, "MARGIN", stamps.MARGIN)
    runs.check("src")
    runs.check("src")
    assert runs.real


def test_changed_while_it_ran(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MARGIN", 0)
    time.sleep(0.02)  # a few ticks of the file system's clock
    runs.check("src/a.py", "--jobs", "1")
    runs.check("src/a.py", "--jobs", "1")
    assert not runs.real
    real = jobs.Check.text

    def text(check: jobs.Check, path: Path, raw: bytes) -> Outcome:
        outcome = real(check, path, raw)
        time.sleep(0.02)
        Path("src/a.py").write_text(OTHER)
        return outcome

    monkeypatch.setattr(jobs.Check, "text", text)
    assert "PRF102" in runs.check("src", "--jobs", "1")
    runs.check("src", "--jobs", "1")
    assert runs.real


def test_what_may_go_well_the_next_time(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("perflint.analysis.engine.inspect", lambda *_: 1 / 0)
        assert "PRF001" in runs.check("src")
    assert "PRF001" not in runs.check("src")


def test_damaged(runs: Runs) -> None:
    text = runs.check("src", "--output-format", "concise")
    (file,) = Path(".perflint_cache").glob("run-*")
    whole = file.read_bytes()
    for at in range(0, len(whole), max(len(whole) // 200, 1)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert replay.answer(["check", "src", "--output-format", "concise"]) is None, at
    for cut in (b"", whole[:40], whole[:-1], whole + b"x", whole.replace(b"run 1", b"run 2")):
        file.write_bytes(cut)
        assert replay.answer(["check", "src", "--output-format", "concise"]) is None
    assert runs.check("src", "--output-format", "concise") == text and runs.real
    assert file.read_bytes() == whole


def test_a_file_of_another_command(runs: Runs) -> None:
    """As many commands as have the same checksum would find it."""
    runs.check("src")
    (file,) = Path(".perflint_cache").glob("run-*")
    file.rename(replay._file(".perflint_cache", replay._command(["check", "src", "-q"])))
    assert replay.answer(["check", "src", "-q"]) is None


def test_a_day_later(runs: Runs) -> None:
    runs.check("src")
    (file,) = Path(".perflint_cache").glob("run-*")
    os.utime(file, (1, 1))
    runs.check("src")
    assert runs.real
    runs.check("src")
    assert not runs.real


def test_few_are_kept(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "KEPT", 2)
    lines = [["check", name] for name in ("src", "src/a.py", "src/sub", "src/link")]
    for number, line in enumerate(lines):
        runs.check(*line[1:])
        newest = max(Path(".perflint_cache").glob("run-*"), key=os.path.getmtime)
        os.utime(newest, (time.time() - 100 + number,) * 2)
    assert [replay.answer(line) is not None for line in lines] == [False, False, True, True]


def test_a_disk_that_is_full(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replay.os, "replace", full)
    runs.check("src")
    assert not list(Path(".perflint_cache").glob("run-*"))


def test_where_others_look(runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kept where the same command will look, without having read the settings."""
    assert replay.folder() == str(Path(Config().cache_dir).absolute())
    Path("perflint.toml").write_text('cache-dir = "../other/cache"\n')
    runs.check("src")
    assert not list(tmp_path.rglob("run-*"))
    monkeypatch.setenv("PERFLINT_CACHE_DIR", "../other/cache")
    runs.check("src")
    runs.check("src")
    assert not runs.real


def test_on_windows(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is kept, and the system tells less."""
    monkeypatch.delattr(os, "uname")
    monkeypatch.delattr(os, "getuid")
    monkeypatch.setattr(replay, "folder", lambda: None)
    for _ in range(2):
        assert "PRF102" in runs.check("src")
        assert runs.real


def test_it_loads_nothing(runs: Runs) -> None:
    code = """if True:
        import sys
        before = set(sys.modules)
        from perflint.project import replay
        replay.MARGIN = -(10**12)
        from perflint.cli import app
        code = app.run(["check", "src", "--output-format", "concise"])
        print(code, *sorted(set(sys.modules) - before))
    """
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path += {sys.path!r}\n{code}"]
    subprocess.run(command, check=True, capture_output=True)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    *findings, last = said.splitlines()
    assert len(findings) == 2
    ours = {name for name in last.split()[1:] if name.startswith("perflint")}
    assert ours == {
        "perflint",
        "perflint.analysis",
        "perflint.analysis.distributions",
        "perflint.cli",
        "perflint.cli.app",
        "perflint.project",
        "perflint.project.replay",
        "perflint.project.stamps",
    }
    assert not {"typing", "pathlib", "re", "sqlite3", "json"} & set(last.split())
