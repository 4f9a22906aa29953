"""What stands in the report, as texts and tables."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import SaemError

from ...names import COMMAND
from ..figures.wording import title_of
from ..performance import STATUSES, WHOLE_FIT
from ..precision import worst
from ..study import STUDIES, load_study
from ..study.truths import Truths
from .failures import failures_of, messages_of
from .measures import comparisons, definitions, measure_tables
from .provenance import origin
from .table import Table

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Results
    from ..study import Cell


def content_of(results: Results) -> dict[str, Any]:
    """What the template needs, but for the figures."""
    study = results.study
    fits = results.rows.drop_duplicates(["cell", "replicate", "method"])
    fits = fits.astype({name: str for name in ("cell", "method", "status", "message", "warnings")})
    on_complete, on_pairs = measure_tables(results, results.complete), measure_tables(results, results.pairs)
    return {
        "title": study.title,
        "aims": study.aims,
        "data": study.data,
        "reference": study.reference,
        "progress": progress(results, fits),
        "precision": precision_table(results),
        "cautions": results.warnings,
        "cells": cells_table(results, fits),
        "estimands": estimands_table(results),
        "methods": methods_table(results),
        "definitions": definitions(results),
        "complete": on_complete,
        "pairs": on_pairs,
        "comparisons": comparisons(results),
        "statuses": statuses_table(results, fits),
        "failures": failures_of(results, fits),
        "messages": messages_of(fits),
        "origin": origin(results),
        "commands": commands(results, fits),
    }


def progress(results: Results, fits: pd.DataFrame) -> dict[str, Any]:
    """How far the study is."""
    cells = results.study.design.all()
    goals = np.array([results.planned(cell) for cell in cells])
    planned = int(goals.sum())
    counts = fits.groupby("cell")["replicate"].nunique()
    in_cells = np.array([int(counts.get(cell.name, 0)) for cell in cells])
    begun = int(np.minimum(in_cells, goals).sum())
    empty = [cell.name for cell, count in zip(cells, in_cells, strict=True) if not count]
    low, high = int(in_cells.min()), int(in_cells.max())
    return {
        "planned": f"{planned:,}",
        "begun": f"{begun:,}",
        "share": f"{100 * begun // planned}",
        "partial": begun < planned,
        "empty": empty,
        "per_cell": f"{high:,}" if low == high else f"{low:,} to {high:,}",
        "fits": f"{len(fits):,}",
    }


def cells_table(results: Results, fits: pd.DataFrame) -> Table:
    """The cells with their levels and how much of them there is."""
    factors = list(results.levels.columns)
    counts = fits.groupby(["cell", "method"]).size().unstack(fill_value=0)
    rows = []
    for cell in results.study.design.all():
        own = [
            int(counts.loc[cell.name].get(name, 0)) if cell.name in counts.index else 0
            for name in results.study.methods
        ]
        many = f"{max(own):,}" if min(own) == max(own) else f"{min(own):,} to {max(own):,}"
        rows.append([*(str(cell[name]) for name in factors), many, f"{results.planned(cell):,}"])
    return Table([*factors, "data sets", "planned"], rows, "l" * len(factors) + "rr")


def precision_table(results: Results) -> Table | None:
    """Each target of the precision in each cell, beside the worst error there; nothing without targets."""
    study = results.study
    if not study.precision:
        return None
    rows = []
    for cell in study.design.all():
        own = results.complete[results.complete["cell"] == cell.name]
        for measure, target in study.precision.items():
            found = worst(own, {measure: target})
            place = [*results.texts_of(cell.name), measure, f"{target:g}"]
            if found is None:
                rows.append([*place, "–", "", "does not apply" if len(own) else "no results"])
                continue
            whose = found.method + (f", {found.estimand}" if found.estimand else "")
            verdict = "met" if found.ratio <= 1.0 else f"missed: {found.ratio:.3g} times the target"
            rows.append([*place, f"{found.mcse:.2g}", whose, verdict])
    header = [*results.headings, "measure", "target", "largest error", "of", ""]
    return Table.of(header, rows, "l" * len(results.headings) + "lrrll")


def estimands_table(results: Results) -> Table:
    """The estimands with their true values."""
    study = results.study
    cells, known = study.design.all(), Truths(results.path, study.run)
    truths = [known.of(cell) for cell in cells]
    values = {name: [float(truth.get(name, np.nan)) for truth in truths] for name in study.estimands}
    rows = []
    for name, estimand in study.estimands.items():
        null = "" if estimand.null is None else f"{estimand.null:g}"
        rows.append([name, estimand.what, truth_words(values[name], cells), null])
    return Table(["estimand", "what", "true value", "hypothesis tested"], rows, "lllr")


def truth_words(values: list[float], cells: list[Cell]) -> str:
    """The true value of an estimand: one, or by the levels of the factor that it depends on, or else by cells."""
    texts = ["unknown" if value != value else f"{value:.6g}" for value in values]
    if len(set(texts)) == 1:
        return texts[0]
    for factor in cells[0].levels:
        pairs = list(dict.fromkeys((str(cell[factor]), text) for cell, text in zip(cells, texts, strict=True)))
        if len(pairs) == len({level for level, _ in pairs}):
            return "; ".join(f"{text} ({factor}={level})" for level, text in pairs)
    groups: dict[str, list[str]] = {}
    for text, cell in zip(texts, cells, strict=True):
        groups.setdefault(text, []).append(cell.name)
    return "; ".join(f"{text} ({' / '.join(own)})" for text, own in groups.items())


def methods_table(results: Results) -> Table:
    """The methods with their options."""
    rows = []
    for name, method in results.study.methods.items():
        options = ", ".join(f"{key} = {value!r}" for key, value in method.options.items())
        rows.append([name, method.what, options or "none", "reference" if name == results.study.reference else ""])
    return Table(["method", "what", "options", ""], rows, "llll")


def statuses_table(results: Results, fits: pd.DataFrame) -> Table:
    """How the fits ended, and the rates of convergence, boundary and failure."""
    present = set(fits["status"])
    statuses = [name for name in STATUSES if name in present]
    rates = ["convergence_rate", "boundary_rate", "failure_rate"]
    table = results.complete
    whole = table[(table["estimand"] == WHOLE_FIT) & table["measure"].isin(rates)].set_index(
        ["cell", "method", "measure"]
    )
    counts = fits.groupby(["cell", "method", "status"]).size()
    rows = []
    for cell in results.study.design.all():
        for method in results.study.methods:
            own = [int(counts.get((cell.name, method, status), 0)) for status in statuses]
            if sum(own):
                shares = [percent(whole.loc[(cell.name, method, rate), ["value", "mcse"]]) for rate in rates]
                rows.append([*results.texts_of(cell.name), method, f"{sum(own):,}", *(f"{n:,}" for n in own), *shares])
            else:
                rows.append([*results.texts_of(cell.name), method, "0", *("" for _ in statuses), *("–" for _ in rates)])
    header = [*results.headings, "method", "fits", *(name.replace("_", " ") for name in statuses)]
    header += [f"{title_of(name).removesuffix(' rate')}, %" for name in rates]
    return Table(header, rows, "l" * (len(results.headings) + 1) + "r" * (1 + len(statuses) + len(rates)))


def percent(measured: pd.Series) -> str:
    """A share in per cent with its error."""
    value, mcse = (100.0 * float(measured[name]) for name in ("value", "mcse"))
    return "–" if value != value else f"{value:.1f}" + (f" ({mcse:.1f})" if mcse == mcse else "")


def commands(results: Results, fits: pd.DataFrame) -> list[tuple[str, str]]:
    """What to type to get all this again, with what it does."""
    noted = list(dict.fromkeys(str(run["command"]) for run in results.runs if run.get("command")))
    commits = list(dict.fromkeys(str(run["commit"]) for run in results.runs if run.get("commit")))
    of_project = results.path.resolve().parent == STUDIES.resolve()
    study = shlex.quote(results.path.stem if of_project else str(results.path))
    quick = " --quick" if is_quick(results) else ""
    folder = f" --output {shlex.quote(str(results.folder))}"
    found = [("the code", f"git checkout {commits[-1]}")] if commits else []
    found += [("the results, as they were run", command) for command in noted] or [
        ("the results", f"{COMMAND} run {study}{quick}{folder} --replicates {results.study.run.replicates}")
    ]
    found.append(("the tables", f"{COMMAND} summarise {study}{quick}{folder}"))
    found.append(("this page", f"{COMMAND} report {study}{quick}{folder}"))
    if len(fits):
        first = fits.iloc[0]
        arguments = f"{shlex.quote(first['cell'])} {int(first['replicate'])} {shlex.quote(first['method'])}"
        found.append(("one fit", f"{COMMAND} replay {study} {arguments}{quick}"))
    return found


def is_quick(results: Results) -> bool:
    """Whether the study is in its quick form: more like that than like the full one, whatever its replicates."""
    forms = []
    for quick in (True, False):
        try:
            forms.append(load_study(results.path, quick))
        except SaemError:  # the file changed since
            return False
    own, faster, full = (form.model_dump(exclude={"run": {"replicates"}}) for form in (results.study, *forms))
    if own == faster == full:
        return results.study.run.replicates == forms[0].run.replicates != forms[1].run.replicates
    return bool(own == faster)
