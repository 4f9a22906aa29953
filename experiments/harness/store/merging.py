"""Two stores of one study made one."""

from __future__ import annotations

from pathlib import Path

from ..study.records import CRASHED
from .content import record_in
from .identity import changes, refusal
from .sealing import sealed
from .store import PLACE, Store


def merge(store: Store, other: Path) -> int:
    """Add what another store of the same study has, such as a shard's, and return the number of its records.

    Of two records of one method on one data set that stays which was not killed.

    Raises
    ------
    StorageError
        When there is no store, or it is of another study.
    """
    with Store(other) as source:
        if changed := changes(store.identity(), source.identity()):
            raise refusal(store.folder, changed)
        rows = source.db.execute("SELECT cell, replicate, method, status, payload FROM records")
        have, count = store.runs(), 0
        with store.transaction():
            store.add_cells(source.cells().values())
            for cell, replicate, method, status, payload in rows:
                count += 1
                place = (cell, replicate, method)
                store.db.execute(f"DELETE FROM records WHERE {PLACE} AND status = ?", (*place, CRASHED))
                store.db.execute("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)", (*place, status, payload))
                store.add_data(cell, replicate, record_in(payload, cell, replicate, method, status))
            for run in source.runs():
                if run not in have:
                    store.db.execute("INSERT INTO runs (provenance) VALUES (?)", (sealed(run),))
            for table in ("truths", "sources"):
                for row in source.rows_of(table):
                    marks = ", ".join("?" * len(row))
                    kept = (None, *row[1:]) if table == "sources" else row
                    store.db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", kept)
    return count
