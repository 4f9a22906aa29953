"""The verbs of the family of nonlinear mixed-effects models."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.description import Section
from saem.families.estimated import Effects, Estimated
from saem.families.family import Family, IndividualLaw
from saem.families.nonlinear import data as rows_and_columns
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.specification import NonlinearModel

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.levels import Listed
    from saem.families.model import Model
    from saem.families.nonlinear.evaluation import NonlinearRows
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class NonlinearFamily(Family):
    """Individual parameters with laws, and any density of the rows; compiled code is imported when it is asked for."""

    title: ClassVar[str] = "nonlinear mixed model"
    takes_time: ClassVar[bool] = True
    arrange = staticmethod(rows_and_columns.arrange)

    @property
    def model(self) -> type[Model]:
        """See `Family.model`."""
        return NonlinearModel

    def build_problem(
        self, data: NonlinearData, constraints: Constraints, restricted: bool, coordinates: Coordinates
    ) -> Problem:
        """See `Family.build_problem`; coordinates are those of the user."""
        from saem.families.nonlinear.basins import other_maxima
        from saem.families.nonlinear.problem import build_problem
        from saem.families.nonlinear.start import NoDensity
        from saem.families.nonlinear.undefined import undefined_rows

        try:
            problem = build_problem(data, constraints)
        except NoDensity as error:
            raise undefined_rows(data, error.x) from None
        assert problem.clusters.joint is not None
        elsewhere = partial(other_maxima, problem.clusters.joint(), problem.parameters, problem.starts.first)
        return replace(problem, starts=replace(problem.starts, elsewhere=elsewhere))

    def draw_response(
        self, data: NonlinearData, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
    ) -> Floats:
        """See `Family.draw_response`."""
        from saem.families.nonlinear.simulate import draw_response

        return draw_response(data, x, for_effects, for_rows)

    def placeholder(self, model: NonlinearModel, table: pd.DataFrame) -> Floats:
        """See `Family.placeholder`."""
        from saem.families.nonlinear.outcomes import placeholder, placeholder_between

        ends = model.outcome.interval
        if ends is not None and all(end in table.columns for end in ends):
            return placeholder_between(*(table[end].to_numpy(dtype=float) for end in ends))
        return placeholder(model.outcome.distribution, len(table))

    def recorded(self, model: NonlinearModel, table: pd.DataFrame, response: Floats) -> dict[str, NDArray[Any]]:
        """See `Family.recorded`."""
        from saem.families.nonlinear.recording import recorded

        return recorded(model, table, response)

    def beside(self, model: NonlinearModel, table: pd.DataFrame) -> dict[str, NDArray[Any]]:
        """See `Family.beside`: all is an event where the design does not say when it would have been censored."""
        event = model.outcome.event
        return {} if event is None or event in table.columns else {event: np.ones(len(table), dtype=np.int64)}

    def censored(self, model: NonlinearModel, data: NonlinearData) -> NDArray[np.bool_] | None:
        """See `Family.censored`."""
        from saem.families.nonlinear.support import censored

        return None if data.outcome.event is not None else censored(data.outcome, data.response, data.columns)

    def events(self, model: NonlinearModel, data: NonlinearData) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """See `Family.events`."""
        from saem.families.nonlinear.support import happened, telling

        outcome = data.outcome
        if not outcome.about.is_time or (outcome.event is None and outcome.about.can_be_censored):
            return None
        happens = happened(outcome, data.response, data.columns)
        return happens, telling(outcome, data.response, data.columns)

    def curves(self, rows: NonlinearRows, at: Estimated, modes: Floats) -> dict[str, Floats]:
        """See `Family.curves`; what is typical has random effects of zero."""
        from saem.families.nonlinear.residuals import mean_of

        expression, centres = mean_of(rows.structure), rows.centres(at.values)
        known = (rows.cluster >= 0)[:, None]
        own = np.where(known, modes[np.maximum(rows.cluster, 0)], 0.0)
        places = {"individual": centres + own, "typical": centres}
        return {name: rows.values(expression, at.values, z) for name, z in places.items()}

    def individual(self, data: NonlinearData, x: Floats, effects: Floats) -> dict[str, Floats]:
        """See `Family.individual`."""
        from saem.families.nonlinear.individual import individual

        return individual(data, x, effects)

    def individual_laws(
        self, data: NonlinearData, x: Floats, mean: Floats, covariance: Floats
    ) -> dict[str, IndividualLaw]:
        """See `Family.individual_laws`."""
        from saem.families.nonlinear.individual import individual_laws

        return individual_laws(data, x, mean, covariance)

    def individual_labels(self, model: NonlinearModel, data: NonlinearData, table: pd.DataFrame) -> pd.DataFrame:
        """See `Family.individual_labels`."""
        from saem.families.nonlinear.individual import labels

        return labels(model, data, table)

    def listed(self, model: NonlinearModel, data: NonlinearData, table: pd.DataFrame) -> Listed | None:
        """See `Family.listed`."""
        from saem.families.nonlinear.individual import listed

        return listed(model, data, table)

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
        same = small.outcome.distribution == large.outcome.distribution and ast.dump(a.log_density) == ast.dump(
            b.log_density
        )
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

    def residuals(self, data: NonlinearData, x: Floats, effects: Floats, coordinates: Coordinates) -> dict[str, Floats]:
        """See `Family.residuals`."""
        from saem.families.nonlinear.residuals import residuals

        return residuals(data, x, effects)

    def uncorrelated(self, data: NonlinearData, x: Floats, responses: Floats) -> Floats:
        """See `Family.uncorrelated`."""
        from saem.families.nonlinear.prediction_errors import uncorrelated

        return uncorrelated(data, x, responses)

    def conditional_ranks(
        self,
        model: NonlinearModel,
        data: NonlinearData,
        x: Floats,
        draws: int,
        rng: np.random.Generator,
        law: Effects | None,
    ) -> tuple[Floats, Floats] | None:
        """See `Family.conditional_ranks`."""
        from saem.families.nonlinear.prediction_errors import conditional_ranks

        return conditional_ranks(data, x, draws, rng, law)

    def fitted(self, data: NonlinearData, x: Floats, coordinates: Coordinates) -> Floats:
        """See `Family.fitted`."""
        from saem.families.nonlinear.residuals import fitted

        return fitted(data, x)
