"""From a model with a design and a table to arrays: what families with a design have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.designs import check_sizes, date_origins, expression_columns, fixed_design
from saem.data.groups import check_constant, cluster_codes, group_codes
from saem.data.intake import nearly_numbers, read_columns, response_values, table_of
from saem.data.table import Rows
from saem.errors import DataError
from saem.expressions.columns import NOTES, Factor, Values, check_columns
from saem.expressions.constraint import parameters_of
from saem.families.designed_model import DesignedModel
from saem.families.model import Model
from saem.specification.formula import Design
from saem.specification.layout import ONE_GROUP, Layout

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Intake:
    """The columns of a table that a model reads, converted.

    Attributes
    ----------
    series : dict of str to Series
        As the user has them, without the rows that are left out.
    columns : dict of str to Values
        Response, designs and other numbers.
    factors : dict of str to Factor
        Clusters and groups.
    rows : Rows
        To name the rows.
    n_dropped : int
    attributes : dict
        Of the table.
    response : (n,) ndarray
        On the scale of the model.
    """

    series: dict[str, pd.Series[Any]]
    columns: dict[str, Values]
    factors: dict[str, Factor]
    rows: Rows
    n_dropped: int
    attributes: dict[Any, Any]
    response: _Floats


def take_in(model: Model, table: pd.DataFrame, drop_missing: bool) -> Intake:
    """Read the columns of a table that a model needs.

    Raises
    ------
    DataError
        Saying which column or row does not fit the model, and what to do.
    """
    if not hasattr(table, "columns"):
        raise DataError(f"the table must be a pandas DataFrame; got {type(table).__name__}")
    check_columns(table, list(model.all_columns))
    if len(table) == 0:
        raise DataError("the table has no rows")
    series, columns, factors, rows, n_dropped = read_columns(model, table, drop_missing)
    response = response_values(model, columns, len(table) - n_dropped)
    if response.min() == response.max():
        raise DataError(
            f"the response {model.response!r} is constant: it is {response[0]:g} in all {len(response)} rows"
        )
    return Intake(series, columns, factors, rows, n_dropped, table.attrs, response)


@dataclass(frozen=True, eq=False)
class Designs:
    """Clusters and designs of rows.

    Attributes
    ----------
    mean : Design
        Of the fixed part.
    random : (n, q) ndarray
    cluster, first : (n,), (C,) ndarray of int64
        The cluster of every row, and the first row of every cluster.
    cluster_group : (C,) ndarray of int64
    group_levels : tuple of str
    """

    mean: Design
    random: _Floats
    cluster: _Codes
    first: _Codes
    cluster_group: _Codes
    group_levels: tuple[str, ...]


def designs_of(model: DesignedModel, taken: Intake, state: dict[str, Any] | None) -> Designs:
    """Arrange clusters and designs; ``state`` has the constants of a formula, where a fit has made them.

    Raises
    ------
    DataError
    """
    n, columns, rows = len(taken.response), taken.columns, taken.rows
    cluster, first = cluster_codes([taken.factors[name] for name in model.cluster])
    named = {used for name, text in model.constraints.items() for used in parameters_of(name, text)}
    mean = fixed_design(model.design, columns, n, rows, state, named | set(model.fixed))
    random = expression_columns(model.random.terms, columns, n, rows, "random term")
    group, levels = grouped(model.random.by, model.random.sd, taken.factors, n)
    cluster_group = group[first]
    if model.random.by is not None:
        cluster_group = check_constant(group, cluster, first, (model.random.by, model.cluster), rows)
    return Designs(mean, random, cluster, first, cluster_group, levels)


def grouped(by: str | None, sd: object, factors: dict[str, Factor], n: int) -> tuple[_Codes, tuple[str, ...]]:
    """Codes (n,) and levels of variance or residual groups; one group without ``by``."""
    if by is None:
        return np.zeros(n, dtype=np.int64), ONE_GROUP
    named: Iterable[str] | None = list(sd) if isinstance(sd, dict) else None
    return group_codes(factors[by], by, named)


def apart_from(taken: set[str], found: Design) -> Design:
    """The design of a formula with other names for means that are called as parameters the model does not name."""
    names = tuple(f"x_{name}" if name in taken and f"x_{name}" not in found.names else name for name in found.names)
    changed = {name for name, before in zip(names, found.names, strict=True) if name != before}
    return replace(found, names=names, unclear=found.unclear | changed)


def shared_fields(model: DesignedModel, taken: Intake, found: Designs, layout: Layout) -> dict[str, Any]:
    """The fields of `saem.families.arranged.DesignedData`, but for the response.

    Raises
    ------
    DataError
        When values are too large or too small to be squared.
    """
    mean = found.mean
    check_sizes(mean.names, mean.matrix)
    check_sizes(model.term_names, found.random)
    return {
        "parameters": layout.parameters,
        "mean_design": mean.matrix,
        "random_design": found.random,
        "mean_labels": mean.labels,
        "mean_index": np.arange(len(mean.names), dtype=np.int64),
        "term_names": model.term_names,
        "cluster": found.cluster,
        "cluster_labels": partial(labels_of, {name: taken.series[name] for name in model.cluster}, found.first),
        "cluster_group": found.cluster_group,
        "group_levels": found.group_levels,
        "sd_index": layout.sd_index,
        "corr_index": layout.corr_index,
        "warnings": formula_warnings(model, model.random.terms.values(), taken, mean),
        "n_dropped": taken.n_dropped,
        "offset": mean.offset,
        "formula_state": mean.state,
        "unclear": {n: label for n, label in zip(mean.names, mean.labels, strict=True) if n in mean.unclear},
        "table": partial(table_of, taken.series, taken.attributes),
    }


def formula_warnings(model: DesignedModel, terms: Iterable[str], taken: Intake, mean: Design) -> tuple[str, ...]:
    """What the user should know of how the columns of the designs were understood; ``terms`` are the random ones."""
    columns = taken.columns
    notes = [text for name, text in taken.attributes.get(NOTES, {}).items() if name in (*columns, *taken.factors)]
    texts = [*terms, *(() if isinstance(model.design, str) else model.design.values())]
    warnings = [*notes, *mean.warnings, *date_origins(texts, columns)]
    return tuple(dict.fromkeys([*warnings, *nearly_numbers(model, columns, taken.rows)]))


def labels_of(columns: dict[str, pd.Series[Any]], first: _Codes) -> pd.DataFrame:
    """The table of the clusters, from the columns of the rows and the first row of each cluster."""
    import pandas as pd

    labels = pd.DataFrame(columns, copy=False).take(first)
    labels.index = range(len(first))  # type: ignore[assignment]
    return labels


def check_numbers_of_clusters(model: DesignedModel, layout: Layout, cluster_group: _Codes) -> None:
    """Refuse standard deviations of which one cluster alone would tell.

    Raises
    ------
    DataError
    """
    free = [name for names in layout.sds for name in names if name not in model.fixed]
    per_group = np.bincount(cluster_group, minlength=len(layout.sds))
    counts: dict[str, int] = {}  # of random effects with each SD: terms may share one, as crossed effects do
    for names, count in zip(layout.sds, per_group, strict=True):
        for name in names:
            counts[name] = counts.get(name, 0) + int(count)
    for name in dict.fromkeys(free):
        if counts[name] < 2:
            raise DataError(
                f"the SD {name!r} cannot be estimated from one cluster (cluster = {list(model.cluster)}); it needs at "
                "least 2: name the cluster columns so that replicates differ, or share one SD between groups or terms"
            )
