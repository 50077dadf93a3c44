"""The plugin under the real flake8: the same findings as `perflint check`."""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from flake8.main import cli

from perflint.cli import app

FIXTURES = Path(__file__).parent.parent / "fixtures"

GROWS = """\
def path_of(names):
    path = ""
    for name in names:
        path = path + "/é" + str(name){comment}
    return path
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flake8(*arguments: str) -> list[str]:
    """In this process, without workers: flake8 takes a second to load."""
    return run(cli.main, "--isolated", "--jobs", "1", "--select", "PRF", *arguments)


def check(*arguments: str) -> list[str]:
    return run(app.run, "check", "--output-format", "concise", "--jobs", "1", *arguments)


def run(tool: Callable[[list[str]], int], *arguments: str) -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with redirect_stdout(out), redirect_stderr(io.StringIO()) as error:
        code = tool([*arguments])
    out.flush()
    return lines(code, out.buffer.getvalue(), error.getvalue())  # type: ignore[attr-defined]


def process(*arguments: str, stdin: bytes | None = None) -> list[str]:
    """flake8 as it is run by hand, with as many workers as it likes."""
    command = [sys.executable, "-m", "flake8", "--isolated", "--select", "PRF", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    return lines(done.returncode, done.stdout, done.stderr.decode())


def lines(code: int, out: bytes, error: str) -> list[str]:
    assert code in (0, 1), error
    assert not error
    return sorted(line.removeprefix("./") for line in out.decode().splitlines())


def codes(lines: list[str]) -> list[str]:
    return [line.split(": ")[1][:6] for line in lines]


def test_both_report_the_same_on_the_fixtures(tmp_path: Path) -> None:
    for folder in sorted(FIXTURES.iterdir())[::6]:  # flake8 takes a second for ten files
        smallest = min(folder.glob("*.py"), key=lambda path: path.stat().st_size)
        shutil.copy(smallest, tmp_path / f"{folder.name}.py")
    found = process(".")
    assert found == check(".")
    assert len(set(codes(found))) > 10


PLAIN = GROWS.format(comment="")
ODD = {
    "plain": PLAIN.encode(),
    "crlf": PLAIN.replace("\n", "\r\n").encode().removesuffix(b"\r\n"),
    "bom": b"\xef\xbb\xbf" + PLAIN.encode(),
    "latin1": b"# coding: latin-1\n" + PLAIN.encode("latin-1"),
    "tabs": b"x = 1\n\x0c\n" + PLAIN.replace("    ", "\t").encode(),
    "undecodable": PLAIN.encode("latin-1"),
    "empty": b"",
}


def test_both_report_the_same_on_odd_files(tmp_path: Path) -> None:
    for name, raw in ODD.items():
        (tmp_path / f"{name}.py").write_bytes(raw)
    found = flake8(".")
    assert found == check(".")
    assert sorted(codes(found)) == ["PRF000"] + ["PRF102"] * 5


COMMENTS = {
    "  # noqa": [],
    "  # noqa: PRF102": [],
    "  # noqa: E501": ["PRF102"],
    "  # noqa: PRF102,PRF101": ["PRF002"],
    "  # perflint: ignore[PRF102] small": [],
    "  # perflint: ignore[PRF101]": ["PRF002", "PRF102"],
}


def test_comments_work_in_both(tmp_path: Path) -> None:
    for number, comment in enumerate(COMMENTS):
        (tmp_path / f"{number}.py").write_text(GROWS.format(comment=comment))
    found = flake8(".")
    assert found == check(".")
    for number, expected in enumerate(COMMENTS.values()):
        assert sorted(codes([line for line in found if line.startswith(f"{number}.py")])) == expected


def test_any_line_of_the_statement_in_both(tmp_path: Path) -> None:
    code = PLAIN.replace('path + "/é" + str(name)', '(\n    path + "/é" +\n    str(name)  # noqa: PRF102\n)')
    (tmp_path / "a.py").write_text(code)
    assert flake8(".") == check(".") == []


def test_disable_noqa_reports_all_but_what_perflint_ignores(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(GROWS.format(comment="  # noqa: PRF102"))
    (tmp_path / "b.py").write_text(GROWS.format(comment="  # perflint: ignore[PRF102]"))
    assert [line[:4] for line in flake8("--disable-noqa", ".")] == ["a.py"]


def test_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def both(ours: list[str], theirs: list[str]) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN.encode())))
        found = process(*theirs, "-", stdin=PLAIN.encode())
        assert found == check(*ours, "-")
        return found

    assert codes(both([], [])) == ["PRF102"]
    (tmp_path / "x.py").write_text("other = 1\n")
    named = both(["--stdin-filename", "x.py"], ["--stdin-display-name", "x.py"])
    assert codes(named) == ["PRF102"] and named[0].startswith("x.py:")


def test_a_file_that_does_not_parse_is_left_to_flake8(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(:\n")
    assert flake8(".") == []


def test_settings_of_both_hold(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "gen/c.py", "d.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PLAIN)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.perflint]\nexclude = ["gen"]\nper-file-ignores = {"b.py" = ["PRF1"]}\n'
    )
    assert [line[:4] for line in flake8(".")] == ["a.py", "d.py"]
    assert flake8(".") == check(".")
    assert [line[:4] for line in flake8("--per-file-ignores", "d.py:PRF", ".")] == ["a.py"]
    assert flake8("--extend-ignore", "PRF102", ".") == []
    (tmp_path / "other.toml").write_text('min-severity = "error"\n')
    assert flake8("--perflint-config", "other.toml", ".") == []


def test_a_mistake_in_the_settings_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "pyproject.toml").write_text("[tool.perflint]\nselct = []\n")
    command = [sys.executable, "-m", "flake8", "--isolated", "a.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        "pyproject.toml: [tool.perflint] selct is no setting; did you mean 'select'?"
        in done.stdout + done.stderr
    )
    assert "Traceback" not in done.stderr
