"""`--shard 3/8`: every file in exactly one part, the same on every machine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from samples import SLOW_PATH

from perflint.cli import app
from perflint.model.config import ConfigError
from perflint.project.shards import Shard, parse

PAGE = (Path(__file__).parent.parent / "docs" / "scale.md").read_text("utf-8")


def tree(folder: Path, count: int = 60) -> None:
    for number in range(count):
        path = folder / f"p{number % 7}" / f"m{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SLOW_PATH)


def report(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, object]]:
    app.run(["check", str(folder), "--output-format", "json", *options])
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def test_the_parts_are_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path)
    parts = [report(tmp_path, capsys, "--shard", f"{number}/5") for number in range(1, 6)]
    assert all(parts)
    whole = report(tmp_path, capsys)
    assert sorted((item for part in parts for item in part), key=whole.index) == whole
    assert len(whole) == 60


def test_parts_work_with_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path)
    part = report(tmp_path, capsys, "--shard", "2/3", "--jobs", "1")
    assert part and report(tmp_path, capsys, "--shard", "2/3", "--jobs", "2") == part


def test_a_part_follows_from_the_path_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that no release may change: the parts of one run may be checked by several."""
    expected = {"a.py": 4, "b/c.py": 2, "b/d.pyi": 8, "é/ü.py": 1, "tools/build": 5}  # sha256sum says so

    def part_of(path: Path, root: Path) -> list[int]:
        return [number for number in range(1, 9) if Shard(number, 8).holds(path, root)]

    assert {name: part_of(tmp_path / name, tmp_path) for name in expected} == {
        name: [part] for name, part in expected.items()
    }
    monkeypatch.chdir(tmp_path)
    assert part_of(Path("b/c.py"), tmp_path) == [expected["b/c.py"]]
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert part_of(tmp_path / "link" / "a.py", tmp_path / "root") == [expected["a.py"]]
    assert part_of(tmp_path / "e\u0301" / "u\u0308.py", tmp_path) == [expected["é/ü.py"]]


def test_a_folder_that_cannot_be_read_is_in_one_part_too(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    assert [Shard(number, 3).holds(folder, tmp_path) for number in (1, 2, 3)].count(True) == 1


@pytest.mark.parametrize(
    "text", ["", "3", "0/8", "9/8", "3/0", "-1/8", "3/8/2", "a/b", "٣/8", "3/8 ", "1.5/2"]
)
def test_no_part(text: str) -> None:
    with pytest.raises(ConfigError, match="is no part of a whole; write 1/8 to 8/8 for eight parts"):
        parse(text)


def test_an_empty_part_is_no_surprise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path, 1)
    codes = [app.run(["check", str(tmp_path), "--shard", f"{number}/2"]) for number in (1, 2)]
    assert sorted(codes) == [0, 1]
    assert capsys.readouterr().err == ""


def test_standard_input_has_no_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["check", "-", "--shard", "1/2"]) == 2
    assert capsys.readouterr().err.count("leave one out") == 1


# The recipes of docs/scale.md.


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def reported(report: str) -> list[str]:
    return re.findall(r"^(\S+\.py):4:9: PRF102", report, re.M)


def test_bazel(tmp_path: Path) -> None:
    """With what Bazel sets, in a folder of links to the sources."""
    source, links, status = tmp_path / "source", tmp_path / "runfiles", tmp_path / "status"
    source.mkdir()
    tree(source, 12)
    for path in source.rglob("*.py"):
        link = links / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    script = tmp_path / "perflint_test.py"
    script.write_text(re.findall(r"^```python\n# tools/perflint_test.py\n(.*?)^```", PAGE, re.M | re.S)[0])
    found = []
    for index in ("0", "1"):
        named = {"TEST_TOTAL_SHARDS": "2", "TEST_SHARD_INDEX": index, "TEST_SHARD_STATUS_FILE": str(status)}
        found += reported(run([sys.executable, str(script)], links, **named))
    assert sorted(found) == sorted(str(path.relative_to(source)) for path in source.rglob("*.py"))
    assert status.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_gitlab(tmp_path: Path) -> None:
    tree(tmp_path, 12)
    (command,) = re.findall(r"^ *- perflint (check .*CI_NODE_TOTAL.*)$", PAGE, re.M)
    shell = ["sh", "-c", f'"$0" -c "from perflint.cli import main; main()" {command}', sys.executable]
    found = [reported(run(shell, tmp_path, CI_NODE_INDEX=part, CI_NODE_TOTAL="2")) for part in ("1", "2")]
    assert all(found) and len({*found[0], *found[1]}) == 12
