"""Keeps what was found in each file, so that a run over unchanged files neither reads nor hashes them.

One SQLite database in a folder of its own. An entry belongs to a path as the user wrote it, under a key of
everything else that findings depend on. It counts while size, times and inode are those of the file that was
checked, or else while the content is. Nothing that goes wrong here is an error: the run does without.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from perflint.model.config import Config
from perflint.model.diagnostics import Severity
from perflint.model.outcome import Outcome
from perflint.project import stored
from perflint.project.files import Paths
from perflint.project.installed import Installed
from perflint.project.stamps import MARGIN, times

FORMAT = 1
FILE = "cache.db"
TAG = "CACHEDIR.TAG"
PATIENCE = 2.0  # seconds to wait for another run that writes; it takes milliseconds
BATCH = 1000  # entries written at once: what a killed run loses at most
FEW = 500  # so many paths are looked up one by one
STATES = 8  # of what is installed that are kept: Pythons that share the cache
KEYS = 32  # configurations and folders that are kept
DAYS = 30  # that an unused one is kept
SIZE = 256_000_000  # bytes of the database; beyond that it starts anew

_SCHEMA = f"""
begin immediate;
create table if not exists installed(state blob primary key, packages text, code text, words text);
create table if not exists keys(id integer primary key, text text unique not null, day integer not null);
create table if not exists files(
    key integer not null, path blob not null, size integer, mtime integer, inode integer, changed integer,
    content blob, found blob, sum integer, primary key(key, path)) without rowid;
pragma user_version = {FORMAT};
commit;
"""
_SELECT = "select path, size, mtime, inode, changed, content, found, sum from files join keys on key = id where text = ?"


class State(NamedTuple):
    """A file at one moment; all times are 0 where they cannot be trusted to tell a later change."""

    size: int
    mtime: int
    inode: int
    changed: int
    content: bytes  # digest


# What came of a file, and the state of it that was checked, if one is sure.
Checked = tuple[Outcome, State | None]
Run = Callable[[Sequence[Path]], Generator[Checked, None, None]]


# A row of the table without its key: a plain tuple, as SQLite gives thousands of them.
_Row = tuple[bytes, int, int, int, int, bytes, bytes, int]
_NOTHING: _Row = (b"", 0, 0, 0, 0, b"", b"", 0)  # was found; the rest is no longer needed


class Cache:
    """The cache in one folder; `warn` is called with one line, once, where it is of no use."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._warn = warn
        self._db: sqlite3.Connection | None = None
        self._rows: list[tuple[object, ...]] = []
        self.key = ""
        self._salt = 0
        self._useless = False

    @property
    def useful(self) -> bool:
        return not self._useless

    def installed(self, state: Callable[[Sequence[str]], bytes], look: Callable[[], Installed]) -> Installed:
        """What `look` says, from the cache where `state` is as it was then."""
        self._open()
        try:
            return self._installed(state, look)
        finally:
            self._drop()

    def _installed(self, state: Callable[[Sequence[str]], bytes], look: Callable[[], Installed]) -> Installed:
        for (packages,) in self._query("select distinct packages from installed"):
            with suppress(ValueError, TypeError, OSError):
                folders = tuple(json.loads(packages))
                now = state(folders)
                for code, words in self._query("select code, words from installed where state = ?", now):
                    return Installed(code, frozenset(json.loads(words)), folders, now)
        seen = look()
        seen = seen._replace(state=state(seen.packages))
        row = seen.state, json.dumps(seen.packages), seen.code, json.dumps(sorted(seen.words))
        with self._careful():
            if self._db:
                with _transaction(self._db):
                    self._db.execute("insert or replace into installed values(?, ?, ?, ?)", row)
                    self._db.execute(
                        "delete from installed where rowid <= (select max(rowid) from installed) - ?",
                        (STATES,),
                    )
        return seen

    def use(self, config: Config, root: Path, code: str) -> None:
        """Speak of outcomes under this configuration, in the folder where the user stands."""
        told = config._replace(exclude=(), fail_level=Severity.WARNING, cache_dir="")
        self.key = json.dumps([repr(told), str(root), str(Path.cwd()), code])
        self._salt = crc32(self.key.encode())

    def through(self, names: Sequence[str], check: Run) -> Generator[Outcome, None, None]:
        """The outcome of each file, in order; `check` is asked about those that are not known."""
        self._open()
        try:
            known = self._lookup(names)
            with closing(check(Paths([name for name in names if name not in known]))) as checked:
                for name in names:
                    row = known.pop(name, None)
                    outcome = Outcome(name) if row is _NOTHING else _recall(name, row) if row else None
                    if outcome is None:  # a known file that changed within this run is checked by itself
                        outcome, state = next(checked if row is None else check([Path(name)]))
                        self._store(outcome, state)
                    yield outcome
        finally:
            self._close()

    def _lookup(self, names: Sequence[str]) -> dict[str, _Row]:
        """The entries that still hold."""
        rows = self._sound(names)
        known = {}
        for name in names:
            row = rows.pop(os.fsencode(name), None)
            if row and self._holds(name, row):
                known[name] = row if row[6] else _NOTHING
        return known

    def _holds(self, name: str, row: _Row) -> bool:
        try:
            if times(os.stat(name)) == row[1:5]:  # noqa: PTH116  # thousands of times
                return True
            state = read(name)[1]
        except OSError:
            return False
        if state is None or state.content != row[5]:
            return False
        if state != row[1:6]:
            self._put(name, state, row[6])
        return True

    def _store(self, outcome: Outcome, state: State | None) -> None:
        """Keep an outcome of the file in that state; a crash is not kept, it may not happen again."""
        if state is None or any(finding.code == "PRF001" for finding in outcome.active):
            return
        self._put(outcome.path, state, stored.encode(outcome))

    def _close(self) -> None:
        """Write what is new, and once a day remove what is old."""
        self._write()
        with self._careful():
            if self._db and self.key:
                self._clean(self._db)
        self._drop()

    # Entries.

    def _sound(self, names: Sequence[str]) -> dict[bytes, _Row]:
        """The entries that are not damaged, by path."""
        rows: dict[bytes, _Row] = {}
        salt = self._salt
        with self._careful():
            for row in self._rows_of(names):
                path, _, _, _, _, content, found, total = row
                if type(path) is type(found) is type(content) is bytes and total == crc32(
                    path + content + found, salt
                ):
                    rows[path] = row
        return rows

    def _rows_of(self, names: Sequence[str]) -> Iterator[Any]:
        if self._db and len(names) > FEW:
            yield from self._db.execute(_SELECT, (self.key,))
        elif self._db:
            one = f"{_SELECT} and path = ?"
            for name in names:
                yield from self._db.execute(one, (self.key, os.fsencode(name)))

    def _put(self, path: str, state: State, found: bytes) -> None:
        name = os.fsencode(path)
        # The sum tells damage that SQLite does not: an entry must not pass for that of another file or key.
        self._rows.append((name, *state, found, crc32(name + state.content + found, self._salt)))
        if len(self._rows) >= BATCH:
            self._write()

    # The database.

    def _open(self) -> None:
        with self._careful():
            if not self._useless:
                _prepare(self.folder)
                self._connect()

    def _connect(self) -> None:
        self._db = sqlite3.connect(self.folder / FILE, timeout=PATIENCE, isolation_level=None)
        # A power cut may damage the cache, a kill does not; and a damaged one is made anew.
        self._db.execute("pragma synchronous = off")
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version > FORMAT:
            raise OSError(f"written by a newer perflint (format {version}, this one knows {FORMAT})")
        if version < FORMAT:
            self._db.executescript(_SCHEMA)

    def _query(self, sql: str, *values: object) -> list[Any]:
        with self._careful():
            if self._db:
                return self._db.execute(sql, values).fetchall()
        return []

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        with self._careful():
            if not self._db or not rows:
                return
            with _transaction(self._db):
                key = _key_id(self._db, self.key)
                _limit(self._db, key)
                self._db.executemany(
                    "insert or replace into files values(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    ((key, *row) for row in rows),
                )

    def _clean(self, db: sqlite3.Connection) -> None:
        """Once a day and key: remove entries of files that are gone, and keys that nobody uses."""
        found = db.execute("select id from keys where text = ? and day <> ?", (self.key, _today())).fetchone()
        if found:
            with _transaction(db):
                db.execute("update keys set day = ? where id = ?", (_today(), *found))
                paths = db.execute("select path from files where key = ?", found).fetchall()
                gone = [(*found, path) for (path,) in paths if not os.path.lexists(path)]
                db.executemany("delete from files where key = ? and path = ?", gone)
                _forget(db)

    @contextmanager
    def _careful(self) -> Iterator[None]:
        """What goes wrong is told, and ends the use of the cache; a damaged one is made anew."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self._drop()
            self._useless = not _is_damage(error)
            if self._useless:
                self._warn(
                    f"cache {self.folder}: {_plain(error)}; going on without it (set cache-dir, or --no-cache)"
                )
                return
            try:
                for name in (FILE, f"{FILE}-journal"):
                    (self.folder / name).unlink(missing_ok=True)
                self._connect()
                self._warn(f"cache {self.folder}: was damaged; made anew")
            except (OSError, sqlite3.Error) as second:
                self._drop()
                self._useless = True
                self._warn(f"cache {self.folder}: damaged, and {_plain(second)}; going on without it")

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db:
            with suppress(sqlite3.Error):
                db.close()


def _recall(name: str, row: _Row) -> Outcome | None:
    """The outcome with the bytes that reports show; None where they are no longer those that were checked."""
    try:
        raw, state = read(name, State(*row[1:6]))
        if state and state.content == row[5]:
            return Outcome(name, *stored.decode(row[6]), raw)
    except (OSError, ValueError, TypeError):
        pass
    return None


def read(path: Path | str, known: State | None = None) -> tuple[bytes, State | None]:
    """A file's bytes, and the state they stand for; None where it changed meanwhile. Raise OSError.

    Where its times are those of `known`, so is its content, which is not looked at then.
    """
    now = time.time_ns()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # a Path takes longer than the rest
        before = times(os.fstat(file.fileno()))
        raw = file.read()
        after = times(os.fstat(file.fileno()))
    if before != after or len(raw) != after[0]:
        return raw, None
    if known and after == known[:4]:
        return raw, known
    from hashlib import blake2b  # OpenSSL comes with it, which takes milliseconds to load

    if max(after[1], after[3]) > now - MARGIN:
        after = after[0], 0, 0, 0
    return raw, State(*after, blake2b(raw, digest_size=16).digest())


def _prepare(folder: Path) -> None:
    """Make the folder, marked so that backups and git leave it out. Raise OSError where it is another's."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if (folder / TAG).exists():
            return
        if any(folder.iterdir()):
            raise OSError("holds other files; the cache needs a folder of its own") from None
    (folder / TAG).write_text("Signature: 8a477f597d28d172789f06886806bc55\n# The cache of perflint.\n")
    (folder / ".gitignore").write_text("*\n")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            db.execute("rollback")
        raise
    db.execute("commit")


def _key_id(db: sqlite3.Connection, key: str) -> int:
    if db.execute("insert or ignore into keys(text, day) values(?, ?)", (key, _today())).rowcount:
        _forget(db)
    return int(db.execute("select id from keys where text = ?", (key,)).fetchone()[0])


def _forget(db: sqlite3.Connection) -> None:
    """Remove keys that were not used for long, and the oldest where there are too many."""
    old = db.execute("select id from keys where day < ?", (_today() - DAYS,)).fetchall()
    old += db.execute("select id from keys order by day desc, id desc limit -1 offset ?", (KEYS,)).fetchall()
    db.executemany("delete from files where key = ?", old)
    db.executemany("delete from keys where id = ?", old)


def _limit(db: sqlite3.Connection, key: int) -> None:
    """Where the database has grown too big, keep only this key; its free pages are used again."""
    (pages,), (free,), (size,) = (
        db.execute(f"pragma {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > SIZE:
        others = db.execute("delete from files where key <> ?", (key,)).rowcount
        if not others:
            db.execute("delete from files")


def _today() -> int:
    return int(time.time()) // 86_400


def _is_damage(error: Exception) -> bool:
    """SQLite's errors about what is in the file have no class of their own, unlike those of disks and locks."""
    return type(error) is sqlite3.DatabaseError or str(error).startswith(("no such", "malformed"))


def _plain(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
