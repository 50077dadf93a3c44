"""The command as users run it: output, exit codes, one line for every mistake."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import perflint
from perflint.cli import app, checking, commands, options, terminal
from perflint.project import jobs, repairs

WARNING = """\
def path_of(names):
    path = ""
    for name in names:
        path = path + "/" + str(name)
    return path
"""
FIXED = WARNING.replace("path = path +", "path +=")
UNSAFE = WARNING.replace("str(name)", "name")
WARNED = "a.py:4:9: PRF102 "


class Result:
    """What a run printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]):
    """Run `perflint` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str | bytes = "") -> Result:
        raw = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        code = app.run(list(arguments))
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    return call


def process(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perflint", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


class TestCheck:
    def test_findings(self, run) -> None:
        Path("a.py").write_text(WARNING)
        result = run("check")
        assert result.code == 1
        assert result.out.startswith(WARNED)
        assert "1 finding (1 warning) in 1 of 1 file" in result.out
        assert result.err == ""

    def test_clean(self, run) -> None:
        Path("a.py").write_text("x = 1\n")
        result = run("check", "a.py")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("No findings in 1 file")

    def test_levels(self, run) -> None:
        Path("a.py").write_text(WARNING)
        assert run("check", "--fail-level", "error").code == 0
        assert run("check", "--min-severity", "error", "-q").out == ""
        assert run("check", "--ignore", "PRF1,PRF2", "-q").code == 0
        assert run("check", "--select", "PRF201", "-q").out == ""
        assert run("check", "--select", "chained-str-self-concat", "-q").code == 1

    def test_formats_and_statistics(self, run) -> None:
        Path("a.py").write_text(WARNING)
        assert json.loads(run("check", "--output-format", "json").out)[0]["code"] == "PRF102"
        assert run("check", "--output-format", "concise").out.startswith(WARNED)
        assert run("check", "--output-format", "github").out.startswith("::warning file=a.py,line=4,")
        assert run("check", "--statistics", "-q").out == "1  PRF102  chained-str-self-concat, 1 fixable\n"

    def test_output_file(self, run) -> None:
        Path("a.py").write_text(WARNING)
        Path("report.json").write_text("old")
        Path("report.json").chmod(0o640)
        result = run("check", "--output-format", "json", "--output-file", "report.json")
        assert (result.code, result.out) == (1, "")
        assert json.loads(Path("report.json").read_text())
        assert Path("report.json").stat().st_mode & 0o777 == 0o640
        assert sorted(path.name for path in Path().iterdir()) == ["a.py", "report.json"]

    def test_a_failed_run_leaves_the_old_output(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(self: object, path: Path, raw: bytes) -> None:
            raise KeyboardInterrupt

        Path("a.py").write_text(WARNING)
        Path("report").write_text("old")
        monkeypatch.setattr(jobs.Check, "text", interrupt)
        result = run("check", "--output-file", "report")
        assert (result.code, result.err) == (130, "perflint: interrupted\n")
        assert Path("report").read_text() == "old"
        assert sorted(path.name for path in Path().iterdir()) == ["a.py", "report"]

    def test_stdin(self, run) -> None:
        result = run("check", "-", "--output-format", "concise", stdin=WARNING)
        assert result.out.startswith("stdin:4:9: PRF102")
        Path("pyproject.toml").write_text(
            '[tool.perflint]\nexclude = ["gen"]\nper-file-ignores = {"t.py" = ["PRF1"]}\n'
        )
        assert run("check", "-", "-q", "--stdin-filename", "x.py", stdin=WARNING).code == 1
        assert run("check", "-", "-q", "--stdin-filename", "t.py", stdin=WARNING).code == 0
        assert run("check", "-", "-q", "--stdin-filename", "gen/x.py", stdin=WARNING).code == 0

    def test_bad_files_do_not_end_the_run(self, run) -> None:
        Path("a.py").write_bytes(b"\xff")
        Path("b.py").write_text(WARNING)
        Path("c.py").write_text("")
        result = run("check", "--output-format", "concise", "--jobs", "2")
        assert [line.split(": ")[1][:6] for line in result.out.splitlines()] == ["PRF000", "PRF102"]
        assert result.code == 1

    def test_a_folder_that_cannot_be_read(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refuse)
        assert (
            run("check", "--output-format", "concise").out
            == ".:1:1: PRF000 cannot be searched: permission denied\n"
        )

    def test_nothing_to_do(self, run) -> None:
        result = run("check")
        assert (result.code, result.err) == (
            0,
            "perflint: no Python files under these paths; nothing to do\n",
        )

    def test_jobs_agree(self, run) -> None:
        for number in range(30):
            Path(f"{number}.py").write_text(WARNING)
        one, two = (run("check", "--output-format", "json", "--jobs", jobs) for jobs in "12")
        assert one.out == two.out
        assert len(json.loads(one.out)) == 30


class TestFix:
    def test_fixes(self, run) -> None:
        Path("a.py").write_text(WARNING)
        Path("b.py").write_text("x = 1\n")
        result = run("fix", "--select", "PRF102")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("Fixed 1 finding in 1 file: PRF102 1\n")
        assert Path("a.py").read_text() == FIXED
        assert run("fix", "--select", "PRF102").out.startswith("Fixed 0 findings in 0 files\n")

    def test_unsafe(self, run) -> None:
        Path("a.py").write_text(UNSAFE)
        result = run("fix", "--select", "PRF102")
        assert result.code == 1
        assert result.out.startswith(WARNED)
        assert result.out.endswith("1 finding left, 1 fixable with `--unsafe-fixes`\n")
        assert Path("a.py").read_text() == UNSAFE
        assert run("fix", "--select", "PRF102", "--unsafe-fixes", "-q").code == 0
        assert "path +=" in Path("a.py").read_text()

    def test_diff(self, run) -> None:
        raw = WARNING.replace("\n", "\r\n").encode().removesuffix(b"\r\n")
        Path("a.py").write_bytes(raw)
        result = run("fix", "--select", "PRF102", "--diff")
        assert result.code == 1
        assert '-        path = path + "/" + str(name)\r\n+        path += "/" + str(name)\r\n' in result.out
        assert result.err.startswith("Would fix 1 finding in 1 file")
        assert Path("a.py").read_bytes() == raw
        run("fix", "--select", "PRF102", "-q")
        assert run("fix", "--select", "PRF102", "--diff").code == 0

    def test_a_diff_can_be_applied(self, run) -> None:
        Path("a.py").write_bytes(WARNING.encode().removesuffix(b"\n"))
        diff = run("fix", "--select", "PRF102", "--diff", "-q").out
        if subprocess.run(["git", "apply", "-p0"], input=diff, text=True, check=False).returncode == 0:
            assert Path("a.py").read_text() == FIXED.removesuffix("\n")

    def test_stdin(self, run) -> None:
        latin = ("# coding: latin-1\n# é\n" + WARNING).encode("latin-1").replace(b"\n", b"\r\n")
        result = run("fix", "--select", "PRF102", "-", stdin=WARNING)
        assert (result.code, result.out) == (0, FIXED)
        assert result.err.startswith("Fixed 1 finding")
        assert run("fix", "--select", "PRF102", "-", stdin="x = 1\n").out == "x = 1\n"
        assert (
            run("fix", "--select", "PRF102", "-", "-q", stdin=latin.replace(b"\xe9", b"e")).out.count("\r\n")
            == 7
        )

    def test_stdin_that_cannot_be_read_comes_out_as_it_was(self, run) -> None:
        result = run("fix", "--select", "PRF102", "-", stdin="def f(:\n")
        assert (result.code, result.out) == (1, "def f(:\n")
        assert "PRF000" in result.err

    def test_a_file_that_cannot_be_written(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(path: Path, old: bytes, new: bytes) -> None:
            raise repairs.WriteError(f"{path}: not written (no space left on device); left as it was")

        monkeypatch.setattr(repairs, "replace", full)
        Path("a.py").write_text(WARNING)
        result = run("fix", "--select", "PRF102", "-q")
        assert (result.code, result.err) == (
            2,
            "perflint: a.py: not written (no space left on device); left as it was\n",
        )
        assert Path("a.py").read_text() == WARNING

    def test_unused_suppressions_are_removed(self, run) -> None:
        Path("a.py").write_text("x = 1  # noqa: PRF101\n")
        run("fix")
        assert Path("a.py").read_text() == "x = 1\n"


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["check", "nope.py"], "nope.py: no such file or directory"),
            (["check", "--selct", "x"], "no such option '--selct'; did you mean '--select'?"),
            (["check", "--select", "PRF1O2"], "--select: no rule is called 'PRF1O2'; did you mean 'PRF102'?"),
            (["check", "--fail-level", "eror"], "did you mean 'error'?"),
            (
                ["check", "--output-format", "jsn"],
                "'jsn' is none of text, concise, json, github; did you mean 'json'?",
            ),
            (
                ["check", "--target-version", "x"],
                "--target-version: 'x' is not a version; write 3.11 or >=3.10",
            ),
            (["check", "--jobs", "many"], "invalid value for '--jobs'"),
            (["check", "--config", "none.toml"], "none.toml: No such file or directory"),
            (["check", "-", "a.py"], "- (standard input) stands alone; leave out the other paths"),
            (
                ["check", "--stdin-filename", "a.py"],
                "--stdin-filename names what is read from standard input; add -",
            ),
            (["check", "--output-file", "no/x", "."], "no/x: cannot be written: no such file or directory"),
            (["chekc"], "no such command 'chekc'; did you mean 'check'?"),
            (["."], "no such command '.'; did you mean 'perflint check .'?"),
            (["explain", "PRF1O2"], "no rule is called 'PRF1O2'; did you mean 'PRF102'?"),
            (["explain"], "missing argument 'RULE'"),
            (["bench", "PRF102", "--sizes", "x"], "--sizes 'x' is not a list of numbers such as 100,10000"),
            (["new-rule", "Bad_Name"], "a rule's name is small words with dashes"),
            (
                ["new-rule", "ok-name", "--category", "txt"],
                "no category is called 'txt'; did you mean 'text'?",
            ),
            (["new-rule", "chained-str-self-concat"], "there is a rule chained-str-self-concat already"),
            (["new-rule", "ok-name"], "run this at the top of perflint's checkout"),
        ],
    )
    def test_one_line_and_exit_code_2(self, run, arguments: list[str], message: str) -> None:
        Path("a.py").write_text("")
        result = run(*arguments)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
        assert result.err.startswith("perflint: ")
        assert result.err.count("\n") == 1

    def test_another_perflint_in_the_environment(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("perflint-0.8.1.dist-info").mkdir()
        Path("perflint-0.8.1.dist-info/METADATA").write_text("Name: perflint\nVersion: 0.8.1\n")
        monkeypatch.syspath_prepend(str(Path.cwd()))
        result = run("check", "--no-cache")  # which holds while nothing is installed or removed
        assert result.code == 2
        assert "pip uninstall perflint" in result.err


class TestRules:
    def test_explain(self, run) -> None:
        result = run("explain", "prf102")
        assert result.out.startswith(
            "PRF102 chained-str-self-concat\ntext, warning, fix sometimes, since 0.1\n"
        )
        assert "Bad:" in result.out
        assert run("explain", "chained-str-self-concat").out == result.out
        assert run("explain", "PRF002").out.startswith("PRF002 unused-suppression\n")

    def test_rules(self, run) -> None:
        assert "PRF102  chained-str-self-concat " in run("rules").out
        records = json.loads(run("rules", "--output-format", "json").out)
        assert {
            "code",
            "name",
            "summary",
            "category",
            "severity",
            "fix",
            "since",
            "default",
            "doc",
        } < records[0].keys()

    def test_bench(self, run) -> None:
        assert run("bench", "PRF102", "--sizes", "10").out.startswith(
            "PRF102 chained-str-self-concat, Python "
        )

    def test_new_rule_is_valid_and_never_fires(self, run) -> None:
        Path("perflint/rules/text").mkdir(parents=True)
        result = run("new-rule", "very-new-rule", "--category", "text")
        rule, fixture = Path("perflint/rules/text/very_new_rule.py"), Path("fixtures/very-new-rule/basic.py")
        assert result.out == f"wrote {rule}\nwrote {fixture}\n"
        assert "exists already" in run("new-rule", "very-new-rule").err
        script = (
            "import importlib.util, sys; from perflint.analysis import registry\n"
            f"spec = importlib.util.spec_from_file_location('rules.very_new_rule', {str(rule)!r})\n"
            "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
            "registry.validate(module.rule, 'perflint.rules.text.very_new_rule')\n"
            "assert registry.find(module.rule.code) is None\n"
            "print(module.rule.code)"
        )
        made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert made.stdout.startswith("PRF1")
        assert "# ok: " in fixture.read_text()


PLAIN = [
    "check",
    "check .",
    "check -",
    "check a.py . -q",
    "check --quiet . --no-cache --statistics",
    "check -j 4 a.py",
    "check --jobs=0 a.py",
    "check --select PRF1,text --select=PRF203 --ignore , .",
    "check --extend-select=micro=x",
    "check --min-severity info --fail-level=error .",
    "check --target-version >=3.10 .",
    "check --output-format=json --shard 1/2 --cluster local a.py",
    "check --stdin-filename b.py -",
    "check --config a.py --output-file=a.py .",
    "check gone.py",
]
LEFT_TO_CLICK = [
    "",
    "fix .",
    "--version",
    "check -h",
    "check --help .",
    "check -- a.py",
    "check --config gone.toml",
    "check --config .",
    "check --output-file out.txt",
    "check --quiet=1",
    "check --jobs",
    "check -j4",
    "check -j=4",
    "check -jq 4",
    "check --jobs -1",
    "check --jobs 1 --jobs 2",
    "check -q -q",
    "check --select= .",
    "check --select -q",
    "check --output-format xml",
    "check --no-cach",
]


class TestPlainCommandLines:
    @pytest.fixture(autouse=True)
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("a.py").write_text("")

    @pytest.mark.parametrize("line", PLAIN)
    def test_are_read_as_click_reads_them(self, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        monkeypatch.setattr(checking, "check", lambda paths, **options: seen.append((paths, options)))
        plain = options.read(line.split())
        commands.invoke(line.split())
        assert plain is not None and seen == [(plain.paths, plain.options)]

    @pytest.mark.parametrize("line", LEFT_TO_CLICK)
    def test_others_are_left_to_it(self, line: str) -> None:
        assert options.read(line.split()) is None


class TestProcess:
    def test_version_needs_no_library(self, tmp_path: Path) -> None:
        script = "import sys; sys.argv = ['perflint', '--version']; from perflint.cli import main; main()"
        script += "; assert not {'click', 'libcst', 'pathspec'} & sys.modules.keys()"
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert run.stdout == f"perflint {perflint.__version__}\n"

    def test_version_beside_other_options(self, run) -> None:
        assert run("--version", "check").out == f"perflint {perflint.__version__}\n"

    def test_a_closed_pipe_is_no_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text(WARNING * 300)
        command = [sys.executable, "-m", "perflint", "check", "a.py"]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 141

    def test_a_stdout_that_is_ascii(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text(WARNING.replace("/", "中"), encoding="utf-8")
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        run = process("check", ".", cwd=tmp_path, env=environment)
        assert (run.returncode, run.stderr) == (1, "")
        assert r"\u4e2d" in run.stdout

    def test_help(self, run) -> None:
        assert "Find performance antipatterns" in run("--help").out
        assert "--fail-level" in run("check", "-h").out


class Screen(io.StringIO):
    """A terminal, or none."""

    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_progress(monkeypatch: pytest.MonkeyPatch, is_terminal: bool, quiet: bool) -> None:
    screen = Screen(is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    monkeypatch.setattr(terminal, "_PERIOD", 0.0)
    assert list(terminal.progress("abc", 3, lambda item: item == "b", quiet)) == ["a", "b", "c"]
    if quiet or not is_terminal:
        assert screen.getvalue() == ""
        return
    shown = screen.getvalue().split("\r\x1b[K")
    assert shown[1].endswith("] 1 of 3 files")
    assert shown[2] == ""  # out of the way of b
    assert shown[-1] == ""
