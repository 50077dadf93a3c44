"""`--cluster` on real schedulers and workers: it finds what one process finds, and loses nothing without a word."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import clusters
import psutil
import pytest
from clusters import Cluster, cluster, end, wait_for
from samples import SLOW_PATH

import perflint
from perflint.cli import app
from perflint.model.config import Config, ConfigError
from perflint.model.outcome import Outcome
from perflint.project import cluster as engine
from perflint.project import files, jobs, workers

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers that are started again when they die; a task is given up the first time."""
    with cluster(tmp_path_factory.mktemp("cluster"), failures=0) as shared:
        shared.add(nanny=True, count=2)
        yield shared


@pytest.fixture
def running(shared: Cluster) -> Cluster:
    wait_for(lambda: len(shared.workers()) == 2)  # again, where a test before lost some
    return shared


def write(folder: Path, texts: dict[str, str]) -> list[Path]:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [folder / name for name in texts]


def many(folder: Path, count: int = 40) -> list[Path]:
    return write(folder, {f"{number:03}.py": SLOW_PATH * (number % 7) for number in range(count)})


def check(paths: list[Path], address: str, root: Path, config: Config | None = None) -> list[Outcome]:
    return list(engine.run(jobs.Check(config or Config(), root), paths, address))


def alone(paths: list[Path], root: Path, config: Config | None = None) -> list[Outcome]:
    return list(workers.run(jobs.Check(config or Config(), root), paths, 1))


def codes(outcomes: list[Outcome]) -> list[set[str]]:
    return [{finding.code for finding in outcome.active} for outcome in outcomes]


# The same findings.


def test_a_generated_tree(running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "".join(f"{' ' * depth}if x:\n" for depth in range(90)) + f"{' ' * 90}x = 1\n"
    texts = {
        "deep.py": deep,
        "wide.py": f"x = {'(' * 150}1{')' * 150}\n",
        "latin.py": "",
        "bad.py": "def f(:\n",
        "tests/test_a.py": SLOW_PATH,
        "quiet/a.py": SLOW_PATH,
        "noqa.py": SLOW_PATH.replace("str(name)", "str(name)  # noqa: PRF102"),
        "empty.py": "",
    }
    write(tmp_path, texts)
    many(tmp_path)
    (tmp_path / "latin.py").write_bytes(f"# coding: latin-1\n# é\n{SLOW_PATH}".encode("latin-1"))
    monkeypatch.chdir(tmp_path)  # where the workers are not
    paths = [*(Path(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*.py"))), Path("gone.py")]
    config = Config(per_file_ignores=(("quiet/", ("PRF1",)),))
    found = check(paths, running.address, tmp_path, config)
    assert found == alone(paths, tmp_path, config)
    assert [outcome.path for outcome in found] == [str(path) for path in paths]
    assert codes(found).count({"PRF000"}) == 2  # bad, gone


def test_our_own_sources(running: Cluster) -> None:
    folders = [str(ROOT / "perflint" / "reports"), str(ROOT / "fixtures" / "list-insert-front")]
    paths = [Path(name) for name in files.find(folders, ROOT).files]
    found = check(paths, running.address, ROOT)
    assert found == alone(paths, ROOT)
    assert any(codes(found))


def test_a_cluster_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many(tmp_path, 12)
    reports = []
    for options in (["--jobs", "1"], ["--cluster", "local", "--jobs", "2"]):
        assert app.run(["check", str(tmp_path), "--output-format", "json", *options]) == 1
        reports.append(capsys.readouterr())
    assert reports[0] == reports[1]
    assert reports[0].out.count("PRF102") > 12


def test_what_the_cache_knows_is_not_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path, 6)
    monkeypatch.setenv("PERFLINT_CACHE_DIR", str(tmp_path / "cache"))
    concise = ["check", str(tmp_path), "--output-format", "concise", "-q"]
    app.run([*concise, "--cluster", "local", "--jobs", "1"])
    cold = capsys.readouterr()
    app.run([*concise, "--cluster", "tcp://127.0.0.1:1"])  # where nobody answers, and nobody is asked
    assert capsys.readouterr() == cold
    app.run([*concise, "--no-cache"])
    assert capsys.readouterr() == cold
    assert cold.out.count("PRF102") == sum(number % 7 for number in range(6))
    assert app.run([*concise, "--cluster", "nonsense"]) == 2
    (tmp_path / "002.py").write_text(SLOW_PATH)
    assert app.run([*concise, "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "no Dask scheduler answers there" in capsys.readouterr().err


def test_results_come_as_they_are_known(running: Cluster, tmp_path: Path) -> None:
    """The first is here while the last waits."""
    flag = tmp_path / "flag"
    paths = write(tmp_path, {"a.py": SLOW_PATH * 300, "b.py": f"# wait for {flag}\n"})
    results = engine.run(jobs.Check(Config(), tmp_path), paths, running.address)
    assert next(results).active
    flag.touch()
    assert not next(results).active


# Workers that are lost.


def test_a_worker_killed_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with cluster(tmp_path) as running:
        running.add()
        running.add()
        paths = [*write(tmp_path, {"a.py": f"# wait for {flag}\n{SLOW_PATH}"}), *many(tmp_path)]
        found: list[Outcome] = []
        run = threading.Thread(target=lambda: found.extend(check(paths, running.address, tmp_path)))
        run.start()
        os.kill(int(wait_for(lambda: _text(flag.with_suffix(".begun")))), signal.SIGKILL)
        flag.touch()
        run.join()
    assert found == alone(paths, tmp_path)


def test_only_the_file_that_kills_is_lost(running: Cluster, tmp_path: Path) -> None:
    paths = [*many(tmp_path, 20), *write(tmp_path, {"killer.py": "# kill\n"}), *many(tmp_path / "b", 20)]
    found = check(paths, running.address, tmp_path)
    assert found[20] == jobs.Check(Config(), tmp_path).lost(paths[20])
    assert codes(found)[20] == {"PRF001"}
    del found[20], paths[20]
    assert found == alone(paths, tmp_path)
    assert running.tasks() == 0


# Clusters that are no use.


def line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a run that exits with 2."""
    assert app.run(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("perflint: ") and error.count("\n") == 1
    return error


LESS = """\
from perflint.analysis import registry
some = tuple(rule for rule in registry.rules() if rule.code != "PRF101")
registry.rules = lambda: some
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "import perflint; perflint.__version__ = '0.0.9'",
            f"has perflint 0.0.9 (here {perflint.__version__});",
        ),
        (
            LESS,
            "has no rule PRF101; install there",
        ),
        ("import sys; sys.modules['perflint'] = None", "cannot load perflint ("),
    ],
)
def test_workers_that_differ(
    change: str, message: str, running: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(running.workers())
    process = running.add(change)
    try:
        (worker,) = set(running.workers()) - before
        assert f"worker {worker} {message}" in line(
            [str(many(tmp_path, 1)[0]), "--cluster", running.address], capsys
        )
    finally:
        end(process)
        wait_for(lambda: set(running.workers()) == before)


def test_a_worker_that_differs_and_joins_later(
    running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated the other way round: this process differs, and nobody compares before the work begins."""
    here = engine.environment()._replace(versions=(("Python", "2.7"),))
    monkeypatch.setattr(engine, "environment", lambda: here)
    monkeypatch.setattr(engine._Run, "_compare_all", lambda self: None)
    with pytest.raises(ConfigError, match=r"has Python 3\.\d+ \(here 2\.7\)"):
        check(many(tmp_path, 3), running.address, tmp_path)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers there: Timed out"),
        ("tcp://127.0.0.1", "is no address; write tcp://host:8786, tls://host:8786 or local"),
        ("127.0.0.1:8786", "is no address"),
        ("http://127.0.0.1:8787", "is no address"),
        ("tls://127.0.0.1:8786", "Dask's configuration names no certificate"),
    ],
)
def test_addresses(
    address: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "CONNECT", 0.5)
    assert message in line([str(many(tmp_path, 1)[0]), "--cluster", address], capsys)


def test_what_does_not_go_together(
    running: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "leave one out" in line(["-", "--cluster", "local"], capsys)
    many(tmp_path, 1)
    assert "leave one out" in line([str(tmp_path), "--cluster", running.address, "--jobs", "2"], capsys)


def test_without_dask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path, 1)
    monkeypatch.delattr("perflint.project.cluster")
    monkeypatch.setitem(sys.modules, "perflint.project.cluster", None)
    assert "pip install 'perflint-cst[cluster]'" in line([str(tmp_path), "--cluster", "local"], capsys)


def test_no_worker_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.2)
    monkeypatch.setattr(engine, "TICK", 0.1)
    flag = tmp_path / "flag"
    with cluster(tmp_path) as running:
        path = write(tmp_path, {"a.py": f"# wait for {flag}\n"})[0]
        assert "start some with `dask worker" in line([str(path), "--cluster", running.address], capsys)
        running.add()
        begun = flag.with_suffix(".begun")
        running.client.close()
        killer = threading.Thread(target=lambda: (wait_for(begun.exists), running.scheduler.kill()))
        killer.start()
        assert "lost the scheduler" in line([str(path), "--cluster", running.address], capsys)
        killer.join()
        flag.touch()


# Ctrl-C.


def command(folder: Path, address: str) -> subprocess.Popen[str]:
    """As from a terminal: a process group of its own, and SIGINT, which a shell's background job ignores."""
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start += "; from perflint.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", start, "check", ".", "--cluster", address],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=clusters.PATIENCE) == ("", "perflint: interrupted\n")
    assert process.returncode == 130


def test_interrupt_takes_the_work_back(running: Cluster, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    write(tmp_path, {f"{number}.py": f"# wait for {flag}\n" for number in range(20)})
    process = command(tmp_path, running.address)
    wait_for(lambda: running.tasks() == 6)
    assert running.clients() == 2
    interrupted(process)
    flag.touch()
    wait_for(lambda: running.tasks() == 0)
    assert running.clients() == 1


def test_interrupt_ends_a_cluster_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.py": SLOW_PATH * 3000 for number in range(4)})
    process = command(tmp_path, "local")
    family = psutil.Process(process.pid)
    wait_for(lambda: len(family.children(recursive=True)) >= 2)
    children = family.children(recursive=True)
    interrupted(process)
    psutil.wait_procs(children, timeout=clusters.PATIENCE)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_interrupt_while_nobody_answers(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": ""})
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = command(tmp_path, f"tcp://127.0.0.1:{server.getsockname()[1]}")
        server.accept()[0].close()
        interrupted(process)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
