"""Tables of performance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..figures.wording import title_of
from ..performance import WHOLE_FIT
from ..tables import with_error
from .table import Table

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Results

MAIN = (
    "bias",
    "empirical_se",
    "model_se",
    "relative_error_se",
    "rmse",
    "coverage",
    "no_estimate",
    "no_interval",
    "rejection",
    "distance",
    "mcse_calibration_spread",
)
OF_FITS = ("deficit", "median_deficit", "mean_seconds", "median_seconds", "mean_draws", "mean_iterations")
#: Of the measures in the tables: what each is, for the section on performance measures.
MEANINGS = {
    "bias": "mean of estimate − true value",
    "relative_bias": "bias over the true value",
    "empirical_se": "standard deviation of the estimates",
    "model_se": "root of the mean squared standard error that the method gives",
    "relative_error_se": "100 (model-based SE / empirical SE − 1)",
    "mse": "mean of (estimate − true value)²",
    "rmse": "its root",
    "no_estimate": "share of fits that ended without a finite estimate; all other measures are of the rest",
    "no_se": "share of replicates without a standard error",
    "coverage": "share of intervals that hold the true value; one that is missing does not",
    "no_interval": "share of replicates for which the method gives no interval",
    "rejection": "share of intervals that exclude the value of the hypothesis: power, or the size where it is true",
    "distance": "mean of |estimate − reference| in standard errors of the reference, on the same data",
    "mcse_calibration_spread": "1 if the Monte Carlo error that the method gives is what it says",
    "deficit": "log-likelihood of the reference less that of the method on the same data",
    "convergence_rate": "share of all fits that ended at a maximum",
    "boundary_rate": "share of all fits that ended at the boundary of the parameters",
    "failure_rate": "share of all fits that gave nothing: errors, timeouts, crashes",
}


def definitions(results: Results) -> list[tuple[str, str]]:
    """The measures in the tables, and what each is."""
    there = known_measures(results.complete)
    return [(title_of(name), what) for name, what in MEANINGS.items() if name in there]


def known_measures(table: pd.DataFrame) -> set[str]:
    """Measures that have a value somewhere."""
    return {str(name) for name in table.loc[table["value"].notna(), "measure"].unique()}


def measure_tables(results: Results, table: pd.DataFrame) -> dict[str, Any]:
    """Tables of measures: the main ones of each estimand, those of whole fits, and all."""
    there = known_measures(table)
    by_estimand = {
        str(name): part
        for name, part in table[table["estimand"] != WHOLE_FIT].groupby("estimand", sort=False, observed=True)
    }
    main = [name for name in MAIN if name in there]
    estimands = [name for name in results.study.estimands if name in by_estimand]
    estimands += [name for name in by_estimand if name not in estimands]  # of the study's own measures
    whole = table[table["estimand"] == WHOLE_FIT]
    own = known_measures(whole)
    every = [name for name in dict.fromkeys(table.loc[table["estimand"] != WHOLE_FIT, "measure"]) if name in there]
    return {
        "estimands": [(name, side_by_side(results, {name: by_estimand[name]}, main, False)) for name in estimands],
        "fits": side_by_side(results, {WHOLE_FIT: whole}, [name for name in OF_FITS if name in own], False),
        "all": side_by_side(results, {name: by_estimand[name] for name in estimands}, every, True),
        "all_fits": side_by_side(
            results, {WHOLE_FIT: whole}, [name for name in dict.fromkeys(whole["measure"]) if name in own], False
        ),
    }


def side_by_side(results: Results, parts: dict[str, pd.DataFrame], measures: list[str], named: bool) -> Table:
    """Measures side by side, a row for each estimand, cell and method; the replicates are those of the first."""
    rows = []
    for estimand, part in parts.items():
        keyed = part.drop_duplicates(["cell", "method", "measure"]).set_index(["cell", "method", "measure"])
        found = keyed[["value", "mcse", "n"]].to_dict("index")
        for cell in results.study.design.all():
            for method in results.study.methods:
                own = [found.get((cell.name, method, name)) for name in measures]
                n = next((one["n"] for one in own if one is not None), 0)
                texts = ["–" if one is None else cell_text(one["value"], one["mcse"]) for one in own]
                rows.append(
                    [*([estimand] if named else []), *results.texts_of(cell.name), method, f"{int(n):,}", *texts]
                )
    keys = [*(["estimand"] if named else []), *results.headings, "method"]
    header = [*keys, "replicates", *map(title_of, measures)]
    return Table.of(header, rows, "l" * len(keys) + "r" * (1 + len(measures)))


def cell_text(value: float, mcse: float) -> str:
    """A value with its error."""
    text = with_error(float(value), float(mcse))
    return "–" if text == "-" else text


def comparisons(results: Results) -> dict[str, Any]:
    """Every method against the reference on the same data sets; why not, where that cannot be."""
    reference = results.study.reference
    if reference is None:
        return {"tables": [], "why": "The study names no reference method."}
    found = results.paired
    there = set(found["method"].astype(str))
    wanted = [method for method in results.study.methods if method != reference]
    if not len(found) or set(found["reference"]) != {reference}:  # it has no results
        there = set()
    tables = [(method, of_pairs(results, found[found["method"] == method])) for method in wanted if method in there]
    missing = [method for method in wanted if method not in there]
    why = f"Not compared, for lack of results in common: {', '.join(missing)}." if missing else ""
    return {"tables": tables, "why": why}


def of_pairs(results: Results, table: pd.DataFrame) -> Table:
    """A comparison: a row for each cell and estimand, and one for the fit."""
    measures = [str(name) for name in dict.fromkeys(table["measure"]) if name in known_measures(table)]
    own = table.set_index(["cell", "estimand", "measure"])[["value", "mcse", "n"]].to_dict("index")
    rows = []
    for cell in results.study.design.all():
        for estimand in [*results.study.estimands, WHOLE_FIT]:
            found = [own.get((cell.name, estimand, name)) for name in measures]
            if not any(found):
                continue
            n = max(int(one["n"]) for one in found if one is not None)
            texts = ["" if one is None else cell_text(one["value"], one["mcse"]) for one in found]
            rows.append([*results.texts_of(cell.name), estimand or "the fit", f"{n:,}", *texts])
    keys = [*results.headings, "estimand"]
    return Table.of([*keys, "pairs", *map(title_of, measures)], rows, "l" * len(keys) + "r" * (1 + len(measures)))
