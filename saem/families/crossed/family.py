"""The verbs of the family of models with several grouping factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.families.coordinates import Coordinates
from saem.families.crossed import data as rows_and_columns
from saem.families.crossed import describe, leaving_out, other_rows, simulate
from saem.families.crossed.data import CrossedData
from saem.families.crossed.other_rows import CrossedRows
from saem.families.crossed.specification import CrossedModel
from saem.families.designed_nesting import mean_rank
from saem.families.estimated import Effects, Estimated
from saem.families.family import Family

if TYPE_CHECKING:
    from saem.expressions.constraint import Constraints
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class CrossedFamily(Family):
    """Gaussian mixed models with several grouping factors; compiled code is imported when it is asked for."""

    title: ClassVar[str] = "linear mixed model with several grouping factors"
    arrange = staticmethod(rows_and_columns.arrange)
    draw_response = staticmethod(simulate.draw_response)
    describe = staticmethod(describe.describe)
    without_cluster = staticmethod(leaving_out.without_cluster)
    check_nested = staticmethod(leaving_out.check_nested)
    mean_rank = staticmethod(mean_rank)
    arrange_others = staticmethod(other_rows.arrange_others)
    own_rows = staticmethod(other_rows.own_rows)

    @property
    def model(self) -> type[CrossedModel]:
        """See `Family.model`."""
        return CrossedModel

    def build_problem(
        self, data: CrossedData, constraints: Constraints, restricted: bool, coordinates: Coordinates
    ) -> Problem:
        """See `Family.build_problem`."""
        from saem.families.crossed.problem import build_problem

        return build_problem(data, constraints, restricted, coordinates)

    def coordinates_of(self, model: CrossedModel, data: CrossedData, last: int = -1) -> Coordinates:
        """See `Family.coordinates_of`."""
        from saem.families.crossed.coordinates import coordinates_of

        return coordinates_of(model.constraints, data, last)

    def check_conditioning(self, data: CrossedData) -> None:
        """See `Family.check_conditioning`."""
        from saem.families.crossed.coordinates import check_effects
        from saem.families.linear.conditioning import check_conditioning

        check_conditioning(data)
        check_effects(data)

    def check_restricted(self, model: CrossedModel, data: CrossedData) -> None:
        """See `Family.check_restricted`."""
        from saem.families.linear.restriction import check_restricted

        check_restricted(model, data)

    def on_model_scale(self, data: CrossedData, response: Floats, coordinates: Coordinates) -> Floats:
        """See `Family.on_model_scale`."""
        return np.asarray(coordinates.unit * response + coordinates.level(data.mean_design) + data.shift)

    def effects(self, data: CrossedData, x: Floats) -> Effects:
        """See `Family.effects`: of the units."""
        from saem.families.crossed.effects import conditional_moments

        return Effects(*conditional_moments(data, x), data.effect_covariance(x)[data.cluster_group])

    def draw_effects(self, data: CrossedData, x: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """See `Family.draw_effects`."""
        from saem.families.crossed.joint import draw_effects

        return draw_effects(data, x, draws, rng)

    def effect_slopes(self, data: CrossedData, x: Floats) -> Floats:
        """See `Family.effect_slopes`."""
        from saem.families.crossed.effects import conditional_slopes

        return conditional_slopes(data, x)

    def predict(self, rows: CrossedRows, at: Estimated, level: float) -> dict[str, Floats]:
        """See `Family.predict`."""
        from saem.families.crossed.predict import predict

        return predict(rows, at, level)

    def residuals(self, data: CrossedData, x: Floats, effects: Floats, coordinates: Coordinates) -> dict[str, Floats]:
        """See `Family.residuals`."""
        from saem.families.crossed.residuals import residuals

        return residuals(data, x, effects, coordinates)

    def uncorrelated(self, data: CrossedData, x: Floats, responses: Floats) -> Floats:
        """See `Family.uncorrelated`."""
        from saem.families.crossed.residuals import uncorrelated

        return uncorrelated(data, x, responses)

    def fitted(self, data: CrossedData, x: Floats, coordinates: Coordinates) -> Floats:
        """See `Family.fitted`."""
        return self.on_model_scale(data, data.mean_design @ x[data.mean_index], coordinates)

    def spanned(self, data: CrossedData) -> tuple[Floats, Floats]:
        """See `Family.spanned`."""
        from saem.families.linear.restriction import spanned

        return spanned(data)

    def free_means(self, data: CrossedData) -> str:
        """See `Family.free_means`."""
        from saem.families.linear.restriction import free_means

        return free_means(data)

    def size_of_columns(self, problem: Problem, data: CrossedData) -> float:
        """See `Family.size_of_columns`."""
        from saem.families.linear.coordinates import log_volume

        return log_volume(data.mean_design[:, problem.arrays.basis])
