"""What the paper keeps of a study: its performance measures with their Monte Carlo errors, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.harness.performance import WHOLE_FIT
from saem.errors import ModelError, StorageError, listing, nearest

if TYPE_CHECKING:
    import pandas as pd

    from experiments.harness.results import Results

KEYS = ("cell", "method", "estimand", "measure")
OF_CLAIMS = ("mcse_calibration_spread", "mcse_calibration_mean")
ACCEPTED = "accepted"  # in a provenance: the hash of files that were rearranged since, and do the same
BORROWED = "borrowed"  # in the provenance of a digest that a rerun took from the committed results
NEEDED = ("study", "configuration", "seed", "replicates")  # of a provenance
OWN = (*KEYS, "value", "mcse", "n")  # columns of the measures, which no factor may be named as
DIGITS = 6  # significant ones that are kept: far below any Monte Carlo error


class Entry(NamedTuple):
    """A measure: its value, its Monte Carlo standard error (nan where there is none), and the replicates behind it."""

    value: float
    mcse: float
    n: int


class Absent(LookupError):
    """What is asked for is not in the results, such as a cell that a quick form leaves out."""


@dataclass(frozen=True, eq=False)
class Digest:
    """The results of a study as the paper uses them.

    Attributes
    ----------
    name : str
        Of the study.
    measures : DataFrame
        Columns `cell`, a column for each factor, `method`, `estimand` (`WHOLE_FIT` for measures of fits), `measure`,
        `value`, `mcse`, `n`. Measures of `experiments.performance.performance`, of the study itself, and those of
        `experiments.performance.paired`, which have the name of the other method behind: `precision_gain_to_free`.
        Those of `OF_CLAIMS` are there a second time, `mcse_calibration_spread_claimed`, of the fits alone that claim
        to have converged.
    provenance : mapping
        study, configuration, seed, versions, replicates, cpu_minutes, ...
    """

    name: str
    measures: pd.DataFrame
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        columns = list(self.measures.columns)
        refuse(self.name, [name for k, name in enumerate(columns) if name in columns[:k]])

    @property
    def borrowed(self) -> bool:
        """Whether a rerun took it from the committed results, for want of data."""
        return bool(self.provenance.get(BORROWED))

    @property
    def configurations(self) -> set[str]:
        """Its configuration, and the one of the present files that was shown to be the same; none where it has none."""
        return {self.provenance[key] for key in ("configuration", ACCEPTED) if self.provenance.get(key)}

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors."""
        columns = list(self.measures.columns)
        return tuple(columns[1 : columns.index("method")])

    @cached_property
    def _index(self) -> dict[tuple[str, ...], Entry]:
        keys = self.measures[list(KEYS)].itertuples(index=False, name=None)
        values = self.measures[["value", "mcse", "n"]].itertuples(index=False, name=None)
        return {key: Entry(float(v), float(e), int(n)) for key, (v, e, n) in zip(keys, values, strict=True)}

    @cached_property
    def _by_measure(self) -> dict[str, pd.DataFrame]:
        """The rows of each measure: a paper asks some thousand times."""
        return {str(name): rows for name, rows in self.measures.groupby("measure", sort=False)}

    @cached_property
    def _cells_of(self) -> dict[tuple[tuple[str, Any], ...], pd.DataFrame]:
        """The cells that `_among` has found, by the levels that were asked for."""
        return {}

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The levels of the factors, a row for each cell in the order of the study, indexed by the cell's name."""
        return self.measures[["cell", *self.factors]].drop_duplicates("cell").set_index("cell")

    def levels(self, factor: str, **fixed: Any) -> list[Any]:
        """The levels of a factor among cells with the given levels of others, in the order of the study."""
        return list(dict.fromkeys(self._among(fixed)[factor]))

    def methods(self, measure: str) -> list[str]:
        """The methods that have a measure, in order."""
        return list(dict.fromkeys(self.measures.loc[self.measures["measure"] == measure, "method"]))

    def at(self, measure: str, method: str, estimand: str = WHOLE_FIT, **levels: Any) -> Entry:
        """A measure of a method in the one cell with these levels.

        Raises
        ------
        Absent
            When there is none, or its value is not known.
        """
        cells = self._among(levels)
        if len(cells) != 1:
            raise Absent(f"{self.name}: {len(cells)} cells have {levels}; a number needs one")
        found = self._index.get((str(cells.index[0]), method, estimand, measure))
        if found is None or found.value != found.value:
            raise Absent(f"{self.name}: there is no {measure} of {method}, {estimand} at {cells.index[0]}")
        return found

    def select(self, measure: str, method: str | None = None, estimand: str | None = WHOLE_FIT, **levels: Any) -> Any:
        """The rows of `measures` with a measure; of all methods, or all estimands, where these are None.

        Returns
        -------
        DataFrame
            Empty where there are none.
        """
        table = self._by_measure.get(measure, self.measures.iloc[:0])
        chosen = table["value"].notna()
        for name, wanted in {"method": method, "estimand": estimand, **levels}.items():
            if wanted is not None:
                chosen &= table[name] == wanted
        return table[chosen]

    def _among(self, fixed: Mapping[str, Any]) -> pd.DataFrame:
        asked = tuple(fixed.items())
        if asked not in self._cells_of:
            cells = self.cells
            for name, level in fixed.items():
                if name not in self.factors:
                    near = nearest(name, self.factors)
                    raise Absent(f"{self.name} has no factor {name!r}{near}; it has {self.factors}")
                cells = cells[cells[name] == level]
            self._cells_of[asked] = cells
        return self._cells_of[asked]

    def save(self, folder: Path) -> None:
        """Write `measures.parquet` and `provenance.json` into a folder; see `replacing` for the errors."""
        from experiments.harness.store.export import write_parquet
        from saem.system.files import replacing

        write_parquet(self.measures, folder / "measures.parquet")
        with replacing(folder / "provenance.json") as temporary:
            temporary.write_bytes((json.dumps(dict(self.provenance), indent=2, ensure_ascii=False) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Digest:
        """From a folder that is named as its study.

        Raises
        ------
        StorageError
            When it is not there, not whole, or of another study.
        """
        import pandas as pd

        try:
            provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
            measures = pd.read_parquet(folder / "measures.parquet")
        except (OSError, ValueError) as error:
            raise StorageError(
                f"{folder} holds no results of the paper: {error}; 'python -m paper run' makes them"
            ) from error
        lacking = [name for name in NEEDED if not isinstance(provenance, dict) or name not in provenance]
        lacking += [name for name in OWN if name not in measures]
        if lacking or not len(measures):
            what = f"they lack {listing(lacking)}" if lacking else "they have no measure"
            raise StorageError(f"{folder} holds no whole results: {what}; 'python -m paper run' makes them")
        if provenance["study"] != folder.name:
            raise StorageError(f"{folder} holds results of {provenance['study']!r}; a folder is named as its study")
        return cls(folder.name, measures, provenance)

    @classmethod
    def of(cls, results: Results) -> Digest:
        """From the store of a study."""
        return cls(results.study_name, measures_of(results), provenance_of(results))


def refuse(study: str, factors: Iterable[str]) -> None:
    """Raise `ModelError` where factors are named as columns of the measures, which are looked up by these names."""
    taken = [name for name in factors if name in OWN]
    if taken:
        raise ModelError(
            f"the study {study!r} cannot be digested: the measures have columns {listing(OWN, 10)} of their own; give "
            f"the factor {listing(taken)} another name"
        )


def measures_of(results: Results) -> pd.DataFrame:
    """All measures of a study, rounded to `DIGITS` significant digits; those without a value are left out."""
    import pandas as pd

    refuse(results.study_name, map(str, results.levels.columns))
    other = results.paired
    other = other.assign(measure=other["measure"] + "_to_" + other["reference"].astype(str))
    columns = list(OWN)
    known = [table[columns] for table in (results.complete, other, claimed(results)) if len(table)]
    long = pd.concat(known, ignore_index=True).astype({name: str for name in KEYS}).drop_duplicates(list(KEYS))
    long = long[long["value"].notna()]
    for name in ("value", "mcse"):
        long[name] = rounded(long[name].to_numpy(float))
    levels = results.levels
    order = {str(cell): k for k, cell in enumerate(levels.index)}
    long = long.sort_values("cell", key=lambda column: column.map(order), kind="stable")
    found = long.merge(levels, left_on="cell", right_index=True, how="left", sort=False)
    return found[["cell", *levels.columns, *columns[1:]]].reset_index(drop=True)


def claimed(results: Results) -> pd.DataFrame:
    """Measures of how right Monte Carlo errors are, of the fits that claim to have converged."""
    from experiments.harness.performance import CONVERGED, performance
    from experiments.harness.rows import reference_in

    rows, reference = results.rows, reference_in(results.rows, results.study)
    wanted = rows[["cell", "replicate", "method", "estimand", "estimate", "se", "mcse", "status"]]
    other = ["lower", "upper", "truth", "loglik", "deficit", "seconds", "draws", "iterations"]
    table = performance(wanted.assign(**dict.fromkeys(other, float("nan"))), counted=CONVERGED, reference=reference)
    found: pd.DataFrame = table[table["measure"].isin(OF_CLAIMS) & table["value"].notna()]
    return found.assign(measure=found["measure"] + "_claimed")


def rounded(values: Any) -> Any:
    """Numbers with `DIGITS` significant digits."""
    import numpy as np

    return np.array([float(f"{value:.{DIGITS - 1}e}") for value in values])


def provenance_of(results: Results) -> dict[str, Any]:
    """Where the results come from, without the time of the day: the same results give the same words."""
    first, rows = results.runs[0], results.rows
    fits = rows.drop_duplicates(["cell", "replicate", "method"])
    replicates = fits.groupby("cell", observed=True)["replicate"].nunique()
    kept = ("study", "configuration", "seed", "python", "saem", "numpy", "scipy", "numba", "processor", "cores")
    return {name: first[name] for name in kept if name in first} | {
        "commits": sorted({str(run["commit"]) for run in results.runs if "commit" in run}),
        "replicates": int(replicates.min()),
        "cells": len(replicates),
        "methods": list(dict.fromkeys(fits["method"].astype(str))),
        "fits": len(fits),
        "failed": int((~fits["loglik"].notna()).sum()),
        "cpu_minutes": round(float(fits["seconds"].sum()) / 60.0, 1),
    }


class Digests(Mapping[str, Digest]):
    """The digests in a folder, by the name of the study; each is read when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Digest] = {}

    def __getitem__(self, name: str) -> Digest:
        if name not in self._read:
            if not (self.folder / name).is_dir():
                raise StorageError(
                    f"{self.folder} holds no results of {name!r}; there are {listing(list(self))}. "
                    "'python -m paper run' makes them"
                )
            self._read[name] = Digest.read(self.folder / name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.parent.name for path in self.folder.glob("*/provenance.json")))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __len__(self) -> int:
        return len(list(iter(self)))
