"""The verbs of the family of generalised linear mixed models: where they differ from those of nonlinear ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.description import Section
from saem.families.designed_leaving_out import check_left, fields_without
from saem.families.designed_nesting import check_nested, mean_rank
from saem.families.designed_others import arrange_designed
from saem.families.glmm import data as rows_and_columns
from saem.families.glmm.columns import columns_of
from saem.families.glmm.data import GlmmData
from saem.families.glmm.specification import GlmmModel
from saem.families.nonlinear.evaluation import NonlinearRows
from saem.families.nonlinear.family import NonlinearFamily
from saem.families.nonlinear.leaving_out import columns_without
from saem.families.problem import Likelihood
from saem.specification.grouping import has_factors

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.problem import Problem

Floats = NDArray[np.float64]
FEW_EFFECTS = 2  # of a cluster: whose integrals are cheap, so that all maxima are looked for by rules that suffice


class GlmmFamily(NonlinearFamily):
    """A short way to write nonlinear models with a linear predictor, by designs of means and of random effects."""

    title: ClassVar[str] = "generalised linear mixed model"
    takes_time: ClassVar[bool] = False

    def reader(self, said: Mapping[str, Any]) -> str:
        """See `Family.reader`: blocks of random effects are those of several grouping factors."""
        return "crossed_glmm" if has_factors(said.get("random")) else super().reader(said)

    @property
    def model(self) -> type[GlmmModel]:
        """See `Family.model`."""
        return GlmmModel

    def arrange(
        self,
        model: Any,
        table: pd.DataFrame,
        drop_missing: bool = False,
        formula_state: dict[str, Any] | None = None,
    ) -> GlmmData:
        """See `Family.arrange`."""
        return rows_and_columns.arrange(model, table, drop_missing, formula_state)

    def build_problem(self, data: Any, constraints: Constraints, restricted: bool, coordinates: Coordinates) -> Problem:
        """See `Family.build_problem`."""
        from saem.families.carrying import with_little_missing
        from saem.families.glmm.expected import unit_information
        from saem.families.glmm.start import effect_sizes, first_laws, sizes, starting_values

        data = replace(data, structure=replace(data.structure, start=starting_values(data)))
        inside = data if data.carried is None else with_little_missing(data, data.carried, *first_laws(data))
        problem = super().build_problem(inside, constraints, restricted, coordinates)
        scale = np.ones(len(data.parameters))
        scale[data.mean_index] = 1.0 / sizes(data.mean_design)
        there = data.sd_index >= 0
        scale[data.sd_index[there]] = np.broadcast_to(1.0 / effect_sizes(data), there.shape)[there]
        own = problem.likelihood if len(data.term_names) > FEW_EFFECTS else Likelihood("quadrature")
        likelihood = replace(own, expected_information=lambda x: unit_information(data, x))
        return replace(problem, scale=scale, likelihood=likelihood)

    def placeholder(self, model: Any, table: pd.DataFrame) -> Floats:
        """See `Family.placeholder`."""
        from saem.families.nonlinear.outcomes import placeholder

        return placeholder(model.outcome.distribution, len(table))

    def recorded(self, model: Any, table: pd.DataFrame, response: Floats) -> dict[str, NDArray[Any]]:
        """See `Family.recorded`."""
        return {model.response: response.astype(np.int64)}

    def beside(self, model: Any, table: pd.DataFrame) -> dict[str, NDArray[Any]]:
        """See `Family.beside`."""
        return {}

    def describe(self, model: Any, data: Any, rows: pd.DataFrame) -> list[Section]:
        """See `Family.describe`."""
        from saem.families.designed_describe import cells, clusters, parameters

        outcome = f"{model.outcome.distribution} outcomes; the {model.outcome.link} of their mean is linear"
        found = [parameters(model, data), clusters(model, data, (outcome,))]
        return [*found, cells(model, rows, data, "predictor")]

    def without_cluster(self, data: Any, cluster: int) -> GlmmData:
        """See `Family.without_cluster`."""
        gathered = None if data.gathered is None else data.gathered.take(data.cluster != cluster)
        columns = columns_without(data, cluster)
        left: GlmmData = replace(data, **fields_without(data, cluster), columns=columns, gathered=gathered)
        check_left(left)
        return left

    def check_nested(self, small: Any, large: Any, with_means: bool = True) -> None:
        """See `Family.check_nested`."""
        if small.outcome.distribution != large.outcome.distribution or not np.array_equal(small.trials, large.trials):
            raise ModelError("the two models have outcomes of different distributions or trials; they are not nested")
        check_nested(small, large, with_means)

    def mean_rank(self, data: Any) -> tuple[int, int]:
        """See `Family.mean_rank`."""
        return mean_rank(data)

    def arrange_others(self, model: Any, table: pd.DataFrame, data: Any, others: pd.DataFrame) -> NonlinearRows:
        """See `Family.arrange_others`."""
        found = arrange_designed(model, table, data, others)
        rows, names = found.designed, [data.parameters.names[i] for i in data.mean_index]
        columns = columns_of(model, names, rows.mean_design, rows.random_design, rows.offset, found.columns, found.rows)
        return NonlinearRows(data.structure, columns, rows.cluster, rows.group, rows.random_design)
