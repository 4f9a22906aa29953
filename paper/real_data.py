"""The real sites as a digest: estimates, intervals, statuses and tests of every site; never the data."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.harness.performance import WHOLE_FIT
from paper.digest import KEYS, Digest, rounded
from saem.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

NAME = "sites"
OF_RUN = ("data", "draws", "seed", "code")
FILES = ("sites.csv", "parameters.csv", "run.json")
SOURCE = (
    "summary.data of the R package MSstatsPTM (Artistic-2.0); "
    "Kohler et al., Molecular & Cellular Proteomics 22(1), 2023"
)
STATUSES = ("converged", "boundary", "several_solutions", "not_identified", "not_converged", "error")
OF_FITS = (
    *("rows", "loglik", "deficit", "largest_distance", "unique", "condition", "n_maxima", "statistic", "p"),
    *("p_bootstrap", "drawn"),
)
OF_PARAMETERS = ("estimate", "se", "lower", "upper", "wald_lower", "wald_upper", "apart", "distance")
ERRORS = {"p_bootstrap": "p_bootstrap_mcse", "estimate": "mcse"}  # columns with the Monte Carlo error of a measure


def digest_of(folder: Path) -> Digest:
    """From the files that `python -m experiments.sites DATA --output FOLDER` wrote.

    A cell is a site under a link, with the factors `site` and `link`; methods are ml and saem, estimands the
    parameters. The measures of a fit are those of `OF_FITS` and, 0 or 1, `is_converged` and so on for `STATUSES`; those
    of a parameter are `OF_PARAMETERS`, with a profile interval from `lower` to `upper`, `apart` how far the ends of
    the Wald interval are from it, and `distance` from SAEM to ML, both in standard errors. `n` is 1, and for the
    bootstrap the number of samples.

    Raises
    ------
    StorageError
        When a file is not there, or lacks something.
    """
    import pandas as pd

    try:
        fits, parameters = (pd.read_csv(folder / name) for name in FILES[:2])
        run = json.loads((folder / FILES[2]).read_text(encoding="utf-8"))
        lacking = [name for name in OF_RUN if name not in run]
        if lacking:
            raise ValueError(f"{FILES[2]} lacks {', '.join(lacking)}")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{folder} must hold {', '.join(FILES)}: {error}; 'python -m experiments.sites DATA --output FOLDER' "
            "writes them"
        ) from error
    for status in STATUSES:
        fits[f"is_{status}"] = (fits["status"] == status).astype(float)
    is_status = tuple(f"is_{status}" for status in STATUSES)
    tables = list(melted(fits.assign(parameter=WHOLE_FIT), (*is_status, *OF_FITS)))
    tables += list(melted(parameters, OF_PARAMETERS))
    long = pd.concat(tables, ignore_index=True)
    for name in ("value", "mcse"):
        long[name] = rounded(long[name].to_numpy(float))
    order = {cell: k for k, cell in enumerate(dict.fromkeys(cell_of(fits)))}
    long = long.sort_values("cell", key=lambda column: column.map(order), kind="stable", ignore_index=True)
    columns = [KEYS[0], "site", "link", *KEYS[1:], "value", "mcse", "n"]
    return Digest(NAME, long[columns], provenance_of(fits, run))


def melted(table: pd.DataFrame, measures: tuple[str, ...]) -> Iterator[pd.DataFrame]:
    """A long table for each measure that a table has."""
    import numpy as np

    for measure in measures:
        if measure not in table:
            continue
        value = table[measure].astype(float)
        error = table.get(ERRORS.get(measure, ""), np.nan)
        n = table["drawn"] if measure == "p_bootstrap" else 1
        found = table[["site", "link", "method"]].assign(
            cell=cell_of(table), estimand=table["parameter"], measure=measure, value=value, mcse=error, n=n
        )
        yield found[value.notna()].astype({"n": int})


def cell_of(table: pd.DataFrame) -> pd.Series:
    """The names of the cells (r,)."""
    return "site=" + table["site"] + ", link=" + table["link"]


def provenance_of(fits: pd.DataFrame, run: dict[str, Any]) -> dict[str, Any]:
    """Where the results come from; the configuration is a hash of the data, the settings and the code of the fits."""
    from experiments.harness.provenance import PACKAGES, processor, version_of
    from experiments.programs.sites.origin import configuration_hash

    return {
        "study": NAME,
        "configuration": configuration_hash(run, run["code"]),
        "seed": run["seed"],
        "draws": run["draws"],
        "data": run["data"],
        "source": SOURCE,
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := version_of(name))},
        "processor": processor(),
        "commits": [run["commit"]] if "commit" in run else [],
        "replicates": 1,
        "cells": int(fits.groupby(["site", "link"]).ngroups),
        "methods": list(dict.fromkeys(fits["method"])),
        "fits": len(fits),
        "failed": int((fits["status"] == "error").sum()),
        "cpu_minutes": round(float(fits["seconds"].sum()) / 60.0, 1),
        "command": f"python -m experiments.sites DATA --draws {run['draws']} --seed {run['seed']} --output FOLDER",
    }


def configuration_now(known: Mapping[str, Any]) -> str:
    """The configuration of the data and settings of a provenance, with the code as it is now."""
    from experiments.programs.sites.origin import SETTINGS, configuration_hash

    lacking = [name for name in SETTINGS if name not in known]
    if lacking:
        raise StorageError(
            f"the provenance of {NAME!r} lacks {', '.join(lacking)}; 'python -m paper run' makes it anew"
        )
    return configuration_hash(known)
