"""One SQLite file for a study (or a shard of it): written by one driver, readable by others while it runs.

A row is one method on one data set. Rows are kept as they come, a transaction for each batch of tasks; nothing that was
committed is lost when the driver is killed.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from experiments.study.cells import Cell
from experiments.study.tasks import CRASHED, FOREVER, TIMEOUT, Record, Result
from saem.errors import StorageError

FILE, LOCK = "study.sqlite", "lock.sqlite"
PLACE = "cell = ? AND replicate = ? AND method = ?"
TABLES = """
CREATE TABLE IF NOT EXISTS identity (part TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, provenance TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, levels TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    cell TEXT NOT NULL, replicate INTEGER NOT NULL, method TEXT NOT NULL, status TEXT NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (cell, replicate, method)
) WITHOUT ROWID;
"""


class Store:
    """The records of a study.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    identity : mapping of str to str, optional
        What the records depend on, part by part: a part that differs from what is there is refused, a new part is
        added. Without it the store is opened for reading, also while a run writes to it.

    Raises
    ------
    StorageError
        When there is no store to read, it belongs to another study, another run writes to it, or the disk refuses.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.lock: sqlite3.Connection | None = None
        if identity is None:
            if not (folder / FILE).is_file():
                raise StorageError(f"there is no study in {folder}; 'python -m experiments run' makes one")
            try:
                where = f"{(folder / FILE).resolve().as_uri()}?mode=ro"
                self.db = sqlite3.connect(where, uri=True, timeout=10.0, isolation_level=None)
                self.db.execute("SELECT COUNT(*) FROM identity")
            except sqlite3.DatabaseError as error:
                raise StorageError(f"{folder / FILE} cannot be read: {error}") from error
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock = taken(folder)
            self.db = sqlite3.connect(folder / FILE, timeout=10.0, isolation_level=None)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.executescript(TABLES)
        except (OSError, sqlite3.DatabaseError) as error:
            self.close()
            raise StorageError(f"{folder} cannot be written: {error}; choose another folder") from error
        self.check(identity)

    def check(self, identity: Mapping[str, str]) -> None:
        """Refuse another study, and note what is new."""
        found = dict(self.db.execute("SELECT part, value FROM identity"))
        changed = [part for part, value in identity.items() if found.get(part, value) != value]
        if changed and not self.db.execute("SELECT COUNT(*) FROM records").fetchone()[0]:
            self.db.execute("DELETE FROM identity")  # nothing depends on it yet
        elif changed:
            self.close()
            raise StorageError(
                f"{self.folder} holds the results of another study: {', '.join(changed)} changed since then. Use "
                "another folder, or undo the change; more cells, methods and replicates may be added"
            )
        self.db.executemany("INSERT OR IGNORE INTO identity VALUES (?, ?)", identity.items())

    def done(self, methods: Iterable[str], replicates: int, limit: float, again: bool = True) -> dict[str, np.ndarray]:
        """What need not be run again: by cell, whether (n_methods, n_replicates) are there.

        What was killed is tried again, and what did not end within less time than the limit now; or not, if `again` is
        false.
        """
        place = {method: k for k, method in enumerate(methods)}
        found: dict[str, np.ndarray] = {}
        query = "SELECT cell, replicate, method, status FROM records WHERE replicate < ?"
        for cell, replicate, method, status in self.db.execute(query, (replicates,)):
            retried = status == CRASHED or (
                status == TIMEOUT and self.limit_of(cell, replicate, method) < min(limit, FOREVER)
            )
            if method in place and not (again and retried):
                own = found.setdefault(cell, np.zeros((len(place), replicates), dtype=bool))
                own[place[method], replicate] = True
        return found

    def limit_of(self, *place: object) -> float:
        """The seconds within which a fit did not end."""
        ((payload,),) = self.db.execute(f"SELECT payload FROM records WHERE {PLACE}", place)
        return float(json.loads(payload)["limit"])

    def add(self, results: Iterable[Result]) -> None:
        """Keep the records of some tasks, all or none."""
        rows, cells = [], {}
        for result in results:
            task = result.task
            cells[task.cell.key] = json.dumps(dict(task.cell.levels))
            for record in result.records:
                rows.append((task.cell.key, task.replicate, record["method"], record["status"], json.dumps(record)))
        if not rows:
            return
        with self._transaction():
            self.db.executemany("INSERT OR IGNORE INTO cells VALUES (?, ?)", cells.items())
            self.db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of a block is kept, or nothing of it."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{self.folder / FILE} cannot be written: {error}. What it holds so far is kept; make room, and run "
                "the same command again"
            ) from error
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def cells(self) -> dict[str, Cell]:
        """By key."""
        return {key: Cell(json.loads(levels)) for key, levels in self.db.execute("SELECT key, levels FROM cells")}

    def counts(self) -> list[tuple[str, str, str, int]]:
        """Cell, method, status, and how many records."""
        query = "SELECT cell, method, status, COUNT(*) FROM records GROUP BY cell, method, status"
        return list(self.db.execute(query))

    def records(
        self,
        cells: Iterable[str] | None = None,
        replicates: int | None = None,
        statuses: Collection[str] | None = None,
    ) -> Iterator[tuple[str, int, Record]]:
        """Cell, replicate and record, in the order of the keys; of some cells, first replicates, or statuses only.

        They are read as they are needed.
        """
        query = "SELECT cell, replicate, status, payload FROM records WHERE cell = ? AND replicate < ?"
        for key in sorted(self.cells() if cells is None else cells):
            rows = self.db.execute(f"{query} ORDER BY replicate, method", (key, replicates or sys.maxsize))
            for cell, replicate, status, payload in rows:
                if statuses is None or status in statuses:
                    yield cell, replicate, json.loads(payload)

    def is_written_to(self) -> bool:
        """Whether a run, of any process, has the store."""
        try:
            taken(self.folder).close()
        except StorageError:
            return True
        except sqlite3.OperationalError:  # a folder that cannot be written
            return False
        return False

    def merge(self, other: Path) -> int:
        """Add what another store of the same study has, such as a shard's, and return the number of its records.

        Of two records of one method on one data set that stays which was not killed.

        Raises
        ------
        StorageError
            When there is no store, or it is of another study.
        """
        with Store(other) as source:
            self.check(source.identity())
            rows = source.db.execute("SELECT cell, replicate, method, status, payload FROM records")
            count = 0
            have = self.runs()
            cells = source.db.execute("SELECT key, levels FROM cells")
            with self._transaction():
                self.db.executemany("INSERT OR IGNORE INTO cells VALUES (?, ?)", cells)
                for row in rows:
                    count += 1
                    self.db.execute(f"DELETE FROM records WHERE {PLACE} AND status = ?", (*row[:3], CRASHED))
                    self.db.execute("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)", row)
                for run in source.runs():
                    if run not in have:
                        self.db.execute("INSERT INTO runs (provenance) VALUES (?)", (json.dumps(run),))
        return count

    def begin(self, provenance: Mapping[str, Any]) -> int:
        """Note a run that begins, and return its number; `end` completes it."""
        with self._transaction():
            number = self.db.execute("INSERT INTO runs (provenance) VALUES (?)", (json.dumps(provenance),)).lastrowid
        return int(number or 0)

    def end(self, number: int, provenance: Mapping[str, Any]) -> None:
        """Note how a run ended."""
        with self._transaction():
            self.db.execute("UPDATE runs SET provenance = ? WHERE number = ?", (json.dumps(provenance), number))

    def runs(self) -> list[dict[str, Any]]:
        """The provenance of the runs, in order."""
        return [json.loads(text) for (text,) in self.db.execute("SELECT provenance FROM runs ORDER BY number")]

    def identity(self) -> dict[str, str]:
        """What the records depend on."""
        return dict(self.db.execute("SELECT part, value FROM identity"))

    def close(self) -> None:
        """Close the file; what is in it stays."""
        for connection in (getattr(self, "db", None), self.lock):
            if connection is not None:
                connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise StorageError(f"{self.folder / FILE} cannot be read: {error}") from error


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
