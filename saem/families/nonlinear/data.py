"""From a nonlinear model and a table to validated columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.groups import check_constant, cluster_codes
from saem.data.intake import table_of
from saem.errors import DataError
from saem.expressions.columns import NOTES, Factor, Values, since_words
from saem.expressions.constraint import parameters_of
from saem.families.arranged import Arranged
from saem.families.designed_data import Intake, grouped, labels_of, take_in
from saem.families.levels import Patterns, Units, patterns_of, units_of
from saem.families.nonlinear import kinks, ordinal, parts_of_columns, support
from saem.families.nonlinear.correlation import Correlation
from saem.families.nonlinear.gathered import Gathered
from saem.families.nonlinear.outcome_keys import Outcome, cut_name
from saem.families.nonlinear.past import columns_back
from saem.families.nonlinear.predictors import Predictor, Predictors, predictors_of
from saem.families.nonlinear.specification import NonlinearModel
from saem.families.nonlinear.structure import Structure, occasion_column, structure_of
from saem.specification.layout import ONE_GROUP

if TYPE_CHECKING:
    import pandas as pd

    from saem.data.table import Rows

Codes = NDArray[np.int64]
MAX_EFFECTS = 60  # of a cluster


@dataclass(frozen=True, eq=False, kw_only=True)
class NonlinearData(Arranged):
    """What the family consumes beside what all families have.

    Parameters
    ----------
    structure : Structure
    columns : dict of str to Values
        (n,) all columns that the trees of the structure name, the response first; numbers as float64.
    constant_columns : frozenset of str
        Those that are constant within every cluster.
    outcome : Outcome
    predictors : dict of str to Predictor
        The linear predictors.
    patterns : Patterns or None
        Of the clusters by their numbers of units, where a level is within clusters; variance groups are these, then.
    units : tuple of Units
        Of the factors within clusters.
    correlation : Correlation or None
        Of residuals.
    gathered : Gathered or None
        What is compiled in place of the structure, where rows read few of many coordinates.
    """

    structure: Structure
    columns: dict[str, Values]
    constant_columns: frozenset[str]
    outcome: Outcome
    predictors: dict[str, Predictor]
    patterns: Patterns | None = None
    units: tuple[Units, ...] = ()
    correlation: Correlation | None = None
    gathered: Gathered | None = None

    @property
    def series(self) -> Codes:
        """The rows (n,) whose residuals are correlated, by number: of a cluster, or of an occasion."""
        return self.units[0].of_row if self.units else self.cluster

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """Weights (n, d) of a sum of the coordinates, where that is all of them that rows depend on."""
        return None


def arrange(
    model: NonlinearModel, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> NonlinearData:
    """See `saem.families.arrange`."""
    taken = take_in(model, table, drop_missing)
    _check_parameters(model, [str(name) for name in table.columns])
    n = len(taken.response)
    cluster, first = cluster_codes([taken.factors[name] for name in model.cluster])
    group, levels = _groups(model, taken, cluster, first)
    named = {used for name, text in model.constraints.items() for used in parameters_of(name, text)}
    named |= set(model.fixed) | set(model.start) | set(model.parameters)
    predictors = predictors_of(model, taken.columns, n, taken.rows, named, formula_state or None)
    columns: dict[str, Values] = {model.response: taken.response}
    columns |= tree_columns(model, model.outcome.columns, taken.columns, taken.rows) | predictors.columns
    units, patterns = _occasions(model, taken, cluster, group, levels)
    if units is not None and patterns is not None:
        columns |= {occasion_column(k): values for k, values in enumerate(np.ascontiguousarray(units.columns.T))}
        group, levels = patterns.of_cluster, tuple(levels[g] for g in patterns.group)
    constant = frozenset(name for name, values in columns.items() if is_constant(values, cluster, first))
    said, series = model.outcome.correlated, cluster if units is None else units.of_row
    if said is not None:
        time = None if said.time is None else columns[said.time]
        back, gap = said.backward(series, time, taken.rows)  # type: ignore[arg-type]
        moving = {name: v for name, v in columns.items() if name not in constant or name == model.response}
        columns |= columns_back(moving, back, gap)
    parts_of_columns.check_texts(model, columns, n)
    largest = int(np.bincount(series).max())
    structure = structure_of(model, model.random.levels, constant, predictors.each, patterns, largest)
    parts_of_columns.check_centres(structure, columns, taken.rows)
    _check_numbers_of_clusters(model, structure, group)
    warnings = support.check(model.outcome, model.response, columns, taken.rows)
    telling = support.telling(model.outcome, taken.response, columns)
    structure = replace(structure, start=_cuts(model, taken.response, structure) | structure.start)
    if said is not None and said.parameter not in structure.start:
        start = said.start(float(np.median(columns["gap[]"])))  # type: ignore[arg-type]
        structure = replace(structure, start=structure.start | {said.parameter: start})
    return NonlinearData(
        parameters=structure.parameters,
        response=taken.response,
        term_names=tuple(effect.name for effect in structure.effects),
        cluster=cluster,
        cluster_labels=partial(labels_of, {name: taken.series[name] for name in model.cluster}, first),
        cluster_group=group,
        group_levels=levels,
        warnings=tuple(
            dict.fromkeys([*_warnings(model, taken, predictors), *_of_sizes(model, cluster, telling), *warnings])
        ),
        n_dropped=taken.n_dropped,
        formula_state=predictors.state,
        unclear=predictors.unclear,
        table=partial(table_of, taken.series, taken.attributes),
        structure=structure,
        columns=columns,
        constant_columns=constant,
        outcome=model.outcome,
        predictors=predictors.each,
        patterns=patterns,
        units=() if units is None else (units,),
        correlation=said,
    )


def _occasions(
    model: NonlinearModel, taken: Intake, cluster: Codes, group: Codes, levels: tuple[str, ...]
) -> tuple[Units | None, Patterns | None]:
    """The occasions of the clusters, of a model that has these.

    Raises
    ------
    DataError
        When no cluster has two, or one has more than can be worked with.
    """
    if not model.occasion:
        return None, None
    level, _ = cluster_codes([taken.factors[name] for name in model.occasion])
    units = units_of(cluster, level)
    said = f"occasion = {list(model.occasion)}"
    if units.most < 2:
        raise DataError(
            f"no cluster has more than one occasion ({said}), so that what occasions add cannot be told from what "
            "clusters add; remove occasion_sd from the laws, or say what the occasions are"
        )
    own = sum(law.occasion_sd is not None for law in model.reading.laws.values())
    check_effects(len(model.term_names) + own * units.most, f"{units.most} occasions ({said})")
    return units, patterns_of(group, len(levels), (units,))


def check_effects(n: int, what: str) -> None:
    """Refuse clusters with more random effects than can be worked with.

    Raises
    ------
    DataError
    """
    if n > MAX_EFFECTS:
        raise DataError(
            f"a cluster with {what} would have {n} random effects; {MAX_EFFECTS} is the most that can be worked with: "
            "let fewer effects vary between levels, or say levels that are coarser"
        )


def _groups(model: NonlinearModel, taken: Intake, cluster: Codes, first: Codes) -> tuple[Codes, tuple[str, ...]]:
    """The variance group (C,) of each cluster, and the levels of the groups."""
    by = model.random.by
    if by is None:
        return np.zeros(len(first), dtype=np.int64), ONE_GROUP
    group, levels = grouped(by, dict.fromkeys(model.random.levels), taken.factors, len(cluster))
    return check_constant(group, cluster, first, (by, model.cluster), taken.rows), levels


def tree_columns(
    model: NonlinearModel, keys: tuple[str, ...], columns: Mapping[str, Values], rows: Rows
) -> dict[str, Values]:
    """The columns that trees name, but for the response and those of predictors.

    Parameters
    ----------
    model : NonlinearModel
    keys : tuple of str
        Columns that keys of the outcome name.
    columns : mapping of str to Values
        As they are read.
    rows : Rows
        To name them.

    Raises
    ------
    DataError
        When a column that the outcome's keys name holds text.
    """
    found: dict[str, Values] = {}
    for name in keys:
        found[name] = support.numbers(name, columns[name], rows)
    for name in model.reading.used_columns:
        if name not in found and name != model.response:
            values = columns[name]
            is_number = not isinstance(values, Factor) and values.dtype.kind in "iuf"
            found[name] = np.ascontiguousarray(values, dtype=np.float64) if is_number else values
    return found


def _cuts(model: NonlinearModel, response: NDArray[np.float64], structure: Structure) -> dict[str, float]:
    """Where free cuts of an ordinal outcome start, unless the model says it: together they must be in order."""
    if not model.outcome.about.has_cuts:
        return {}
    cuts = [structure.arguments[cut_name(k)] for k in range(1, len(model.outcome.cuts or ()) + 1)]
    found = ordinal.starting_cuts(cuts, response)
    said = set(model.start) | set(model.fixed)
    return {} if said & set(found) else found


def is_constant(values: Values, cluster: Codes, first: Codes) -> bool:
    """Whether a column is constant within every cluster."""
    each = values.codes if isinstance(values, Factor) else values
    return bool(np.array_equal(each, each[first][cluster]))


def _check_numbers_of_clusters(model: NonlinearModel, structure: Structure, group: Codes) -> None:
    """Refuse standard deviations of which one cluster alone would tell.

    Raises
    ------
    DataError
    """
    counts: dict[str, int] = {}
    per_group = np.bincount(group, minlength=len(structure.sds))
    for names, count in zip(structure.sds, per_group, strict=True):
        for name in names:  # effects may share one
            counts[name] = counts.get(name, 0) + int(count)
    for name, count in counts.items():
        if name not in model.fixed and count < 2:
            raise DataError(
                f"the SD {name!r} cannot be estimated from one cluster (cluster = {list(model.cluster)}); it needs at "
                "least 2: name the cluster columns so that replicates differ, or leave the law out"
            )


def _check_parameters(model: NonlinearModel, names: list[str]) -> None:
    """Refuse parameters that are called as a column of the table which the model does not list.

    Raises
    ------
    DataError
    """
    constrained = {used for name, text in model.constraints.items() for used in parameters_of(name, text)}
    said = {*model.parameters, *model.start, *model.fixed, *model.priors, *constrained}
    by_lower = {name.lower(): name for name in names}
    for parameter in model.reading.mentioned:
        column = parameter if parameter in names else by_lower.get(parameter.lower())
        if column is None or parameter in said or column in (*model.all_columns, *model.columns):
            continue
        raise DataError(
            f"{parameter!r} is taken for a parameter, and the table has the column {column!r}: if that is meant, add "
            f"it to columns{'' if column == parameter else f' and write {column!r}'}; if a parameter is meant, say so: "
            f"[parameters] {parameter} = 'real' (or 'positive', ..)"
        )


def _warnings(model: NonlinearModel, taken: Intake, predictors: Predictors) -> list[str]:
    """What the user should know of how model and table were understood."""
    notes = taken.attributes.get(NOTES, {}).items()
    found = [text for name, text in notes if name in (*taken.columns, *taken.factors)]
    found += predictors.warnings
    for name in model.reading.used_columns:
        values = taken.columns[name]
        if isinstance(values, Factor) and values.is_date:
            found.append(since_words(name, values.day(values.origin())))
    read = (*model.design_columns, *model.outcome.columns, *model.text_columns)
    unused = [name for name in model.columns if name not in read]
    if unused:
        found.append(f"columns lists {unused[0]!r}, which no expression uses")
    return [*found, *kinks.warnings(model)]


def _of_sizes(model: NonlinearModel, cluster: Codes, telling: NDArray[np.bool_]) -> list[str]:
    """Words where clusters have hardly more rows that tell something than random effects."""
    d, sizes = len(model.term_names), np.bincount(cluster[telling], minlength=int(cluster.max()) + 1)
    free = [law.sd for law in model.reading.laws.values() if law.sd not in model.fixed]
    if not free:
        return []
    if sizes.max() <= 1:
        what = f"each of the {len(sizes)} rows is a cluster of its own"
        if len(telling) > len(sizes):
            what = "no cluster has more than one row that tells something (a time of 0 without an event does not)"
        return [
            f"{what}: one response says little or nothing of a random effect, and the SD {free[0]!r} is weakly "
            "identified or not at all"
        ]
    if sizes.max() <= d:
        return [f"no cluster has more than {sizes.max()} rows, for {d} random effects: their SDs are weakly identified"]
    return []
