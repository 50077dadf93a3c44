"""The cache of `perflint check`: the findings are those of a run without it, whatever happens to it."""

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from samples import SLOW_PATH

from perflint.cli import app
from perflint.model.config import Config
from perflint.model.outcome import Outcome
from perflint.project import cache as cache_module
from perflint.project import installed, jobs, stamps
from perflint.project.cache import FILE, FORMAT, Cache, read

FRONT = "def f(xs, ys):\n    out = []\n    for y in ys:\n        out.insert(0, y)\n    return out\n"
FINE = "x = 1\n"
AGED = 1_600_000_000  # seconds; no file system doubts that this is past


class Runs:
    """Runs `perflint check` in one folder, and knows which files were checked rather than remembered."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        self.checked: list[str] = []
        self.warnings = ""
        self._capsys = capsys
        real = jobs.Check.text

        def text(check: jobs.Check, path: Path, raw: bytes) -> Outcome:
            self.checked.append(str(path))
            return real(check, path, raw)

        monkeypatch.setattr(jobs.Check, "text", text)

    def report(self, *options: str) -> str:
        self.checked.clear()
        app.run(["check", "--output-format", "json", "--jobs", "1", *options])
        out, self.warnings = self._capsys.readouterr()
        return out

    def same(self, *options: str) -> list[str]:
        """The codes found; fails where the cache makes a difference."""
        plain = self.report("--no-cache", *options)
        assert self.report(*options) == plain
        return [item["code"] for item in json.loads(plain) if not item["suppressed"]]


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERFLINT_CACHE_DIR")
    return Runs(tmp_path, capsys, monkeypatch)


@pytest.fixture(autouse=True)
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash perflint's own files once for all tests of this file."""
    monkeypatch.setattr(installed, "look", here)


here = functools.cache(installed.look)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once: these tests do not wait."""
    monkeypatch.setattr(cache_module, "MARGIN", -(10**12))


def write(**texts: str) -> None:
    for name, text in texts.items():
        Path(f"{name}.py").write_text(text)


def process(*arguments: str, cwd: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "perflint", "check", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("trusted")
class TestFindings:
    def test_cold_and_warm(self, runs: Runs) -> None:
        write(a=SLOW_PATH, b=FINE, c=FRONT)
        cold = runs.report()
        assert runs.checked == ["a.py", "b.py", "c.py"]
        assert runs.report() == cold == runs.report("--no-cache")
        runs.report()
        assert (runs.checked, runs.warnings.count("cache")) == ([], 0)
        assert cold.count('"PRF102"') == 1

    @pytest.mark.parametrize("style", ["text", "concise", "github", "json"])
    def test_every_report(self, runs: Runs, style: str) -> None:
        write(a=SLOW_PATH + "\nx = 1  # noqa: PRF101\n", b=FRONT)
        Path("bad.py").write_bytes(b"\xff")
        Path("latin.py").write_bytes(f"# coding: latin-1\n# \xe9\n{SLOW_PATH}".encode("latin-1"))
        first = runs.report("--output-format", style, "-q")
        assert runs.report("--output-format", style, "-q") == first
        assert runs.checked == []
        assert first == runs.report("--output-format", style, "-q", "--no-cache")

    def test_processes(self, runs: Runs) -> None:
        write(**{f"m{number}": SLOW_PATH * (number % 3) + f"x = {number}\n" for number in range(20)})
        plain = runs.report("--no-cache")
        assert runs.report("--jobs", "2") == plain
        assert runs.report("--jobs", "2") == plain
        assert runs.report() == plain
        assert runs.checked == []

    def test_touched(self, runs: Runs) -> None:
        """It is read again, and not checked."""
        write(a=SLOW_PATH)
        cold = runs.report()
        os.utime("a.py", (AGED, AGED))
        assert runs.report() == cold
        assert runs.checked == []

    def test_edited(self, runs: Runs) -> None:
        write(a=SLOW_PATH, b=FINE)
        assert runs.same() == ["PRF102"]
        write(a=FINE, b=SLOW_PATH)
        assert runs.same() == ["PRF102"]
        write(b=SLOW_PATH.replace("str(name)", "str(name)  # noqa: PRF102"))
        assert runs.same() == []

    def test_configured_otherwise(self, runs: Runs) -> None:
        write(a=SLOW_PATH, b=FRONT)
        usual = runs.same()
        assert {"PRF102", "PRF203"} == set(usual)
        assert runs.same("--select", "PRF102") == ["PRF102"]
        assert runs.same("--ignore", "PRF102") == ["PRF203"]
        runs.same("--target-version", "3.10")
        for line in ('per-file-ignores = {"a.py" = ["PRF1"]}', "small-limit = 4", 'select = ["PRF203"]'):
            Path("perflint.toml").write_text(line + "\n")
            runs.same()
        assert runs.same() == ["PRF203"]
        Path("perflint.toml").unlink()
        assert runs.same() == usual

    def test_renamed(self, runs: Runs) -> None:
        """Rules look at the path: tests are not hot."""
        write(a=SLOW_PATH, b=FRONT)
        runs.same()
        Path("tests").mkdir()
        Path("a.py").rename("tests/test_a.py")
        runs.same()
        Path("b.py").rename("a.py")
        assert runs.same("a.py") == ["PRF203"]

    def test_named_from_elsewhere(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("sub").mkdir()
        write(**{"a": SLOW_PATH, "sub/a": FRONT})
        Path("perflint.toml").write_text("")
        assert runs.same("a.py") == ["PRF102"]
        monkeypatch.chdir("sub")
        assert runs.same("a.py") == ["PRF203"]

    def test_shards(self, runs: Runs) -> None:
        write(**{f"m{number}": SLOW_PATH for number in range(12)})
        parts = [runs.same("--shard", f"{number}/3") for number in (1, 2, 3)]
        assert sum(map(len, parts)) == 12
        runs.report()
        assert runs.checked == []

    def test_other_rules_are_installed(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        write(a=SLOW_PATH)
        runs.report()
        other = here()._replace(code="other")
        monkeypatch.setattr(stamps, "installed", lambda _: b"other")
        monkeypatch.setattr(installed, "look", lambda: other)
        runs.same()
        runs.report("--no-cache")
        assert runs.checked == ["a.py"]
        Path("a.py").write_text(FINE)
        runs.report()
        assert runs.checked == ["a.py"]

    def test_fixed(self, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
        write(a=SLOW_PATH)
        assert runs.same() == ["PRF102"]
        assert app.run(["fix", "-q"]) == 0
        capsys.readouterr()
        assert "PRF102" not in runs.same()

    def test_a_crash_is_tried_again(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_: object) -> None:
            raise ZeroDivisionError

        write(a=SLOW_PATH)
        with monkeypatch.context() as patch:
            patch.setattr("perflint.analysis.engine.inspect", crash)
            assert "PRF001" in runs.report()
        assert "PRF102" in runs.report()

    def test_a_removed_file(self, runs: Runs) -> None:
        write(a=SLOW_PATH, b=FRONT)
        runs.same()
        Path("a.py").unlink()
        assert runs.same() == ["PRF203"]
        assert app.run(["check", "a.py"]) == 2


class TestTimes:
    def test_a_change_that_no_time_shows(self, runs: Runs) -> None:
        """Written again at once, same size: what git calls racily clean."""
        write(a=SLOW_PATH)
        runs.report()
        status = Path("a.py").stat()
        with Path("a.py").open("r+") as file:
            file.write(SLOW_PATH.replace("path +", "name +"))
        os.utime("a.py", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert runs.same() == []

    def test_states(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.py"
        path.write_text(FINE)
        _, fresh = read(path)
        assert fresh and fresh[:4] == (len(FINE), 0, 0, 0)
        monkeypatch.setattr(cache_module, "MARGIN", -(10**12))
        _, old = read(path)
        assert old and old.mtime == path.stat().st_mtime_ns and old.content == fresh.content

    @pytest.mark.usefixtures("trusted")
    def test_a_warm_run_reads_nothing(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        write(
            **{f"m{number}": f"x = {number}\n" for number in range(600)}
        )  # more than are looked up one by one
        runs.report()
        monkeypatch.setattr(cache_module, "read", None)
        assert json.loads(runs.report()) == []
        assert (runs.checked, runs.warnings) == ([], "")

    @pytest.mark.usefixtures("trusted")
    def test_changed_between_look_and_report(self, runs: Runs) -> None:
        """What reports show are the bytes that the findings speak of."""
        write(a=FRONT, b=SLOW_PATH)
        runs.report()
        cache = opened()
        outcomes = cache.through(["a.py", "b.py"], lambda paths: ((checked(path), None) for path in paths))
        assert next(outcomes).active[0].code == "PRF203"
        write(b=FRONT)
        assert next(outcomes).active[0].code == "PRF203"


def opened(folder: str = ".perflint_cache") -> Cache:
    cache = Cache(Path(folder).absolute(), pytest.fail)
    cache.use(Config(), Path.cwd(), here().code)
    return cache


def checked(path: Path) -> Outcome:
    return jobs.Check(Config(), Path.cwd())(path)


def rows(table: str = "files") -> int:
    with closing(sqlite3.connect(Path(".perflint_cache") / FILE)) as db:
        (count,) = db.execute(f"select count(*) from {table}").fetchone()
        return int(count)


@pytest.mark.usefixtures("trusted")
class TestPlace:
    def test_in_the_root(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("sub").mkdir()
        Path("pyproject.toml").write_text("[tool.perflint]\n")
        monkeypatch.chdir("sub")
        runs.report()
        assert not Path(".perflint_cache").exists()
        folder = runs.folder / ".perflint_cache"
        assert (folder / ".gitignore").read_text() == "*\n"
        assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")

    def test_single_files_leave_no_folder_beside_them(self, runs: Runs) -> None:
        Path("sub").mkdir()
        Path(".git").mkdir()
        write(**{"sub/a": FINE})
        runs.report("sub/a.py")
        assert Path(".perflint_cache").is_dir() and not Path("sub/.perflint_cache").exists()

    def test_elsewhere(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("perflint.toml").write_text('cache-dir = "build/cache"\n')
        runs.report()
        assert Path("build/cache", FILE).is_file()
        monkeypatch.setenv("PERFLINT_CACHE_DIR", "other")
        runs.report()
        assert Path("other", FILE).is_file() and not Path(".perflint_cache").exists()

    def test_none(self, runs: Runs) -> None:
        write(a=SLOW_PATH)
        runs.report("--no-cache")
        app.run(["fix", "--diff"])
        assert not Path(".perflint_cache").exists()

    @pytest.mark.parametrize("value", ["3", '""', '["x"]'])
    def test_no_folder_name(self, runs: Runs, value: str) -> None:
        Path("perflint.toml").write_text(f"cache-dir = {value}\n")
        assert app.run(["check"]) == 2

    def test_not_checked_itself(self, runs: Runs) -> None:
        runs.report()
        Path(".perflint_cache/a.py").write_text(SLOW_PATH)
        assert runs.same() == []


@pytest.mark.usefixtures("trusted")
class TestTrouble:
    """One line, once, and all findings."""

    def told(self, runs: Runs, text: str) -> None:
        plain = runs.report("--no-cache")
        assert runs.report() == plain
        assert '"PRF102"' in plain
        assert runs.warnings.count("perflint: cache") == 1
        (line,) = (line for line in runs.warnings.splitlines() if "cache" in line)
        assert text in line and ".perflint_cache" in line

    @pytest.mark.parametrize("damage", ["text", "cut", "noise", "empty-tables"])
    def test_damaged(self, runs: Runs, damage: str) -> None:
        write(**{f"m{number}": SLOW_PATH for number in range(30)})
        runs.report()
        file = Path(".perflint_cache") / FILE
        raw = file.read_bytes()
        if damage == "text":
            file.write_text("not a database, but long enough to be one" * 100)
        elif damage == "cut":
            file.write_bytes(raw[: len(raw) // 2])
        elif damage == "noise":
            file.write_bytes(raw[:100] + bytes(255 - byte for byte in raw[100:]))
        else:
            with closing(sqlite3.connect(file)) as db:
                db.execute("drop table files")
        self.told(runs, "was damaged; made anew")
        runs.report()
        assert (runs.checked, runs.warnings.count("cache")) == ([], 0)

    def test_an_entry_of_another_file(self, runs: Runs) -> None:
        """Damage that SQLite does not see."""
        write(a=SLOW_PATH, b=FINE)
        runs.report()
        with closing(sqlite3.connect(Path(".perflint_cache") / FILE)) as db:
            db.execute("update files set found = (select found from files where path = ?)", (b"b.py",))
            db.execute("update files set sum = sum + 1 where path = ?", (b"b.py",))
            db.commit()
        assert runs.same() == ["PRF102"]

    def test_every_byte_may_be_wrong(self, runs: Runs) -> None:
        write(a=SLOW_PATH, b=FRONT, c=FINE)
        plain = runs.report("--no-cache")
        runs.report()
        file = Path(".perflint_cache") / FILE
        raw = file.read_bytes()
        for place in range(0, len(raw), len(raw) // 97):
            file.write_bytes(raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :])
            assert runs.report() == plain

    def test_from_a_newer_version(self, runs: Runs) -> None:
        write(a=SLOW_PATH)
        runs.report()
        with closing(sqlite3.connect(Path(".perflint_cache") / FILE)) as db:
            db.execute(f"pragma user_version = {FORMAT + 1}")
        before = (Path(".perflint_cache") / FILE).read_bytes()
        self.told(runs, "newer perflint")
        assert (Path(".perflint_cache") / FILE).read_bytes() == before

    def test_a_lock_held(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cache_module, "PATIENCE", 0.0)
        write(a=SLOW_PATH)
        runs.report()
        write(a=SLOW_PATH + FINE)
        with closing(sqlite3.connect(Path(".perflint_cache") / FILE, isolation_level=None)) as db:
            db.execute("begin exclusive")
            self.told(runs, "locked")
        runs.same()

    def test_a_file_in_the_place_of_the_folder(self, runs: Runs) -> None:
        write(a=SLOW_PATH)
        Path(".perflint_cache").write_text("mine")
        self.told(runs, "not a directory")
        assert Path(".perflint_cache").read_text() == "mine"

    def test_a_folder_that_cannot_be_made(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PERFLINT_CACHE_DIR", os.devnull + "/.perflint_cache")
        write(a=SLOW_PATH)
        self.told(runs, "not a directory")

    def test_a_folder_of_other_files(self, runs: Runs) -> None:
        write(a=SLOW_PATH)
        Path(".perflint_cache").mkdir()
        Path(".perflint_cache/notes").write_text("mine")
        self.told(runs, "other files")
        assert [path.name for path in Path(".perflint_cache").iterdir()] == ["notes"]

    def test_read_only(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        """As SQLite reports it; permissions do not bind root, who may run this."""
        write(a=SLOW_PATH)
        runs.report()
        write(a=SLOW_PATH + FINE)
        connect = sqlite3.connect

        def read_only(file: Path, **options: object) -> sqlite3.Connection:
            return connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, **options)  # type: ignore[call-overload,no-any-return]

        monkeypatch.setattr(sqlite3, "connect", read_only)
        self.told(runs, "readonly")

    def test_perflint_in_an_archive(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: object) -> bytes:
            raise NotADirectoryError(20, "Not a directory")

        write(a=SLOW_PATH)
        monkeypatch.setattr(stamps, "installed", refuse)
        assert '"PRF102"' in runs.report()
        assert runs.warnings.count("going on without the cache") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limits on the size of files")
def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the limit on the size of files simulates it: in the middle of writing the entries."""
    for number in range(400):
        (tmp_path / f"m{number}.py").write_text(f"{SLOW_PATH}x = {number}\n")
    folder = tmp_path / "cache"
    code = f"""
        import resource, signal, sys
        from perflint.cli import app
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({100_000}, {100_000}))
        sys.exit(app.run(["check", ".", "--output-format", "concise", "-q", "--jobs", "1"]))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env={**os.environ, "PERFLINT_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.count("PRF102"), done.stderr.count("\n")) == (1, 400, 1)
    assert "going on without it" in done.stderr
    assert integrity(folder) == "ok"


def integrity(folder: Path) -> str:
    with closing(sqlite3.connect(folder / FILE)) as db:
        return str(db.execute("pragma integrity_check").fetchone()[0])


KILLED = """
    import os, signal, sys
    from perflint.cli import app
    from perflint.project import cache

    calls = 0

    def killing(*values):
        global calls
        calls += 1
        if calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*values)

    real, cache.{function} = cache.{function}, killing
    cache.BATCH = 5
    sys.exit(app.run(["check", ".", "--jobs", "1"]))
    """


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(
    ("function", "call"), [("_key_id", 1), ("_limit", 2), ("times", 24), ("_prepare", 1)]
)
def test_killed(runs: Runs, function: str, call: int) -> None:
    """Before, within and between transactions; the second kill is within the first write of the next run."""
    write(**{f"m{number}": SLOW_PATH + f"x = {number}\n" for number in range(20)})
    code = textwrap.dedent(KILLED.format(function=function, call=call))
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=runs.folder, timeout=60, capture_output=True)
        assert done.returncode == -signal.SIGKILL
    assert runs.same() == ["PRF102"] * 20
    assert "cache" not in runs.warnings
    assert integrity(Path(".perflint_cache")) == "ok"


def test_killed_within_a_transaction(runs: Runs) -> None:
    """With a journal left behind, from which the next run takes back what was half written."""
    write(a=SLOW_PATH)
    runs.report()
    code = f"""
        import os, signal, sqlite3
        db = sqlite3.connect(".perflint_cache/{FILE}", isolation_level=None)
        db.execute("pragma cache_size = 1")
        db.execute("begin immediate")
        db.execute("update files set found = x''")
        db.executemany("insert into keys(text, day) values(?, 1)", ((f"k{{i}}" * 99,) for i in range(999)))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=runs.folder, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert Path(".perflint_cache", f"{FILE}-journal").exists()
    assert runs.same() == ["PRF102"]
    assert "cache" not in runs.warnings and rows("keys") == 1


def test_runs_at_once(runs: Runs) -> None:
    """As pre-commit starts them: processes that share no files, and some that share all."""
    write(**{f"m{number}": SLOW_PATH + f"x = {number}\n" for number in range(8)})
    options = ["--output-format", "concise", "-q", "--jobs", "1"]
    started = [process(f"m{number}.py", *options, cwd=runs.folder) for number in range(2)]
    started += [process(*options, cwd=runs.folder) for _ in range(2)]
    outputs = [run.communicate(timeout=60) for run in started]
    assert [(out.count("PRF102"), err) for out, err in outputs] == [(1, "")] * 2 + [(8, "")] * 2
    assert rows() == 8
    assert integrity(Path(".perflint_cache")) == "ok"


@pytest.mark.usefixtures("trusted")
class TestSize:
    def later(self, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
        today = cache_module._today() + days
        monkeypatch.setattr(cache_module, "_today", lambda: today)

    def test_files_that_are_gone(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        write(a=FINE, b=SLOW_PATH)
        runs.report()
        Path("b.py").unlink()
        runs.report()
        assert rows() == 2
        self.later(monkeypatch, 1)
        runs.report()
        assert rows() == 1

    def test_configurations_of_the_past(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        write(a=FINE)
        runs.report()
        runs.report("--select", "ALL")
        assert (rows(), rows("keys")) == (2, 2)
        self.later(monkeypatch, cache_module.DAYS + 1)
        runs.report()
        assert (rows(), rows("keys")) == (1, 1)

    def test_many_configurations(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cache_module, "KEYS", 3)
        write(a=FINE)
        for number in range(101, 107):
            runs.report("--select", f"PRF{number}")
        assert (rows(), rows("keys")) == (3, 3)
        runs.report("--select", "PRF106")
        assert runs.checked == []

    def test_a_database_that_grows(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cache_module, "SIZE", 150_000)
        monkeypatch.setattr(cache_module, "BATCH", 20)
        write(a=FRONT)
        outcome = checked(Path("a.py"))
        for turn in range(20):
            names = [f"m{turn}_{number}.py" for number in range(100)]
            answers = [(outcome._replace(path=name), read("a.py")[1]) for name in names]
            list(opened().through(names, lambda _, answers=answers: (answer for answer in answers)))
        assert 20 <= rows() < 1000
        assert (Path(".perflint_cache") / FILE).stat().st_size < 250_000
        assert runs.same() == ["PRF203"]


class TestInstalled:
    def test_written(self, tmp_path: Path) -> None:
        """Of a rule package, every file counts."""
        package = tmp_path / "ours"
        package.mkdir()
        (package / "rule.py").write_text(FINE)
        before = stamps.installed((str(package),))
        assert stamps.installed((str(package),)) == before
        (package / "rule.py").write_text(FINE * 2)
        assert stamps.installed((str(package),)) != before

    def test_a_distribution_more(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(tmp_path))
        before = stamps.installed()
        (tmp_path / "other-1.0.dist-info").mkdir()
        assert stamps.installed() != before

    def test_what_may_be_selected(self, runs: Runs) -> None:
        """Remembered, too: a warm run loads no rules, and a wrong word is still refused."""
        write(a=SLOW_PATH)
        code = """
            import sys
            from perflint.cli import app
            code = app.run(["check", "--select", sys.argv[1], "--output-format", "concise"])
            slow = {"libcst", "perflint.analysis.engine", "perflint.rules", "pathspec", "click", "dataclasses", "importlib.metadata"}
            print(sys.modules.keys() & slow)
            sys.exit(code)
            """
        results = [
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), word],
                cwd=runs.folder,
                capture_output=True,
                text=True,
                timeout=60,
            )
            for word in ("PRF102", "PRF102", "PRF1O2")
        ]
        assert [result.returncode for result in results] == [1, 1, 2]
        assert [result.stdout.endswith("set()\n") for result in results] == [False, True, True]
        assert "no rule is called 'PRF1O2'" in results[2].stderr


@pytest.fixture(autouse=True)
def no_open_databases(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    yield
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]
