"""The verbs of the linear family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.designed_nesting import check_nested, mean_rank
from saem.families.estimated import Effects, Estimated
from saem.families.family import Family
from saem.families.linear import data as rows_and_columns
from saem.families.linear import describe, leaving_out, other_rows, simulate
from saem.families.linear.data import LinearData
from saem.families.linear.other_rows import LinearRows
from saem.families.linear.specification import LinearModel
from saem.specification.grouping import has_factors

if TYPE_CHECKING:
    from saem.expressions.constraint import Constraints
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class LinearFamily(Family):
    """Gaussian mixed models; what needs compiled code is imported when it is asked for."""

    title: ClassVar[str] = "linear mixed model"
    arrange = staticmethod(rows_and_columns.arrange)
    draw_response = staticmethod(simulate.draw_response)
    describe = staticmethod(describe.describe)
    without_cluster = staticmethod(leaving_out.without_cluster)
    mean_rank = staticmethod(mean_rank)
    arrange_others = staticmethod(other_rows.arrange_others)
    own_rows = staticmethod(other_rows.own_rows)

    @property
    def model(self) -> type[LinearModel]:
        """See `Family.model`."""
        return LinearModel

    def reader(self, said: Mapping[str, Any]) -> str:
        """See `Family.reader`: several grouping factors, and residuals that say more, are those of other families."""
        residual = said.get("residual")
        if has_factors(said.get("random")):
            return "crossed"
        if isinstance(residual, Mapping):
            sd = residual.get("sd")
            if "correlation" in residual or "df" in residual or (isinstance(sd, str) and not sd.strip().isidentifier()):
                return "extended"
        return super().reader(said)

    def build_problem(
        self, data: LinearData, constraints: Constraints, restricted: bool, coordinates: Coordinates
    ) -> Problem:
        """See `Family.build_problem`."""
        from saem.families.linear.problem import build_problem

        return build_problem(data, constraints, restricted, coordinates)

    def coordinates_of(self, model: LinearModel, data: LinearData, last: int = -1) -> Coordinates:
        """See `Family.coordinates_of`."""
        from saem.families.linear.choosing import coordinates_of

        return coordinates_of(model.constraints, data, last)

    def check_restricted(self, model: LinearModel, data: LinearData) -> None:
        """See `Family.check_restricted`."""
        from saem.families.linear.restriction import check_restricted

        check_restricted(model, data)

    def check_conditioning(self, data: LinearData) -> None:
        """See `Family.check_conditioning`."""
        from saem.families.linear.conditioning import check_conditioning

        check_conditioning(data)

    def on_model_scale(self, data: LinearData, response: Floats, coordinates: Coordinates) -> Floats:
        """See `Family.on_model_scale`."""
        level = coordinates.level(data.mean_design)
        level = level if data.offset is None else level + data.offset
        return np.asarray(coordinates.unit * response + level)

    def check_nested(self, small: LinearData, large: LinearData, with_means: bool = True) -> None:
        """See `Family.check_nested`."""
        if not np.array_equal(
            small.residual_sds(np.ones(len(small.parameters))), large.residual_sds(np.ones(len(large.parameters)))
        ):
            raise ModelError("the two models have different prior weights; they are not nested")
        rows = small.residual_index[small.residual_group], large.residual_index[large.residual_group]
        check_nested(small, large, with_means, [rows])

    def effects(self, data: LinearData, x: Floats) -> Effects:
        """See `Family.effects`."""
        from saem.families.linear.effects import conditional_moments

        return Effects(*conditional_moments(data, x), data.effect_covariance(x)[data.cluster_group])

    def effect_slopes(self, data: LinearData, x: Floats) -> Floats:
        """See `Family.effect_slopes`."""
        from saem.families.linear.effects import conditional_slopes

        return conditional_slopes(data, x)

    def predict(self, rows: LinearRows, at: Estimated, level: float) -> dict[str, Floats]:
        """See `Family.predict`."""
        from saem.families.linear.predict import predict

        return predict(rows, at, level)

    def residuals(self, data: LinearData, x: Floats, effects: Floats, coordinates: Coordinates) -> dict[str, Floats]:
        """See `Family.residuals`."""
        from saem.families.linear.residuals import residuals

        return residuals(data, x, effects, coordinates)

    def uncorrelated(self, data: LinearData, x: Floats, responses: Floats) -> Floats:
        """See `Family.uncorrelated`."""
        from saem.families.linear.residuals import uncorrelated

        return uncorrelated(data, x, responses)

    def fitted(self, data: LinearData, x: Floats, coordinates: Coordinates) -> Floats:
        """See `Family.fitted`."""
        return self.on_model_scale(data, data.mean_design @ x[data.mean_index], coordinates)

    def spanned(self, data: LinearData) -> tuple[Floats, Floats]:
        """See `Family.spanned`."""
        from saem.families.linear.restriction import spanned

        return spanned(data)

    def free_means(self, data: LinearData) -> str:
        """See `Family.free_means`."""
        from saem.families.linear.restriction import free_means

        return free_means(data)

    def size_of_columns(self, problem: Problem, data: LinearData) -> float:
        """See `Family.size_of_columns`."""
        from saem.families.linear.restriction import size_of_columns

        return size_of_columns(problem, data)
