"""The verbs of the family of generalised linear mixed models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.description import Section
from saem.families.designed_nesting import check_nested, mean_rank
from saem.families.estimated import Estimated
from saem.families.family import Family
from saem.families.glmm import data as rows_and_columns
from saem.families.glmm import leaving_out, other_rows
from saem.families.glmm.data import GlmmData
from saem.families.glmm.other_rows import GlmmRows
from saem.families.glmm.specification import GlmmModel

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class GlmmFamily(Family):
    """Bernoulli, binomial and Poisson outcomes; what needs compiled code or SciPy is imported when it is asked for."""

    title: ClassVar[str] = "generalised linear mixed model"
    gives_whole_numbers: ClassVar[bool] = True

    @property
    def model(self) -> type[GlmmModel]:
        """See `Family.model`."""
        return GlmmModel

    def arrange(
        self,
        model: GlmmModel,
        table: pd.DataFrame,
        drop_missing: bool = False,
        formula_state: dict[str, Any] | None = None,
    ) -> GlmmData:
        """See `Family.arrange`."""
        return rows_and_columns.arrange(model, table, drop_missing, formula_state)

    def build_problem(self, data: GlmmData, constraints: Constraints, restricted: bool, place: Coordinates) -> Problem:
        """See `Family.build_problem`; coordinates are those of the user."""
        from saem.families.glmm.problem import build_problem

        return build_problem(data, constraints)

    def draw_response(
        self, data: GlmmData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
    ) -> Floats:
        """See `Family.draw_response`."""
        from saem.families.glmm.simulate import draw_response

        return draw_response(data, x, for_effects, for_rows)

    def placeholder(self, model: GlmmModel, table: pd.DataFrame) -> Floats:
        """See `Family.placeholder`."""
        from saem.families.glmm.simulate import placeholder

        trials = model.outcome.trials
        given: Any = 1 if trials is None or isinstance(trials, str) else trials
        if isinstance(trials, str) and trials in table.columns and table[trials].dtype.kind in "iuf":
            given = table[trials].to_numpy()
        return placeholder(model.outcome.distribution, np.broadcast_to(given, len(table)))

    def describe(self, model: GlmmModel, data: GlmmData, rows: pd.DataFrame) -> list[Section]:
        """See `Family.describe`."""
        from saem.families.designed_describe import cells, clusters, parameters

        outcome = f"{model.outcome.distribution} outcomes; the {model.outcome.link} of their mean is linear"
        found = [parameters(model, data), clusters(model, data, (outcome,))]
        return [*found, cells(model, rows, data, "predictor")]

    def without_cluster(self, data: GlmmData, cluster: int) -> GlmmData:
        """See `Family.without_cluster`."""
        return leaving_out.without_cluster(data, cluster)

    def check_nested(self, small: GlmmData, large: GlmmData, with_means: bool = True) -> None:
        """See `Family.check_nested`."""
        if small.distribution != large.distribution or not np.array_equal(small.trials, large.trials):
            raise ModelError("the two models have outcomes of different distributions or trials; they are not nested")
        check_nested(small, large, with_means)

    def mean_rank(self, data: GlmmData) -> tuple[int, int]:
        """See `Family.mean_rank`."""
        return mean_rank(data)

    def arrange_others(self, model: GlmmModel, table: pd.DataFrame, data: GlmmData, others: pd.DataFrame) -> GlmmRows:
        """See `Family.arrange_others`."""
        return other_rows.arrange_others(model, table, data, others)

    def own_rows(self, data: GlmmData) -> GlmmRows:
        """See `Family.own_rows`."""
        return other_rows.own_rows(data)

    def predict(self, rows: GlmmRows, at: Estimated, level: float) -> dict[str, Floats]:
        """See `Family.predict`."""
        from saem.families.glmm.predict import predict

        return predict(rows, at, level)

    def residuals(self, data: GlmmData, x: Floats, effects: Floats, place: Coordinates) -> dict[str, Floats]:
        """See `Family.residuals`."""
        from saem.families.glmm.residuals import residuals

        return residuals(data, x, effects)

    def fitted(self, data: GlmmData, x: Floats, place: Coordinates) -> Floats:
        """See `Family.fitted`."""
        from saem.families.glmm.residuals import fitted

        return fitted(data, x)
