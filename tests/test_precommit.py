"""The hooks under the real pre-commit, from a copy of this project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDED = ["pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml", "perflint"]

WARNING = """\
def path_of(names):
    path = ""
    for name in names:
        path = path + "/" + str(name)
    return path
"""


CONFIG = """\
repos:
- repo: {repo}
  rev: {rev}
  hooks:
  - id: perflint
  - id: perflint-fix
"""


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


def head(path: Path) -> str:
    return git("rev-parse", "HEAD", cwd=path).strip()


def repository(path: Path) -> Path:
    git("init", "-q", cwd=path)
    git("add", "-A", cwd=path)
    git("commit", "-qm", "all", cwd=path)
    return path


def copy_of_the_project(path: Path) -> Path:
    path.mkdir()
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, path)
    return repository(path)


@pytest.mark.install
def test_hooks_report_and_fix(tmp_path: Path) -> None:
    hooks = copy_of_the_project(tmp_path / "perflint")
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text(WARNING)
    (project / "b.pyi").write_text("x: int\n")
    (project / "notes.md").write_text("path = path + x + y\n")
    (project / ".pre-commit-config.yaml").write_text(CONFIG.format(repo=hooks, rev=head(hooks)))
    repository(project)

    def hook(name: str, *which: str) -> subprocess.CompletedProcess[str]:
        """All in the one environment that pre-commit makes for the hooks of a project."""
        command = [sys.executable, "-m", "pre_commit", "run", name, "--verbose", *(which or ["--all-files"])]
        environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache"), "PRE_COMMIT_COLOR": "never"}
        return subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    report = hook("perflint")
    assert report.returncode == 1, report.stdout + report.stderr
    assert "a.py:4:9: PRF102" in report.stdout
    assert "in 1 of 2 files" in report.stdout
    fixed = hook("perflint-fix")
    assert "files were modified by this hook" in fixed.stdout, fixed.stdout + fixed.stderr
    assert "path +=" in (project / "a.py").read_text()
    assert hook("perflint").returncode == 0
    (project / "c.py").write_text(WARNING)
    repository(project)
    of_the_branch = hook("perflint", "--from-ref", "HEAD~1", "--to-ref", "HEAD")
    assert "c.py:4:9: PRF102" in of_the_branch.stdout
    assert " of 2 files" in of_the_branch.stdout  # c.py, and a.py that was fixed; not b.pyi
