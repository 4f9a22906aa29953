"""From a generalised linear mixed model and a table to validated arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.intake import is_number
from saem.data.table import Rows
from saem.errors import DataError, listing
from saem.expressions.columns import Factor, Values, factorize
from saem.families.arranged import DesignedData
from saem.families.designed_data import apart_from, check_numbers_of_clusters, designs_of, shared_fields, take_in
from saem.families.glmm.specification import GlmmModel
from saem.specification.layout import Layout, automatic_names

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]
LARGEST = 1e12  # a count: beyond, its parts of the likelihood lose their digits


@dataclass(frozen=True, eq=False, kw_only=True)
class GlmmData(DesignedData):
    """What the family consumes: whole numbers as responses.

    Parameters
    ----------
    distribution : str
        "bernoulli", "binomial" or "poisson".
    trials : (n,) ndarray
        Of a binomial outcome; 1 elsewhere.
    """

    distribution: str
    trials: _Floats

    def predictor(self, x: _Floats, effects: _Floats) -> _Floats:
        """The linear predictor (n,) at parameters (n_parameters,) with random effects (C, q)."""
        eta = self.mean_design @ x[self.mean_index]
        eta = eta if self.offset is None else eta + self.offset
        return np.asarray(eta + np.einsum("ij,ij->i", self.random_design, effects[self.cluster]))


def arrange(
    model: GlmmModel, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> GlmmData:
    """See `saem.families.arrange`."""
    taken = take_in(model, with_successes(model, table), drop_missing)
    found = designs_of(model, taken, formula_state)
    if isinstance(model.predictor, str):
        found = replace(found, mean=apart_from(automatic_names(model.random, found.group_levels), found.mean))
    layout = Layout(found.mean.names, model.random, found.group_levels, (), model.fixed)
    n, distribution = len(taken.response), model.outcome.distribution
    is_alone = len(found.cluster_group) == n and bool(set(layout.sd_index.ravel().tolist()) - fixed(layout))
    if distribution == "bernoulli" and is_alone:
        raise DataError(
            f"each of the {n} rows is a cluster of its own (cluster = {list(model.cluster)}), and one outcome of 0 or "
            "1 says nothing of a random effect; cluster must name what several rows have in common"
        )
    check_numbers_of_clusters(model, layout, found.cluster_group)
    trials = trials_of(model, taken.columns, taken.rows, n)
    check_outcomes(model, taken.response, trials, taken.rows)
    return GlmmData(
        **shared_fields(model, taken, found, layout), response=taken.response, distribution=distribution, trials=trials
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


def fixed(layout: Layout) -> set[int]:
    """The positions of the fixed parameters."""
    return set(np.flatnonzero(layout.parameters.fixed).tolist())


def trials_of(model: GlmmModel, columns: dict[str, Values], rows: Rows, n: int) -> _Floats:
    """The numbers of trials (n,).

    Raises
    ------
    DataError
        Naming a row whose number is none.
    """
    trials = model.outcome.trials
    if not isinstance(trials, str):
        return np.full(n, float(trials or 1))
    values = columns[trials]
    if isinstance(values, Factor):
        is_text = np.array([not is_number(level) for level in values.levels])[values.codes]
        text = values.levels[int(values.codes[int(np.argmax(is_text))])]
        raise DataError(f"the trials {trials!r} must be whole numbers; got the text {text!r}: convert the column")
    found = np.ascontiguousarray(values, dtype=np.float64)
    bad = (found < 1.0) | (found != np.floor(found)) | (found > LARGEST)
    if bad.any():
        raise DataError(
            f"the trials {trials!r} must be whole numbers from 1 to {LARGEST:g}; got {found[np.argmax(bad)]:g} in "
            f"{rows.first(bad)}"
        )
    return found


def check_outcomes(model: GlmmModel, response: _Floats, trials: _Floats, rows: Rows) -> None:
    """Refuse responses that the distribution cannot give.

    Raises
    ------
    DataError
        Naming a row.
    """
    distribution = model.outcome.distribution
    wanted = {
        "bernoulli": "0 or 1",
        "binomial": f"whole numbers from 0 to the number of trials ({model.outcome.trials})",
        "poisson": f"whole numbers from 0 to {LARGEST:g}",
    }[distribution]
    most = LARGEST if distribution == "poisson" else trials
    bad = (response < 0.0) | (response != np.floor(response)) | (response > most)
    if bad.any():
        hint = ""
        if distribution == "bernoulli":
            hint = "; of a response of text, outcome.success says which level counts as 1"
        raise DataError(
            f"{distribution} outcomes {model.response!r} must be {wanted}; got {response[np.argmax(bad)]:g} in "
            f"{rows.first(bad)}{hint}"
        )
