"""A file is replaced whole or not at all, and nothing else is left behind."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from perflint.project.writing import WriteError, _dress, replace

OLD, NEW = b"x = 1\r\n", b"\xef\xbb\xbfx = 2\r\n\x0c"

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "code.py"
    path.write_bytes(OLD)
    return path


def untouched(file: Path) -> bool:
    """Whether the file is as it was and alone in its folder."""
    return file.read_bytes() == OLD and list(file.parent.iterdir()) == [file]


def test_bytes_are_replaced(file: Path) -> None:
    replace(file, OLD, NEW)
    assert file.read_bytes() == NEW
    assert list(file.parent.iterdir()) == [file]


def test_a_relative_path_works(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    replace(Path("code.py"), OLD, NEW)
    assert file.read_bytes() == NEW


@posix
def test_a_symlink_stays_and_its_target_changes(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "first.py").symlink_to("second.py")
    (folder / "second.py").symlink_to("../code.py")
    replace(folder / "first.py", OLD, NEW)
    assert file.read_bytes() == NEW
    assert not file.is_symlink()
    assert sorted(path.name for path in folder.iterdir() if path.is_symlink()) == ["first.py", "second.py"]


@posix
@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o664])
def test_the_mode_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    replace(file, OLD, NEW)
    assert stat.S_IMODE(file.stat().st_mode) == mode


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept(file: Path) -> None:
    os.chown(file, 12345, 23456)
    replace(file, OLD, NEW)
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)


@posix
def test_an_owner_that_cannot_be_kept_does_not_stop_the_fix(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    stranger = list(file.stat())
    stranger[stat.ST_UID] += 1
    stranger[stat.ST_MODE] = stat.S_IFREG | 0o750
    _dress(file, os.stat_result(stranger))
    assert stat.S_IMODE(file.stat().st_mode) == 0o750


@pytest.mark.parametrize("meanwhile", [b"x = 3\r\n", b"", OLD + b"y = 1\r\n"])
def test_a_file_that_changed_meanwhile_is_left(file: Path, meanwhile: bytes) -> None:
    file.write_bytes(meanwhile)
    with pytest.raises(WriteError, match=r"code\.py: changed on disk since it was read; run perflint again"):
        replace(file, OLD, NEW)
    assert file.read_bytes() == meanwhile
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No such file"):
        replace(tmp_path / "gone.py", OLD, NEW)
    assert list(tmp_path.iterdir()) == []


@posix
def test_what_is_no_file_is_left(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    for name, reason in (
        ("pipe.py", "not a regular file"),
        ("loop.py", "not written"),
        ("", "not a regular file"),
    ):
        with pytest.raises(WriteError, match=reason):
            replace(tmp_path / name, OLD, NEW)
    assert stat.S_ISFIFO((tmp_path / "pipe.py").stat().st_mode)


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "step", ["os.fsync", "pathlib.Path.chmod", "pathlib.Path.replace", "tempfile.mkstemp"]
)
def test_a_full_disk_leaves_the_old_file(file: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, failing(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(WriteError) as caught:
        replace(file, OLD, NEW)
    assert str(caught.value) == f"{file}: not written (No space left on device); left as it was"
    assert untouched(file)


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.chmod", "pathlib.Path.replace"])
def test_ctrl_c_leaves_the_old_file(file: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        replace(file, OLD, NEW)
    assert untouched(file)


@posix
def test_a_write_that_the_system_cuts_short_leaves_the_old_file(file: Path) -> None:
    """A real limit on the size of files, met in the middle of the write."""
    script = """if True:
        import resource, signal, sys
        from pathlib import Path
        from perflint.project.writing import WriteError, replace

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        path = Path(sys.argv[1])
        try:
            replace(path, path.read_bytes(), b"#" * 1_000_000)
        except WriteError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=True)
    assert "not written (File too large)" in done.stdout
    assert untouched(file)


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_permissions_are_respected(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(WriteError, match="read-only"):
        replace(file, OLD, NEW)
    file.chmod(0o644)
    file.parent.chmod(0o555)
    try:
        with pytest.raises(WriteError, match="Permission denied"):
            replace(file, OLD, NEW)
    finally:
        file.parent.chmod(0o755)
    assert untouched(file)


def test_a_folder_that_takes_no_new_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "mkstemp", failing(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(WriteError, match=r"code\.py: not written \(Permission denied\); left as it was"):
        replace(file, OLD, NEW)
    assert untouched(file)


def test_a_read_only_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WriteError, match=r"code\.py: read-only; make it writable"):
        replace(file, OLD, NEW)
    assert untouched(file)
