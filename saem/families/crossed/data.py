"""From a model with several grouping factors and a table to validated arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.designs import check_sizes, expression_columns, fixed_design
from saem.data.groups import check_constant, cluster_codes, repeated_rows
from saem.data.intake import table_of
from saem.data.weights import check_weights
from saem.errors import DataError
from saem.expressions.constraint import parameters_of
from saem.families.arranged import Arranged
from saem.families.crossed.layout import ABSENT, Block, Layout, automatic_names
from saem.families.crossed.specification import CrossedModel
from saem.families.designed_data import Intake, apart_from, formula_warnings, grouped, take_in
from saem.families.gaussian_data import GaussianData
from saem.families.levels import connected, level_label

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.columns import Factor
    from saem.specification.grouping import GroupingFactor

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossedData(GaussianData):
    """What the family consumes.

    A *unit* is a level of a factor: what has random effects. Those of one factor come one after the other. Where other
    families have clusters this one has units: labels, variance groups (the blocks of the model) and random effects are
    theirs; `cluster` (n,) is the unit of the first factor. `random_design` has a column for each term of any factor.

    Parameters
    ----------
    unit : (n, F) ndarray of int64
        The unit of each factor that a row belongs to.
    component : (n,) ndarray of int64
        Rows of different components have no unit in common: they are independent.
    """

    unit: _Codes
    component: _Codes

    @property
    def rows_of_each(self) -> _Codes:
        """See `Arranged.rows_of_each`."""
        return np.bincount(self.unit.ravel(), minlength=len(self.cluster_group))

    def rows_in(self, cluster: int) -> NDArray[np.bool_]:
        """See `Arranged.rows_in`: of a level."""
        return np.asarray(np.any(self.unit == cluster, axis=1))

    def has_clusters_of(self, other: Arranged) -> bool:
        """See `Arranged.has_clusters_of`: factors may stand in any order, and a larger model may have more."""
        return len(self.response) == len(other.response)

    def has_term(self) -> NDArray[np.bool_]:
        """Which terms (B, q) a block has."""
        return np.asarray(self.sd_index != ABSENT)

    def effect_covariance(self, x: _Floats) -> _Floats:
        """See `DesignedData.effect_covariance`; zero for terms that a block has not."""
        sd = np.where(self.has_term(), x[self.sd_index], 0.0)
        correlation = np.where(self.corr_index >= 0, x[self.corr_index], 0.0) + np.eye(sd.shape[1])
        return np.asarray(sd[:, :, None] * sd[:, None, :] * correlation)


def arrange(
    model: CrossedModel, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> CrossedData:
    """See `saem.families.arrange`."""
    taken = take_in(model, table, drop_missing)
    n, columns, rows = len(taken.response), taken.columns, taken.rows
    named = {used for name, text in model.constraints.items() for used in parameters_of(name, text)}
    mean = fixed_design(model.design, columns, n, rows, formula_state, named | set(model.fixed))
    units = [_units(factor, taken) for factor in model.random.values()]
    levels = {each.factor.name: each.levels for each in units}
    residual_group, residual_levels = grouped(model.residual.by, model.residual.sd, taken.factors, n)
    if isinstance(model.mean, str):
        names = automatic_names(model.random, levels)
        names |= set(model.residual.sd_names(residual_levels)) if model.residual.sd is None else set()
        mean = apart_from(names, mean)
    blocks = [Block(each.factor, level) for each in units for level in each.levels]
    layout = Layout(mean.names, blocks, model.residual.sd_names(residual_levels), model.fixed)
    random = _random_design(model, taken)
    check_sizes(mean.names, mean.matrix)
    check_sizes(model.term_names, random)
    offsets = np.cumsum([0, *(len(each.first) for each in units)])
    unit = np.stack([each.code + first for each, first in zip(units, offsets[:-1], strict=True)], axis=1)
    before = np.cumsum([0, *(len(each.levels) for each in units)])
    block = np.concatenate([each.group + first for each, first in zip(units, before[:-1], strict=True)])
    _check_counts(model, layout, units, block, n, mean.matrix)
    response = taken.response if mean.offset is None else taken.response - mean.offset
    check_sizes((model.response,), response[:, None])
    weights = model.residual.weights
    repeated = repeated_rows(response, cluster_codes([taken.factors[name] for name in model.cluster])[0], taken.rows)
    texts = [text for factor in model.random.values() for text in factor.terms.values()]
    return CrossedData(
        parameters=layout.parameters,
        response=response,
        term_names=model.term_names,
        cluster=units[0].code,
        cluster_labels=partial(_labels, [(each.factor, each.first) for each in units], taken.factors),
        cluster_group=block,
        group_levels=tuple(each.label for each in blocks),
        warnings=(*([] if repeated is None else [repeated]), *formula_warnings(model, texts, taken, mean)),
        n_dropped=taken.n_dropped,
        formula_state=mean.state,
        unclear={n: label for n, label in zip(mean.names, mean.labels, strict=True) if n in mean.unclear},
        table=partial(table_of, taken.series, taken.attributes),
        mean_design=mean.matrix,
        random_design=random,
        mean_index=np.arange(len(mean.names), dtype=np.int64),
        mean_labels=mean.labels,
        sd_index=layout.sd_index,
        corr_index=layout.corr_index,
        offset=mean.offset,
        unit=unit,
        component=connected(list(unit.T)),
        residual_group=residual_group,
        residual_levels=residual_levels,
        residual_index=layout.residual_index,
        weights=None if weights is None else check_weights(weights, taken.columns[weights], taken.rows),
    )


@dataclass(frozen=True, eq=False)
class _Units:
    """The units of one factor.

    Attributes
    ----------
    factor : GroupingFactor
    code : (n,) ndarray of int64
        Unit of each row, from 0.
    first : (U,) ndarray of int64
        First row of each.
    group : (U,) ndarray of int64
        Variance group.
    levels : tuple of str
        Of the variance groups.
    """

    factor: GroupingFactor
    code: _Codes
    first: _Codes
    group: _Codes
    levels: tuple[str, ...]


def _units(factor: GroupingFactor, taken: Intake) -> _Units:
    """The units of a factor.

    Raises
    ------
    DataError
        When a unit is in several variance groups.
    """
    code, first = cluster_codes([taken.factors[name] for name in factor.cluster])
    group, levels = grouped(factor.by, factor.sd, taken.factors, len(code))
    each = group[first]
    if factor.by is not None:
        each = check_constant(group, code, first, (factor.by, factor.cluster), taken.rows)
    return _Units(factor, code, first, each, levels)


def _random_design(model: CrossedModel, taken: Intake) -> _Floats:
    """A column (n, q) for each term of any factor.

    Raises
    ------
    DataError
        When two factors mean different things by one name.
    """
    said: dict[str, str] = {}
    for factor in model.random.values():
        for name, text in factor.terms.items():
            if said.setdefault(name, text) != text:
                raise DataError(
                    f"the random term {name!r} is {said[name]!r} in one block and {text!r} in another "
                    f"(random.{factor.name}): give them different names"
                )
    return expression_columns(said, taken.columns, len(taken.response), taken.rows, "random term")


def _labels(units: list[tuple[GroupingFactor, _Codes]], factors: dict[str, Factor]) -> pd.DataFrame:
    """The table of the units: factor and level, in words."""
    import pandas as pd

    names: list[str] = []
    levels: list[str] = []
    for factor, first in units:
        names += [factor.name] * len(first)
        each = [np.array(factors[name].levels, dtype=object)[factors[name].codes[first]] for name in factor.cluster]
        levels += [level_label(combination) for combination in zip(*each, strict=True)]
    return pd.DataFrame({"factor": names, "level": levels})


def _check_counts(
    model: CrossedModel, layout: Layout, units: list[_Units], block: _Codes, n: int, mean_design: _Floats
) -> None:
    """Refuse tables that are too small for the variances or the means.

    Raises
    ------
    DataError
    """
    for each in units:
        free = any(name not in model.fixed for names in layout.sds for name in names)
        if len(each.first) == n and free and any(name not in model.fixed for name in layout.residual_sds):
            raise DataError(
                f"each of the {n} rows is a level of its own of the factor {each.factor.name!r} (cluster = "
                f"{list(each.factor.cluster)}), so that its random effects cannot be told from the residual error; "
                "cluster must name what several rows have in common"
            )
    counts: dict[str, int] = {}
    for names, count in zip(layout.sds, np.bincount(block, minlength=len(layout.sds)), strict=True):
        for name in names:
            counts[name] = counts.get(name, 0) + int(count)
    for name, count in counts.items():
        if name not in model.fixed and count < 2:
            raise DataError(
                f"the SD {name!r} cannot be estimated from one level of a grouping factor; it needs at least 2: name "
                "other cluster columns, share one SD between factors or groups, or give it a value in [fixed]"
            )
    if n <= mean_design.shape[1]:
        rank = int(np.linalg.matrix_rank(mean_design))
        if n <= rank:
            raise DataError(f"too few rows: {n} rows for {rank} means leave nothing to estimate a variance from")
