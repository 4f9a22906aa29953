"""A study with what its store holds: what tables, figures and the report are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.agenda import agenda_of
from experiments.performance import paired, performance
from experiments.rows import TEXTS, nulls_of, reference_in, rows_of
from experiments.running import identity_of, job_of
from experiments.store import Store
from experiments.study.functions import functions_in
from saem.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

    from experiments.study import Cell, Study


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
        What is not as it was when the results were made, such as "the functions": true values are those of now.
    """

    study: Study
    path: Path
    folder: Path
    rows: pd.DataFrame
    runs: Sequence[dict[str, Any]]
    goals: Mapping[str, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    @classmethod
    def read(cls, study: Study, path: Path, folder: Path) -> Results:
        """From a store, also while a run writes to it.

        Raises
        ------
        StorageError
            When there is no store, or it holds no result of this study.
        """
        with Store(folder) as store:
            rows = rows_of(store, study, functions_in(path.with_suffix(".py").resolve()))
            runs = store.runs()
            goals = agenda_of(store, study, path, again=False).goals() if study.precision else {}
            found, now = store.identity(), identity_of(job_of(study, path))
        if not len(rows):
            raise StorageError(f"{folder} holds no result of this study yet; 'python -m experiments run' makes them")
        changed = tuple(part for part, value in now.items() if found.get(part, value) != value)
        return cls(study, path, folder, rows, runs, goals, changed)

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
        import pandas as pd

        own = functions_in(self.path.with_suffix(".py").resolve()).performance
        columns = ["cell", "method", "estimand", "measure", "value", "mcse", "n"]
        return pd.DataFrame(columns=columns) if own is None else own(self.rows)[columns]

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Performance on the replicates where all methods gave an estimate."""
        return self._measured("pairs")

    @cached_property
    def paired(self) -> pd.DataFrame:
        """Every method beside the reference (or the first method) on the same data sets."""
        import pandas as pd

        ran = [name for name in self.study.methods if name in set(self.rows["method"])]
        other = self.study.reference if self.study.reference in ran else ran[0]
        rows = self.rows.drop(columns=list(TEXTS))
        found = [paired(rows, name, other) for name in ran if name != other]
        columns = ["cell", "method", "reference", "estimand", "measure", "value", "mcse", "n"]
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)

    def _measured(self, on: str) -> pd.DataFrame:
        rows = self.rows.drop(columns=list(TEXTS))
        return performance(rows, on=on, reference=reference_in(rows, self.study), null=nulls_of(self.study))
