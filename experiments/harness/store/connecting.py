"""Connections to the file of a store, for a run or for readers, and the lock that a run has on it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

from saem.errors import StorageError

from ...names import COMMAND

FILE, LOCK = "study.sqlite", "lock.sqlite"
LOG = FILE + "-wal"  # what was committed and is not yet in the file, as after `kill -9`
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter where a damaged name is in an error's message
TABLES = """
CREATE TABLE IF NOT EXISTS identity (part TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, provenance TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, levels TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    cell TEXT NOT NULL, replicate INTEGER NOT NULL, method TEXT NOT NULL, status TEXT NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (cell, replicate, method)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS data (
    cell TEXT NOT NULL, replicate INTEGER NOT NULL, hash TEXT NOT NULL, mixed INTEGER NOT NULL,
    PRIMARY KEY (cell, replicate)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS truths (
    syntax TEXT NOT NULL, cell TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (syntax, cell)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, files TEXT NOT NULL);
"""


def writing(folder: Path) -> sqlite3.Connection:
    """A connection of the one process that writes; the file is made where it is not there."""
    db = sqlite3.connect(folder / FILE, timeout=10.0, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(TABLES)
    except BaseException:
        db.close()
        raise
    return db


def finish(db: sqlite3.Connection) -> None:
    """Leave one plain file behind, which can be read in a folder that cannot be written; not while others read it."""
    try:
        db.execute("PRAGMA busy_timeout = 100")
        db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError:
        pass  # the disk is full, or somebody reads


def reading(folder: Path) -> tuple[sqlite3.Connection, tempfile.TemporaryDirectory[str] | None]:
    """A connection for reading, also while a run writes, and the folder of a copy where one was needed.

    Raises
    ------
    StorageError
        When there is no store, or it cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        raise StorageError(f"there is no study in {folder}; '{COMMAND} run' makes one")
    try:
        return opened(file, "mode=ro"), None
    except sqlite3.OperationalError as error:  # perhaps it needs files beside it, and the folder cannot be written
        try:
            if not ((folder / LOG).is_file() and (folder / LOG).stat().st_size):
                return opened(file, "mode=ro&immutable=1"), None
            copy = tempfile.TemporaryDirectory()
            for name in (FILE, LOG):
                shutil.copy(folder / name, copy.name)
            return opened(Path(copy.name, FILE), "mode=rw"), copy
        except (*UNREADABLE, OSError):
            raise unreadable(folder, error) from error
    except UNREADABLE as error:
        raise unreadable(folder, error) from error


def unreadable(folder: Path, error: BaseException) -> StorageError:
    """What to raise for a file that is damaged, or is none."""
    text = f"{folder / FILE} cannot be read: {error}"
    if isinstance(error, OSError | sqlite3.OperationalError) and "decode" not in text:  # it is locked, or not there
        return StorageError(text)
    return StorageError(f"{text}. The store is damaged: use a copy, or run the study into another folder")


def opened(file: Path, options: str) -> sqlite3.Connection:
    """A connection to a file that is a store."""
    db = sqlite3.connect(f"{file.resolve().as_uri()}?{options}", uri=True, timeout=10.0, isolation_level=None)
    try:
        db.execute("SELECT COUNT(*) FROM identity")
    except UNREADABLE:
        db.close()
        raise
    return db


def taken(folder: Path) -> sqlite3.Connection:
    """A lock on the folder, which ends with the process however it ends; others may go on reading.

    Raises
    ------
    StorageError
        When another run has it.
    """
    lock = sqlite3.connect(folder / LOCK, timeout=2.0, isolation_level=None)
    try:
        lock.execute("PRAGMA locking_mode = EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" in str(error):
            raise StorageError(
                f"another run is writing to {folder}; wait until it ends, or use another folder"
            ) from None
        raise
    return lock
