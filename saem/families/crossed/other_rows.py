"""Rows that were not there when a model was fitted, arranged as those of the fit were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.weights import check_weights
from saem.errors import DataError
from saem.expressions.columns import factorize
from saem.families.crossed.data import CrossedData
from saem.families.crossed.specification import CrossedModel
from saem.families.designed_others import evaluated, formula_design, group_of, read_others
from saem.families.levels import level_label
from saem.specification.grouping import GroupingFactor

if TYPE_CHECKING:
    import pandas as pd

    from saem.data.table import Rows
    from saem.expressions.columns import Values

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossedRows:
    """m rows without a response, for the parameters of a `CrossedData`.

    Attributes
    ----------
    mean_design : (m, p) ndarray
    random_design : (m, q) ndarray
    unit : (m, F) ndarray of int64
        The unit of each factor that a row is of; -1 for one that is not in the fit.
    block : (m, F) ndarray of int64
        Its block.
    offset : (m,) ndarray or None
        What a formula adds to the fixed part.
    residual_group : (m,) ndarray of int64
    weights : (m,) ndarray or None
        Prior weights; None where all are 1.
    """

    mean_design: _Floats
    random_design: _Floats
    unit: _Codes
    block: _Codes
    offset: _Floats | None
    residual_group: _Codes
    weights: _Floats | None

    @property
    def cluster(self) -> _Codes:
        """The unit of the first factor."""
        return self.unit[:, 0]

    def residual_sds(self, data: CrossedData, x: _Floats) -> _Floats:
        """The residual standard deviation (m,) of every row at parameters (n_parameters,) of the fit."""
        sds: _Floats = x[data.residual_index][self.residual_group]
        return sds if self.weights is None else sds / np.sqrt(self.weights)


def arrange_others(model: CrossedModel, table: pd.DataFrame, data: CrossedData, others: pd.DataFrame) -> CrossedRows:
    """See `saem.families.family.Family.arrange_others`.

    A level of a factor that is not in the fit is a new one, and all are where its columns are not there.
    """
    strict = list(dict.fromkeys([*model.design_columns, *model.group_columns, *model.number_columns]))
    columns, rows = read_others(model.cluster, strict, table, others, are_several=True)
    terms: dict[str, str] = {}
    for factor in model.random.values():
        terms |= factor.terms
    offset = None
    if isinstance(model.design, str):
        mean, offset = formula_design(model.design, len(others), columns, data.formula_state, rows)
    else:
        mean = evaluated(model.design, columns, len(others), rows)
    labels: Any = data.cluster_labels
    known = {key: u for u, key in enumerate(zip(labels["factor"], labels["level"], strict=True))}
    unit, block = [], []
    first = 0
    for factor in model.random.values():
        own = _units(factor, known, others)
        levels = blocks_of(factor, data, first)
        group = first + group_of(columns, factor.by, levels, len(others))
        moved = (own >= 0) & (data.cluster_group[own] != group)
        if moved.any():
            raise DataError(
                f"a level of {factor.name!r} of {rows.first(moved)} was in another variance group of {factor.by!r} in "
                "the data of the fit; give it a name of its own if it is another one"
            )
        unit.append(own)
        block.append(group)
        first += len(levels)
    weights = model.residual.weights
    return CrossedRows(
        mean_design=mean,
        random_design=evaluated(terms, columns, len(others), rows),
        unit=np.stack(unit, axis=1),
        block=np.stack(block, axis=1),
        offset=offset,
        residual_group=group_of(columns, model.residual.by, data.residual_levels, len(others)),
        weights=None if weights is None else _weights(weights, columns, rows),
    )


def _weights(name: str, columns: dict[str, Values], rows: Rows) -> _Floats:
    return check_weights(name, columns[name], rows)


def blocks_of(factor: GroupingFactor, data: CrossedData, first: int) -> tuple[str, ...]:
    """The levels of the variance groups of a factor whose first block is that of a number."""
    if factor.by is None:
        return ("",)
    start = f"{factor.name} where {factor.by} is "
    own = [label for label in data.group_levels[first:] if label.startswith(start)]
    return tuple(label.removeprefix(start) for label in own)


def _units(factor: GroupingFactor, known: dict[tuple[str, str], int], others: pd.DataFrame) -> _Codes:
    """The unit (m,) of each row; -1 where it is none of the fit's."""
    if any(name not in others.columns for name in factor.cluster):
        return np.full(len(others), -1, dtype=np.int64)
    texts = []
    for name in factor.cluster:
        found = factorize(others[name])
        levels = [*found.levels, None]
        texts.append([levels[code] for code in found.codes])
    keys = [None if None in row else level_label(row) for row in zip(*texts, strict=True)]
    return np.array([-1 if key is None else known.get((factor.name, key), -1) for key in keys], dtype=np.int64)


def own_rows(data: CrossedData) -> CrossedRows:
    """The rows of the fit itself."""
    return CrossedRows(
        mean_design=data.mean_design,
        random_design=data.random_design,
        unit=data.unit,
        block=data.cluster_group[data.unit],
        offset=data.offset,
        residual_group=data.residual_group,
        weights=data.weights,
    )
