"""The plugin under the real flake8: the same findings as `perflint check`."""

import shutil
import subprocess
import sys
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"

GROWS = """\
def path_of(names):
    path = ""
    for name in names:
        path = path + "/é" + str(name){comment}
    return path
"""


def run(tool: str, *arguments: str, cwd: Path, stdin: bytes | None = None) -> list[str]:
    command = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    assert not done.stderr
    return sorted(line.removeprefix("./") for line in done.stdout.decode().splitlines())


def flake8(*arguments: str, cwd: Path, stdin: bytes | None = None) -> list[str]:
    return run("flake8", "--isolated", "--select", "PRF", *arguments, cwd=cwd, stdin=stdin)


def check(*arguments: str, cwd: Path, stdin: bytes | None = None) -> list[str]:
    return run("perflint", "check", "--output-format", "concise", *arguments, cwd=cwd, stdin=stdin)


def codes(lines: list[str]) -> list[str]:
    return [line.split(": ")[1][:6] for line in lines]


def test_both_report_the_same_on_the_fixtures(tmp_path: Path) -> None:
    for folder in sorted(FIXTURES.iterdir())[::4]:  # flake8 takes a second for ten files
        shutil.copytree(folder, tmp_path / folder.name)
    found = flake8(".", cwd=tmp_path)
    assert found == check(".", cwd=tmp_path)
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
    found = flake8(".", cwd=tmp_path)
    assert found == check(".", cwd=tmp_path)
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
    found = flake8(".", cwd=tmp_path)
    assert found == check(".", cwd=tmp_path)
    for number, expected in enumerate(COMMENTS.values()):
        assert sorted(codes([line for line in found if line.startswith(f"{number}.py")])) == expected


def test_any_line_of_the_statement_in_both(tmp_path: Path) -> None:
    code = PLAIN.replace('path + "/é" + str(name)', '(\n    path + "/é" +\n    str(name)  # noqa: PRF102\n)')
    (tmp_path / "a.py").write_text(code)
    assert flake8(".", cwd=tmp_path) == check(".", cwd=tmp_path) == []


def test_disable_noqa_reports_all_but_what_perflint_ignores(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(GROWS.format(comment="  # noqa: PRF102"))
    (tmp_path / "b.py").write_text(GROWS.format(comment="  # perflint: ignore[PRF102]"))
    assert [line[:4] for line in flake8("--disable-noqa", ".", cwd=tmp_path)] == ["a.py"]


def test_stdin(tmp_path: Path) -> None:
    text = PLAIN.encode()
    assert flake8("-", cwd=tmp_path, stdin=text) == check("-", cwd=tmp_path, stdin=text)
    (tmp_path / "x.py").write_text("other = 1\n")
    named = flake8("--stdin-display-name", "x.py", "-", cwd=tmp_path, stdin=text)
    assert named == check("--stdin-filename", "x.py", "-", cwd=tmp_path, stdin=text)
    assert codes(named) == ["PRF102"]


def test_a_file_that_does_not_parse_is_left_to_flake8(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(:\n")
    assert flake8(".", cwd=tmp_path) == []


def test_settings_of_both_hold(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "gen/c.py", "d.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PLAIN)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.perflint]\nexclude = ["gen"]\nper-file-ignores = {"b.py" = ["PRF1"]}\n'
    )
    assert [line[:4] for line in flake8(".", cwd=tmp_path)] == ["a.py", "d.py"]
    assert flake8(".", cwd=tmp_path) == check(".", cwd=tmp_path)
    assert [line[:4] for line in flake8("--per-file-ignores", "d.py:PRF", ".", cwd=tmp_path)] == ["a.py"]
    assert flake8("--extend-ignore", "PRF102", ".", cwd=tmp_path) == []
    (tmp_path / "other.toml").write_text('min-severity = "error"\n')
    assert flake8("--perflint-config", "other.toml", ".", cwd=tmp_path) == []


def test_a_mistake_in_the_settings_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "pyproject.toml").write_text("[tool.perflint]\nselct = []\n")
    command = [sys.executable, "-m", "flake8", "--isolated", "a.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        "pyproject.toml: [tool.perflint] selct is no setting; did you mean 'select'?"
        in done.stdout + done.stderr
    )
    assert "Traceback" not in done.stderr
