"""Data of others, which the project may not pass on: where they are looked for, and where they are to be had."""

from __future__ import annotations

import os
from pathlib import Path

from saem.errors import DataError

VARIABLE = "SAEM_PUBLISHED_DATA"
BESIDE = Path(__file__).parents[2].parent / "shared" / "data"  # beside the project
SOURCES = {
    "plan_suite": (
        "the simulation suite in the development repository of the R package saemix, as data.parquet (columns "
        "scenario, dataset, id, dose, y, group) and saemix31.csv (what saemix 3.1 found on each)"
    ),
    "saemix": "the data sets of the R package saemix, each as a CSV file of its name",
    "co2_plants.csv": "the data set CO2 of R, with the columns Plant, Type, Treatment, conc and uptake",
    "booth_hobert.csv": "the data set BoothHobert of the R package glmm, with the columns cluster, x and y",
    "reference_nonlinear.json": "estimates of other programs, which were noted down",
}


def published(name: str) -> Path:
    """Where a file or folder with the data of others is: in the folder that `VARIABLE` names, or beside the project.

    Raises
    ------
    DataError
        When it is not there, with where it is to be had.
    """
    found = Path(os.environ.get(VARIABLE) or BESIDE) / name
    if not found.exists():
        raise DataError(
            f"{VARIABLE} must name a folder with {name}, which does not come with the project: "
            f"{SOURCES[name]}; it is not in {found.parent}"
        )
    return found
