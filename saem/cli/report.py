"""The tables that `saem fit` prints."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from saem.algorithms.registry import DECLARED, declaration_of
from saem.cli.console import STYLES, console, heading, note, say, show
from saem.fitting.summary import legend, size_words, solutions_table, status_line, status_words, summary_parts
from saem.fitting.summary import note as parameter_note
from saem.system.display import PLAIN_WIDTH, UNKNOWN, an, count, decimals, number, row_decimals, small, table

if TYPE_CHECKING:
    import pandas as pd

    from saem.batch import Batch
    from saem.fitting.result import Fit

MOST_LEVELS = 40
GAP = 3  # between two columns
MOST_REASONS = 5
UNFITTED = ("error", "crashed")
_PARTICULARS = re.compile(r"'[^']*'|-?\d[\d.,]*(e[-+]?\d+)?")  # names and numbers, in which one reason may differ


def show_fit(fit: Fit) -> None:
    """The summary of one fit, with the status in colour."""
    for part in summary_parts(fit):
        if not isinstance(part, str):
            show(part)
        elif part.startswith("status:"):
            say(part, STYLES.get(str(fit.status)))
        else:
            say(part, "yellow" if part.startswith("warning:") else None)


def show_comparison(first: Fit, second: Fit) -> None:
    """Two fits of the same model side by side, with their difference in units of the second's standard errors."""
    methods = f"{DECLARED[first.method].title} and {DECLARED[second.method].title.lower()}"
    say(f"{methods} fits of {an(first.model.family)} model for {first.model.response}")
    say(f"{size_words(second)}, {count(second.n_free, 'free parameter')}")
    say()
    a, b = DECLARED[first.method].short, DECLARED[second.method].short
    notes = [parameter_note(second, name) or parameter_note(first, name) for name in second.parameters.names]
    rows, distances = [], {}
    for i, (name, words) in enumerate(zip(second.parameters.names, notes, strict=True)):
        fixed = words == "fixed"
        places = row_decimals(max(first.se[i], second.se[i]), [*first.se, *second.se])
        distance = float((first.values[i] - second.values[i]) / second.se[i]) if second.se[i] > 0 else math.nan
        if math.isfinite(distance):
            distances[name] = abs(distance)
        errors = [number(first.se[i], places), small(first.mcse[i])]
        rows.append(
            [
                name,
                number(first.values[i], places, second.se[i]),
                *([UNKNOWN, UNKNOWN] if fixed else errors),
                number(second.values[i], places, second.se[i]),
                UNKNOWN if fixed else number(second.se[i], places),
                UNKNOWN if math.isnan(distance) else f"{round(distance, 4) + 0.0:+.4f}",
                words,
            ]
        )
    header = ["parameter", a, "se", "mcse", b, "se", f"({a} - {b})/se", "note"]
    if any(notes):
        show(table(header, rows, "lrrrrrrl"))
    else:
        show(table(header[:-1], [row[:-1] for row in rows]))
    for line in legend(second):
        say(line)
    if first.constraint_names:
        say()
        residuals = zip(first.constraint_names, first.constraint_residuals, second.constraint_residuals, strict=True)
        texts = first.model.constraints
        header = ["constraint", f"{a} residual", f"{b} residual", "equation"]
        show(table(header, [[name, small(x), small(y), texts.get(name, "")] for name, x, y in residuals], "lrrl"))
    say()
    measures = [("log-likelihood", "loglik", 4), ("AIC", "aic", 3), ("BIC", "bic", 3), ("seconds", "seconds", 3)]
    cells = [[name, *(number(getattr(fit, key), digits) for fit in (first, second))] for name, key, digits in measures]
    show(table(["", a, b], cells))
    say()
    if distances:
        largest = max(distances, key=lambda name: distances[name])
        say(f"largest |{a} - {b}|: {distances[largest]:.4f} standard errors ({largest})")
    if len(second.solutions) > 1:
        say()
        say(f"Maxima that {DECLARED[second.method].short} found, the best first")
        show(solutions_table(second))
        say()
    for fit in (first, second):
        say(f"{DECLARED[fit.method].short} {status_line(fit)}", STYLES.get(str(fit.status)))
    for text in dict.fromkeys([*first.warnings, *second.warnings]):
        say(f"warning: {text}", "yellow")


def show_levels(batch: Batch, by: Sequence[str]) -> None:
    """The estimates of every level, with standard errors in brackets; the first levels only where there are many."""
    estimates, fits = batch
    parameters = list(dict.fromkeys(estimates["parameter"]))
    typical = estimates.groupby("parameter")["se"].median()
    places = {name: decimals([typical[name]]) for name in parameters}
    found: dict[tuple[object, ...], str] = {}
    for row in estimates.to_dict("records"):
        name, se = row["parameter"], row["se"]
        error = "fixed" if se == 0 else number(se, places[name])
        found[*(row[key] for key in by), row["method"], name] = f"{number(row['estimate'], places[name])} ({error})"
    keys, cells = [], []
    for row in fits.head(MOST_LEVELS).to_dict("records"):
        key = (*(row[name] for name in by), row["method"])
        keys.append([*map(str, key), status_words(row["status"])])
        cells.append([number(row["loglik"], 3), *(found.get((*key, name), UNKNOWN) for name in parameters)])
    show_wrapped([*by, "method", "status"], keys, ["log-likelihood", *parameters], cells)
    if len(fits) > MOST_LEVELS:
        note(f"{len(fits) - MOST_LEVELS} more rows are not shown; --output FOLDER writes all of them")


def show_wrapped(
    key_names: Sequence[str], keys: Sequence[Sequence[str]], names: Sequence[str], cells: Sequence[Sequence[str]]
) -> None:
    """A table that repeats its key columns in as many parts as the terminal is too narrow for."""
    rows = list(zip(keys, cells, strict=True))
    wide = [max(map(len, [name, *(row[i] for row in cells)])) + GAP for i, name in enumerate(names)]
    keys_wide = sum(max(map(len, [name, *(key[i] for key in keys)])) + GAP for i, name in enumerate(key_names))
    out = console()
    room = (out.width if out.is_terminal else PLAIN_WIDTH) - keys_wide
    low = 0
    while low < len(names):
        high = low + 1
        while high < len(names) and sum(wide[low : high + 1]) <= room:
            high += 1
        if low:
            say()
        lines = [[*key, *row[low:high]] for key, row in rows]
        show(table([*key_names, *names[low:high]], lines, "l" * len(key_names) + "r" * (high - low)))
        low = high


def show_run(batch: Batch, by: Sequence[str]) -> None:
    """How many levels ended how, the commonest reasons for those that were not fitted, and how the methods compare."""
    fits = batch.fits
    methods = list(dict.fromkeys(fits["method"]))
    n_levels = len(fits) // len(methods)
    heading(f"{count(n_levels, 'level')} of {' × '.join(by)}")
    counts = Counter(zip(fits["status"], fits["method"], strict=True))
    statuses = [status for status in STYLES if any(counts[status, method] for method in methods)]
    rows = [[status_words(status), *(str(counts[status, method]) for method in methods)] for status in statuses]
    show(table(["status", *(declaration_of(method).short or method for method in methods)], rows))
    unfitted = fits[fits["status"].isin(UNFITTED)]
    if len(unfitted):
        heading("Commonest reasons")
        show(table(["levels", "method", "the first, and why"], reasons(unfitted, by), "rll"))
    if "saem" in methods and "ml" in methods:
        show_largest_difference(batch, by)


def reasons(unfitted: pd.DataFrame, by: Sequence[str]) -> list[list[str]]:
    """The commonest messages up to names and numbers in them, each with its number of levels and its first example."""
    kinds = unfitted["message"].map(lambda text: _PARTICULARS.sub("#", text))
    groups = unfitted.groupby(kinds, sort=False)
    members = sorted(
        ((part[by].drop_duplicates(), part["method"].drop_duplicates(), part["message"].iloc[0]) for _, part in groups),
        key=lambda m: -len(m[0]),
    )
    rows = []
    for levels, methods, message in members[:MOST_REASONS]:
        example = ", ".join(str(value) for value in levels.iloc[0])
        used = ", ".join(declaration_of(method).short or method for method in methods)
        rows.append([str(len(levels)), used, f"{example}: {message}"])
    if len(members) > MOST_REASONS:
        rest = sum(len(levels) for levels, *_ in members[MOST_REASONS:])
        rows.append([str(rest), "", "other reasons: see the column 'message' of fits"])
    return rows


def show_largest_difference(batch: Batch, by: Sequence[str]) -> None:
    """The largest difference between SAEM and ML in units of the standard error, where both found a maximum."""
    estimates, fits = batch
    keys = [*by, "method"]
    good = fits.loc[fits["status"].isin(["converged", "boundary"]), keys]
    both = estimates.merge(good, on=keys)
    saem, ml = (both[both["method"] == name].set_index([*by, "parameter"]) for name in ("saem", "ml"))
    distance = ((saem["estimate"] - ml["estimate"]) / ml["se"].where(ml["se"] > 0)).abs().dropna()
    if not len(distance):
        return
    *level, parameter = distance.index[int(distance.to_numpy().argmax())]
    where = ", ".join(f"{name} {value}" for name, value in zip(by, level, strict=True))
    say()
    say(
        f"largest |SAEM - ML| where both found a maximum: {distance.max():.4f} standard errors ({parameter}, {where}); "
        f"median {distance.median():.4f}"
    )
