"""The process pool, and what a job makes of files that cannot be read."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path

import pytest
from samples import SLOW_PATH

from perflint.analysis import engine
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability, Finding
from perflint.project import jobs, repairs, workers


@dataclass(frozen=True)
class Named:
    """Answers with the file's name; dies on files called `killer`, and the first time on `once`."""

    scratch: Path

    def prepare(self) -> None: ...

    def __call__(self, path: Path) -> str:
        marker = self.scratch / "died"
        if path.name == "killer" or (path.name == "once" and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return path.name

    def lost(self, path: Path) -> str:
        return f"lost {path.name}"


@pytest.fixture(params=["fork", "spawn"])
def start_method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "fork" and sys.platform != "linux":
        pytest.skip("no safe fork here")
    monkeypatch.setattr(workers, "_start_method", lambda: request.param)
    return str(request.param)


@pytest.mark.usefixtures("start_method")
def test_results_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    paths = []
    for number in range(60):
        path = tmp_path / str(number)
        path.write_text("x" * (number * 7919 % 1000))
        paths.append(path)
    assert list(workers.run(Named(tmp_path), paths, 3)) == [path.name for path in paths]


@pytest.mark.usefixtures("start_method")
def test_a_killed_worker_costs_only_the_file_that_kills(tmp_path: Path) -> None:
    names = [str(number) for number in range(40)]
    names[3] = names[20] = "killer"
    names[30] = "once"
    expected = [f"lost {name}" if name == "killer" else name for name in names]
    assert list(workers.run(Named(tmp_path), [tmp_path / name for name in names], 2)) == expected


def test_closing_ends_the_workers(tmp_path: Path) -> None:
    results = workers.run(Named(tmp_path), [tmp_path / str(number) for number in range(50)], 2)
    assert next(results) == "0"
    results.close()
    assert not active_children()


def test_little_work_stays_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_Pool", None)
    assert list(workers.run(Named(tmp_path), [tmp_path / "a", tmp_path / "b"])) == ["a", "b"]
    assert list(workers.run(Named(tmp_path), [])) == []


def test_batches_hold_every_file_once() -> None:
    sizes = [5, 900_000, 0, 70, 300_000, 12]
    batches = workers._batches(sizes, 2)
    assert sorted(index for batch in batches for index in batch) == list(range(6))
    assert batches[0] == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_ends_quietly(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole process group, as from a terminal."""
    for number in range(20):
        (tmp_path / f"{number}.py").write_text("x = 1\n")
    code = """
        import os, signal, sys
        from pathlib import Path
        from perflint.cli import app
        from perflint.project import jobs

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

        def interrupt(self, path, raw):
            os.killpg(os.getpgid(0), signal.SIGINT)
            signal.pause()

        jobs.Check.text = interrupt
        sys.exit(app.run(["check", ".", "--jobs", "2"]))
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "perflint: interrupted\n")


def check(path: Path, config: Config | None = None) -> list[Finding]:
    return list(jobs.Check(config or Config(), path.parent)(path).active)


def test_a_job_finds_what_the_engine_finds(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(SLOW_PATH)
    outcome = jobs.Check(Config(), tmp_path)(path)
    assert [finding.code for finding in outcome.active] == ["PRF102"]
    assert outcome.raw == SLOW_PATH.encode()
    path.write_text("")
    assert jobs.Check(Config(), tmp_path)(path) == jobs.Outcome(str(path))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"x = '\xff'\n", "byte 5 is not UTF-8; save the file as UTF-8 or add a coding line"),
        (b"\x7fELF\0\0", "the file holds null bytes"),
        (b"# coding: nonsense\n", "mend the coding line"),
        (b"def f(:\n", "the file does not parse: "),
    ],
)
def test_bad_files_are_findings(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(raw)
    (finding,) = check(path)
    assert (finding.code, finding.severity.label) == ("PRF000", "error")
    assert message in finding.message


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "no such file" in check(tmp_path / "vanished.py")[0].message
    assert "cannot be read: " in check(tmp_path)[0].message
    assert (
        repairs.Fix(jobs.Check(Config(), tmp_path), Applicability.SAFE)(tmp_path).outcome.active[0].code
        == "PRF000"
    )


def test_our_own_errors_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(engine, "inspect", broken)
    monkeypatch.setattr(engine, "check", broken)
    (finding,) = check(path)
    assert (finding.code, finding.message) == ("PRF001", "perflint crashed here: ZeroDivisionError: oops")
    fixed = repairs.Fix(jobs.Check(Config(), tmp_path), Applicability.SAFE)(path)
    assert [finding.code for finding in fixed.outcome.active] == ["PRF001"]


def test_per_file_ignores_hold(tmp_path: Path) -> None:
    path = tmp_path / "gen" / "a.py"
    path.parent.mkdir()
    path.write_text(SLOW_PATH)
    config = Config(per_file_ignores=(("gen/", ("PRF1",)),))
    assert not jobs.Check(config, tmp_path)(path).active


def fix(path: Path, *, write: bool = True, allow: Applicability = Applicability.SAFE) -> repairs.Fixed:
    return repairs.Fix(jobs.Check(Config(), path.parent), allow, write)(path)


def test_fixing_writes_only_what_it_should(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(SLOW_PATH)
    fixed = fix(path, write=False)
    assert path.read_text() == SLOW_PATH
    assert fixed.before == SLOW_PATH.encode()
    assert [finding.code for finding in fix(path).applied] == ["PRF102"]
    assert path.read_bytes() == fixed.after
    assert fix(path).after is None


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text(SLOW_PATH)

    def meanwhile(path: Path, old: bytes, new: bytes) -> None:
        path.write_text("x = 1\n")
        replace(path, old, new)

    replace = repairs.replace
    monkeypatch.setattr(repairs, "replace", meanwhile)
    fixed = fix(path)
    assert "changed on disk" in fixed.error
    assert not fixed.applied
    assert fixed.outcome.active
    assert path.read_text() == "x = 1\n"
