"""Results of a small study made without running it, for the tests of figures and of the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from experiments.harness.results import Results
from experiments.harness.study import Study, load_study
from experiments.harness.study.functions import functions_in
from saem.system.streams import stream

FUNCTIONS = """
import numpy as np
import pandas as pd
from experiments.harness.study.functions import Outcome

NAMES = {names}
KNOWN = {known}

def truth(cell):
    return {{name: (1.0 + k + 0.5 * len(str(list(cell.levels.values()))) if KNOWN else float("nan"))
            for k, name in enumerate(NAMES)}}

def generate(cell, seed):
    return np.random.default_rng(seed).normal(size=(20, len(NAMES)))

def estimate(data, cell, options, seed):
    if options.get("fails"):
        raise RuntimeError("it cannot <b>be</b>")
    path = np.cumsum(data, axis=0) / np.arange(1, 21)[:, None] + 0.01 * np.random.default_rng(seed).normal()
    numbers = {{name: (path[-1, k], 0.2, path[-1, k] - 0.4, path[-1, k] + 0.4, 0.05) for k, name in enumerate(NAMES)}}
    trace = pd.DataFrame(path, columns=NAMES) if options.get("path", True) else None
    return Outcome(numbers, loglik=-1.0, trace=trace)
"""


def study_in(
    folder: Path,
    cells: Mapping[str, list[Any]] | None = None,
    methods: Mapping[str, dict[str, Any]] | None = None,
    estimands: tuple[str, ...] = ("theta", "sigma1"),
    replicates: int = 20,
    known: bool = True,
    **changes: Any,
) -> tuple[Study, Path]:
    """A study with its two files."""
    own = {"ml": {"what": "the best"}, "saem": {"path": True}, "em": {"path": False}} if methods is None else methods
    content = {
        "title": "A study",
        "aims": "To test.",
        "data": "Normals.",
        "reference": "ml",
        "design": {"factors": dict({"n": [10, 20], "kind": ["a", "b"]} if cells is None else cells)},
        "estimands": {name: {"what": f"what {name} is", "null": 1.0} for name in estimands},
        "methods": dict(own),
        "run": {"replicates": replicates},
    } | changes
    path = folder / "made.toml"
    path.write_text(tomli_w.dumps({key: value for key, value in content.items() if value is not None}), "utf-8")
    path.with_suffix(".py").write_text(FUNCTIONS.format(names=list(estimands), known=known), encoding="utf-8")
    return load_study(path), path


def rows_for(study: Study, path: Path, seed: int = 0, failures: float = 0.1) -> pd.DataFrame:
    """A row for each cell, replicate, method and estimand; the methods share most of their error."""
    functions, rng = functions_in(path.with_suffix(".py").resolve()), stream(seed, "results")
    tables, names = [], list(study.estimands)
    for cell in study.design.all():
        shape = (study.run.replicates, len(names))
        shock, truth = rng.standard_normal(shape), functions.truth(cell)
        for k, method in enumerate(study.methods):
            estimate = np.array([truth[name] if truth[name] == truth[name] else 0.0 for name in names]) + 0.5 * shock
            estimate = estimate + 0.1 * k * rng.standard_normal(shape) + 0.05 * k
            se = 0.5 * np.sqrt(rng.chisquare(10, shape) / 10)
            se[rng.random(shape) < 0.05] = np.nan
            shares = [0.7 * (1 - failures), 0.1 * (1 - failures), 0.2 * (1 - failures), failures]
            status = rng.choice(["ok", "boundary", "not_converged", "error"], shape[0], p=shares)
            failed = status == "error"
            numbers = {"estimate": estimate, "se": se, "lower": estimate - 1.96 * se, "upper": estimate + 1.96 * se}
            numbers["mcse"] = np.full(shape, 0.1 if k else np.nan)
            frame = {name: np.where(failed[:, None], np.nan, x).ravel() for name, x in numbers.items()}
            fits = {
                "replicate": np.arange(shape[0]),
                "status": status,
                "message": np.where(failed, f"RuntimeError: <b>{method}</b> is lost", ""),
                "warnings": np.where(rng.random(shape[0]) < 0.1, "UserWarning: look at 3.5", ""),
                "loglik": np.where(failed, np.nan, -10.0 - k * rng.exponential(size=shape[0])),
                "deficit": np.where(failed | (study.reference is None), np.nan, k * rng.exponential(size=shape[0])),
                "seconds": np.exp(rng.standard_normal(shape[0])),
                "draws": np.where(failed, np.nan, 1000.0 * k),
                "iterations": np.where(failed, np.nan, 10.0),
            }
            frame |= {name: np.repeat(x, len(names)) for name, x in fits.items()}
            frame |= {"estimand": np.tile(names, shape[0]), "truth": np.tile([truth[name] for name in names], shape[0])}
            frame |= {"cell": cell.name, "method": method, "stream": "of its own"}
            tables.append(pd.DataFrame(frame))
    rows = pd.concat(tables, ignore_index=True)
    for name in ("cell", "method", "status", "message", "warnings", "estimand"):
        rows[name] = rows[name].astype("category")
    return rows


def results_in(folder: Path, runs: tuple[dict[str, Any], ...] = (), failures: float = 0.1, **changes: Any) -> Results:
    """Results of such a study; the arguments are those of `study_in`."""
    study, path = study_in(folder, **changes)
    return Results(study, path, folder / "store", rows_for(study, path, failures=failures), runs)


def with_rows(results: Results, rows: pd.DataFrame) -> Results:
    """The same study with other rows."""
    return Results(results.study, results.path, results.folder, rows.reset_index(drop=True), results.runs)
