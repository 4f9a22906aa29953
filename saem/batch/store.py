"""What is done so far, in an SQLite file that only the driver writes; it survives Ctrl-C and a crash."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from saem.batch.work import Record, is_record
from saem.errors import StorageError, listing

FILE = "progress.sqlite"
SUFFIXES = ("", "-wal", "-shm", "-journal")  # of the files that SQLite keeps
DISCARD = "discard it by --restart"
_TABLES = (
    "CREATE TABLE identity (part TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE records (level INTEGER NOT NULL, method INTEGER NOT NULL, again INTEGER NOT NULL, "
    "payload TEXT NOT NULL, PRIMARY KEY (level, method)) WITHOUT ROWID",
)


class Store:
    """The records of a run, by level and method.

    Parameters
    ----------
    folder : Path or None
        Where `progress.sqlite` is kept; None keeps the records in memory.
    identity : mapping of str to str
        Everything that the results depend on: a run goes on only where all parts are the same.
    restart : bool
        Forget what is there.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, str], restart: bool = False) -> None:
        self.folder = folder
        path = ":memory:" if folder is None else str(folder / FILE)
        if folder is not None:
            _check_files(folder)
        try:
            try:
                self._open(path, identity, restart)
            except sqlite3.DatabaseError as error:
                if folder is None or not restart or isinstance(error, sqlite3.OperationalError):
                    raise
                _discard(folder)  # it is no database, which no other run can be writing to
                self._open(path, identity, restart)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StorageError(
                    f"another run is writing to {folder}; wait until it ends, or use another folder"
                ) from error
            raise StorageError(f"{folder}/{FILE} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{folder}/{FILE} is not a record of a run ({error}); use another folder, or --restart to discard it"
            ) from error

    def _open(self, path: str, identity: Mapping[str, str], restart: bool) -> None:
        self._db = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():  # from here on no other run can write
                if restart:
                    for name, kind in self._db.execute("SELECT name, type FROM sqlite_master").fetchall():
                        if kind in ("table", "view") and not name.startswith("sqlite_"):
                            quoted = name.replace('"', '""')
                            self._db.execute(f'DROP {kind.upper()} "{quoted}"')
                kept = self._db.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
                if not kept:
                    for statement in _TABLES:
                        self._db.execute(statement)
                elif sorted(kept) != sorted((statement,) for statement in _TABLES):  # views and triggers are programs
                    raise sqlite3.DatabaseError("it has other tables")
                found = dict(self._db.execute("SELECT part, value FROM identity"))
                if not found:
                    self._db.executemany("INSERT INTO identity VALUES (?, ?)", identity.items())
            self._check(found or dict(identity), identity)
        except BaseException:
            self._db.close()
            raise

    def _check(self, found: Mapping[str, str], identity: Mapping[str, str]) -> None:
        changed = [part for part in {**identity, **found} if found.get(part) != identity.get(part)]
        if changed:
            noun = "is" if len(changed) == 1 else "are"
            raise StorageError(
                f"{self.folder} holds the results of another run: {listing(changed)} {noun} not the same as then. "
                "Use another folder, or --restart to discard what is there"
            )

    def done(self) -> set[int]:
        """Levels with a record for every method, none of which is to be tried again."""
        unfinished = {level for (level,) in self._ask("SELECT level FROM records WHERE again")}
        return {level for (level,) in self._ask("SELECT DISTINCT level FROM records")} - unfinished

    def add(self, level: int, records: Iterable[Record]) -> None:
        """Keep the records of a level, one for each method, all or none."""
        rows = [(level, k, record["again"], json.dumps(record)) for k, record in enumerate(records)]
        try:
            with self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self.folder}/{FILE} cannot be written: {error}; what it holds so far is kept"
            ) from error

    def records(self, n_levels: int) -> list[tuple[int, Record]]:
        """All records of the first levels, by level and then by method."""
        rows = self._ask("SELECT level, method, payload FROM records WHERE level < ? ORDER BY level, method", n_levels)
        methods: dict[object, list[object]] = {}
        for level, method, _ in rows:
            methods.setdefault(level, []).append(method)
        if any(found != list(range(len(rows) // len(methods))) for found in methods.values()):
            raise StorageError(f"{self.folder}/{FILE} was changed: it lacks records, or has too many; {DISCARD}")
        return [(level, self._record(payload)) for level, _, payload in rows]

    def _ask(self, query: str, *values: int) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StorageError(f"{self.folder}/{FILE} cannot be read: {error}; {DISCARD}") from error

    def _record(self, payload: object) -> Record:
        """A record from its text, of a file that may have been changed."""
        try:
            record = json.loads(payload) if isinstance(payload, str) else None
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not is_record(record):
            raise StorageError(f"{self.folder}/{FILE} was changed: it holds what is no record; {DISCARD}")
        return record

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def close(self) -> None:
        """Close the file; the records in it stay."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_files(folder: Path) -> None:
    """Refuse links, by which a folder from somebody else could have files anywhere changed, and what is no file."""
    for suffix in SUFFIXES:
        path = folder / f"{FILE}{suffix}"
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise StorageError(f"{path} is a link, or no file; remove it, or choose another folder")


def _discard(folder: Path) -> None:
    """Remove what an earlier run left."""
    try:
        for suffix in SUFFIXES:
            (folder / f"{FILE}{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}/{FILE} cannot be removed: {error.strerror}") from error


class _Transaction:
    """All statements of the block, or none of them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._db.in_transaction:  # SQLite itself rolls back when the disk is full
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
