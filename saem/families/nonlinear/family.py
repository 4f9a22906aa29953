"""The verbs of the family of nonlinear mixed-effects models."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.description import Section
from saem.families.estimated import Estimated
from saem.families.family import Family
from saem.families.nonlinear import data as rows_and_columns
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.specification import NonlinearModel

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.nonlinear.evaluation import NonlinearRows
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class NonlinearFamily(Family):
    """Individual parameters with laws, and any density of the rows; compiled code is imported when it is asked for."""

    title: ClassVar[str] = "nonlinear mixed model"

    @property
    def model(self) -> type[NonlinearModel]:
        """See `Family.model`."""
        return NonlinearModel

    def arrange(
        self,
        model: NonlinearModel,
        table: pd.DataFrame,
        drop_missing: bool = False,
        formula_state: dict[str, Any] | None = None,
    ) -> NonlinearData:
        """See `Family.arrange`."""
        return rows_and_columns.arrange(model, table, drop_missing, formula_state)

    def build_problem(
        self, data: NonlinearData, constraints: Constraints, restricted: bool, place: Coordinates
    ) -> Problem:
        """See `Family.build_problem`; coordinates are those of the user."""
        from saem.families.nonlinear.problem import build_problem

        return build_problem(data, constraints)

    def draw_response(
        self, data: NonlinearData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
    ) -> Floats:
        """See `Family.draw_response`."""
        from saem.families.nonlinear.simulate import draw_response

        return draw_response(data, x, for_effects, for_rows)

    def placeholder(self, model: NonlinearModel, table: pd.DataFrame) -> Floats:
        """See `Family.placeholder`."""
        from saem.families.nonlinear.outcomes import placeholder

        return placeholder(model.outcome.distribution, len(table))

    def describe(self, model: NonlinearModel, data: NonlinearData, rows: pd.DataFrame) -> list[Section]:
        """See `Family.describe`."""
        from saem.families.nonlinear.describe import describe

        return describe(model, data)

    def without_cluster(self, data: NonlinearData, cluster: int) -> NonlinearData:
        """See `Family.without_cluster`."""
        from saem.families.nonlinear.leaving_out import without_cluster

        return without_cluster(data, cluster)

    def check_nested(self, small: NonlinearData, large: NonlinearData, with_means: bool = True) -> None:
        """See `Family.check_nested`: the expressions of both models must be the same."""
        a, b = small.structure, large.structure
        same = small.distribution == large.distribution and ast.dump(a.log_density) == ast.dump(b.log_density)
        laws = [
            [(e.name, e.law, e.low, e.high, [(ast.dump(p), ast.dump(c)) for p, c in e.centre]) for e in s.effects]
            for s in (a, b)
        ]
        if not (same and laws[0] == laws[1]):
            raise ModelError(
                "the two nonlinear models have other laws or another outcome, so that nothing says that one is a "
                "special case of the other; write the smaller one as the larger one with a constraint, or with [fixed] "
                "values"
            )

    def mean_rank(self, data: NonlinearData) -> tuple[int, int]:
        """See `Family.mean_rank`: there are no columns, whose rank could be too small."""
        effects = set(data.structure.sd_index.ravel().tolist()) | set(data.structure.corr_index.ravel().tolist())
        count = len([i for i in range(len(data.parameters)) if i not in effects])
        return count, count

    def arrange_others(
        self, model: NonlinearModel, table: pd.DataFrame, data: NonlinearData, others: pd.DataFrame
    ) -> NonlinearRows:
        """See `Family.arrange_others`."""
        from saem.families.nonlinear.other_rows import arrange_others

        return arrange_others(model, table, data, others)

    def own_rows(self, data: NonlinearData) -> NonlinearRows:
        """See `Family.own_rows`."""
        from saem.families.nonlinear.other_rows import own_rows

        return own_rows(data)

    def predict(self, rows: NonlinearRows, at: Estimated, level: float) -> dict[str, Floats]:
        """See `Family.predict`."""
        from saem.families.nonlinear.predict import predict

        return predict(rows, at, level)

    def residuals(self, data: NonlinearData, x: Floats, effects: Floats, place: Coordinates) -> dict[str, Floats]:
        """See `Family.residuals`."""
        from saem.families.nonlinear.residuals import residuals

        return residuals(data, x, effects)

    def fitted(self, data: NonlinearData, x: Floats, place: Coordinates) -> Floats:
        """See `Family.fitted`."""
        from saem.families.nonlinear.residuals import fitted

        return fitted(data, x)
