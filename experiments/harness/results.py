"""A study with what its store holds: what tables, figures and the report are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import StorageError

from ..names import COMMAND
from .agenda import agenda_of
from .own_measures import OWN_COLUMNS, own_measures
from .performance import performance
from .performance.comparison import compared
from .performance.parts import combinations
from .rows import DATA, TEXTS, nulls_of, reference_in, rows_of
from .running import identity_of, job_of
from .store import Store
from .store.identity import changes
from .study.truths import Truths

if TYPE_CHECKING:
    import pandas as pd

    from .study import Cell, Study

SHOWN = 60  # rows of a table in a notebook


@dataclass(frozen=True, eq=False)
class Results:
    """A study with its results.

    Attributes
    ----------
    study : Study
    path : Path
        Of the study's TOML file.
    folder : Path
        Of its store.
    rows : DataFrame
        A row for each cell, replicate, method and estimand: the columns `experiments.performance.COLUMNS` and `TEXTS`.
    runs : sequence of mapping
        The provenance of every run that wrote to the store, the first run first.
    goals : mapping of str to int
        Replicates that the precision takes, as far as is known, by the cell's name; empty without targets.
    changed : tuple of str
        What is not as it was when the results were made, such as "the function estimate": true values are those of now.
    mixed : frozenset of (str, int)
        Names of cells and replicates whose methods did not all see the same data: they are no pairs.
    """

    study: Study
    path: Path
    folder: Path
    rows: pd.DataFrame
    runs: Sequence[dict[str, Any]]
    goals: Mapping[str, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    mixed: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def read(cls, study: Study, path: Path, folder: Path) -> Results:
        """From a store, also while a run writes to it.

        Raises
        ------
        StorageError
            When there is no store, or it holds no result of this study.
        """
        with Store(folder) as store:
            truths = Truths(path, study.run)
            truths.recall(store.truths(truths.syntax))
            rows = rows_of(store, study, truths)
            runs = store.runs()
            goals = agenda_of(store, study, path, again=False).goals() if study.precision else {}
            changed = changes(store.identity(), identity_of(job_of(study, path)))
            if store.rows_of("truths") and not store.truths(truths.syntax):
                changed.append("the function truth")
            names = {cell.key: cell.name for cell in study.design.all()}
            mixed = frozenset((names[key], replicate) for key, replicate in store.mixed() if key in names)
        if not len(rows):
            raise StorageError(f"{folder} holds no result of this study yet; '{COMMAND} run' makes them")
        return cls(study, path, folder, rows, runs, goals, tuple(changed), mixed)

    @property
    def study_name(self) -> str:
        """The name of the study."""
        return self.path.stem

    def planned(self, cell: Cell) -> int:
        """Replicates of a cell that are wanted."""
        return self.goals.get(cell.name, self.study.run.replicates)

    @cached_property
    def levels(self) -> pd.DataFrame:
        """The factors' levels, a row a cell in the order of the design, indexed by the cell's name."""
        import pandas as pd

        cells = self.study.design.all()
        index = pd.Index([cell.name for cell in cells], name="cell")
        return pd.DataFrame([dict(cell.levels) for cell in cells], index=index)

    @property
    def headings(self) -> list[str]:
        """What stands above the levels of a cell in a table: the factors, in the order of the design."""
        return [str(name) for name in self.levels.columns] or ["cell"]

    def texts_of(self, cell: str) -> list[str]:
        """The levels of a cell, as they stand in a table."""
        return self._texts.get(cell) or [cell, *[""] * (len(self.headings) - 1)]

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        cells = self.study.design.all()
        return {cell.name: [str(cell[name]) for name in self.headings] for cell in cells if len(cell.levels)}

    @cached_property
    def complete(self) -> pd.DataFrame:
        """Performance of every method on the replicates where it gave an estimate, and the study's own measures."""
        import pandas as pd

        tables = [self._measured("complete"), self._own]
        return pd.concat([table for table in tables if len(table)], ignore_index=True)

    @property
    def own_measures(self) -> list[str]:
        """The measures that the study's own `performance` gives."""
        return list(dict.fromkeys(self._own["measure"]))

    @cached_property
    def _own(self) -> pd.DataFrame:
        return own_measures(self.study, self.path.with_suffix(".py").resolve(), self.rows)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Performance on the replicates where all methods that give something gave an estimate, from the same data."""
        return self._measured("pairs")

    @cached_property
    def paired(self) -> pd.DataFrame:
        """Every method beside the reference (or the first method) on the same data sets."""
        import pandas as pd

        ran = [name for name in self.study.methods if name in set(self.rows["method"].unique())]
        other = self.study.reference if self.study.reference in ran else ran[0]
        shared = combinations(self.paired_rows[["cell", "method"]], "method", "cell")
        cells = {cell for method, cell in shared if method == other}
        beside = [name for name in ran if name != other and any((name, cell) in shared for cell in cells)]
        if not beside:
            return pd.DataFrame(columns=["cell", "method", "reference", *OWN_COLUMNS[2:]])
        return compared(self.paired_rows, beside, other)

    @cached_property
    def paired_rows(self) -> pd.DataFrame:
        """The rows of replicates whose methods saw the same data; without what is not measured."""
        rows = self.rows.drop(columns=[name for name in (*TEXTS, DATA) if name in self.rows])
        if self.mixed:
            places = zip(rows["cell"].astype(str), rows["replicate"], strict=True)
            rows = rows[[place not in self.mixed for place in places]]
        return rows

    @cached_property
    def giving_nothing(self) -> dict[str, list[str]]:
        """Methods without a finite estimate in some cells, and these cells: they are left out of pairs there."""
        arms = self.rows[["cell", "method"]]
        some = combinations(arms[np.isfinite(self.rows["estimate"].to_numpy())], "cell", "method")
        found: dict[str, list[str]] = {}
        for cell, method in sorted(combinations(arms, "cell", "method") - some):
            found.setdefault(str(method), []).append(str(cell))
        return found

    @property
    def warnings(self) -> list[str]:
        """What a reader of tables must know: pairs that are none, methods that gave nothing."""
        found, cells = [], self.rows["cell"].nunique()
        if self.mixed:
            found.append(
                f"in {len(self.mixed):,} replicates not all methods saw the same data; these are left out of pairs and "
                "comparisons"
            )
        for method, own in self.giving_nothing.items():
            found.append(
                f"{method} gave no estimate in {len(own)} of {cells} cells; pairs are those of the other methods there"
            )
        return found

    def _repr_html_(self) -> str:
        """For notebooks: the first rows of `complete`, and what a reader must know."""
        from saem.system.display import count, decimals, number, small, table
        from saem.system.markup import html

        measures = self.complete.to_dict("records")
        lines = [
            [*self.texts_of(str(row["cell"])), str(row["method"]), str(row["estimand"]), str(row["measure"])]
            + [number(row["value"], decimals([row["mcse"]])), small(row["mcse"])]
            for row in measures[:SHOWN]
        ]
        rest = [f"{len(measures) - SHOWN:,} more rows: see complete"] if len(measures) > SHOWN else []
        header = [*self.headings, "method", "estimand", "measure", "value", "mcse"]
        cells = count(self.rows["cell"].nunique(), "cell")
        title = f"study {self.study_name}: {cells}, {count(len(self.rows), 'row')}"
        return html(title, [table(header, lines, "l" * (len(header) - 2) + "rr"), *rest, *self.warnings])

    def _measured(self, on: str) -> pd.DataFrame:
        rows = self.rows.drop(columns=list(TEXTS)) if on == "complete" else self.paired_rows
        return performance(rows, on=on, reference=reference_in(rows, self.study), null=nulls_of(self.study))
