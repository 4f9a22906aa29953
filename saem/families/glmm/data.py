"""From a generalised linear mixed model and a table to what the nonlinear family consumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing
from saem.expressions.columns import Values, factorize
from saem.families.arranged import DesignedData
from saem.families.carrying import ONE
from saem.families.designed_data import (
    Designs,
    Intake,
    apart_from,
    check_numbers_of_clusters,
    designs_of,
    shared_fields,
    take_in,
)
from saem.families.glmm.columns import columns_of, structure_of
from saem.families.glmm.specification import GlmmModel
from saem.families.nonlinear import support
from saem.families.nonlinear.data import NonlinearData, is_constant
from saem.families.nonlinear.structure import Structure
from saem.specification.layout import Layout, automatic_names

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class GlmmData(NonlinearData, DesignedData):
    """Designs, and the linear predictor that is made of them.

    Attributes
    ----------
    carried : Structure or None
        That with all means in the centres of the random effects, where these are those of clusters.
    """

    carried: Structure | None = None

    @property
    def weights(self) -> _Floats | None:
        """See `NonlinearData.weights`."""
        return self.random_design

    @property
    def trials(self) -> _Floats:
        """The numbers of trials (n,); 1 where the outcome has none."""
        trials = self.outcome.trials
        found = self.columns[f"trials[{trials}]"] if isinstance(trials, str) else float(trials or 1)
        return np.broadcast_to(np.asarray(found, dtype=float), len(self.response))

    def predictor(self, x: _Floats) -> _Floats:
        """The linear predictor (n,) without random effects at parameters (n_parameters,)."""
        eta = self.mean_design @ x[self.mean_index]
        return np.asarray(eta if self.offset is None else eta + self.offset)


def arrange(
    model: GlmmModel, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> GlmmData:
    """See `saem.families.arrange`."""
    taken = take_in(model, with_successes(model, table), drop_missing)
    found = designs_of(model, taken, formula_state)
    if isinstance(model.predictor, str):
        found = replace(found, mean=apart_from(automatic_names(model.random, found.group_levels), found.mean))
    layout = Layout(found.mean.names, model.random, found.group_levels, (), model.fixed)
    n, mean, outcome = len(taken.response), found.mean, model.outcome.row
    sds = layout.sd_index.ravel()
    if outcome.distribution == "bernoulli" and len(found.cluster_group) == n and not layout.parameters.fixed[sds].all():
        raise DataError(
            f"each of the {n} rows is a cluster of its own (cluster = {list(model.cluster)}), and one outcome of 0 or "
            "1 says nothing of a random effect; cluster must name what several rows have in common"
        )
    check_numbers_of_clusters(model, layout, found.cluster_group)
    check_outcomes(model, taken)
    columns = columns_of(model, mean.names, mean.matrix, found.random, mean.offset, taken.columns, taken.rows)
    columns |= {f"response[{model.response}]": taken.response}
    return GlmmData(
        **shared_fields(model, taken, found, layout),
        response=taken.response,
        structure=structure_of(model, layout, mean, centred(model, found)),
        carried=structure_of(model, layout, mean, {}, is_carried=True),
        columns=columns,
        constant_columns=frozenset(
            name for name, values in columns.items() if is_constant(values, found.cluster, found.first)
        ),
        outcome=outcome,
        predictors={},
    )


def with_successes(model: GlmmModel, table: pd.DataFrame) -> pd.DataFrame:
    """A table with 1 for the level of the response that counts as a success, and 0 for others.

    Raises
    ------
    DataError
        When no row has the level.
    """
    success, name = model.outcome.success, model.response
    if success is None or not hasattr(table, "columns") or name not in table.columns:
        return table
    values = factorize(table[name])
    if set(values.levels) <= {"0", "1", "0.0", "1.0"}:  # as a fit keeps them
        return table
    if success not in values.levels:
        raise DataError(
            f"no row has the response {name!r} equal to outcome.success, {success!r}; its levels are "
            f"{listing(values.levels)}"
        )
    ones = np.array([float(level == success) for level in values.levels] + [np.nan])[values.codes]
    return table.assign(**{name: ones})


def check_outcomes(model: GlmmModel, taken: Intake) -> None:
    """Refuse responses that the distribution cannot give.

    Raises
    ------
    DataError
        Naming a row.
    """
    outcome = model.outcome.row
    read: dict[str, Values] = {model.response: taken.response}
    read |= {name: support.numbers(name, taken.columns[name], taken.rows) for name in outcome.columns}
    try:
        support.check(outcome, model.response, read, taken.rows)
    except DataError as error:
        hint = "; of a response of text, outcome.success says which level counts as 1"
        raise DataError(f"{error}{hint if outcome.distribution == 'bernoulli' else ''}") from None


def centred(model: GlmmModel, found: Designs) -> dict[str, str]:
    """Means that are added to a random effect, wherever it acts: mean -> random term.

    They are those that act on the rows on which the term does, and beside a random intercept all that are constant
    within clusters. These parameters are then the centre of what is drawn (`saem.families.nonlinear.centring`).
    """
    where: dict[str, str] = {}
    for name, label, column in zip(found.mean.names, found.mean.labels, found.mean.matrix.T, strict=True):
        for term, text in model.random.terms.items():
            alike = text == label or (text in ONE and label in ONE)
            if alike or (text in ONE and is_constant(column, found.cluster, found.first)):
                where.setdefault(name, term)
    return where
