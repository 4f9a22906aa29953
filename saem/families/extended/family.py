"""The verbs of the family of extended linear models: where they differ from those of nonlinear ones."""

from __future__ import annotations

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
from saem.families.extended import data as rows_and_columns
from saem.families.extended.columns import is_gaussian
from saem.families.extended.data import ExtendedData, columns_of
from saem.families.extended.specification import ExtendedModel
from saem.families.nonlinear.evaluation import NonlinearRows
from saem.families.nonlinear.family import NonlinearFamily
from saem.families.nonlinear.leaving_out import columns_without

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class ExtendedFamily(NonlinearFamily):
    """Linear models whose residuals have a variance function, serial correlation, or Student's t law.

    Where the residual SD does not depend on the random effects and residuals are normal, a quadrature with one node is
    exact, and `Likelihood.nodes` is 1.
    """

    title: ClassVar[str] = "extended linear mixed-effects model"
    takes_time: ClassVar[bool] = False

    @property
    def model(self) -> type[ExtendedModel]:
        """See `Family.model`."""
        return ExtendedModel

    def arrange(
        self,
        model: Any,
        table: pd.DataFrame,
        drop_missing: bool = False,
        formula_state: dict[str, Any] | None = None,
    ) -> ExtendedData:
        """See `Family.arrange`."""
        return rows_and_columns.arrange(model, table, drop_missing, formula_state)

    def build_problem(self, data: Any, constraints: Constraints, restricted: bool, coordinates: Coordinates) -> Problem:
        """See `Family.build_problem`."""
        from saem.families.carrying import with_little_missing
        from saem.families.extended.start import starting_values

        start = starting_values(data)
        data = replace(data, structure=replace(data.structure, start=start.values))
        data = with_little_missing(data, data.carried, start.omega, start.sds**2)
        problem = super().build_problem(data, constraints, restricted, coordinates)
        if not is_gaussian(data.structure):
            return problem
        return replace(problem, likelihood=replace(problem.likelihood, nodes=1, first_nodes=1))

    def placeholder(self, model: Any, table: pd.DataFrame) -> Floats:
        """See `Family.placeholder`."""
        from saem.families.nonlinear.outcomes import placeholder

        return placeholder("normal", len(table))

    def recorded(self, model: Any, table: pd.DataFrame, response: Floats) -> dict[str, NDArray[Any]]:
        """See `Family.recorded`."""
        return {model.response: response}

    def beside(self, model: Any, table: pd.DataFrame) -> dict[str, NDArray[Any]]:
        """See `Family.beside`."""
        return {}

    def censored(self, model: Any, data: Any) -> NDArray[np.bool_] | None:
        """See `Family.censored`."""
        return None

    def describe(self, model: Any, data: Any, rows: pd.DataFrame) -> list[Section]:
        """See `Family.describe`."""
        from saem.families.designed_describe import cells, clusters, parameters

        said = {key: getattr(model.residual, key) for key in ("correlation", "df")}
        notes = tuple(f"residual {key} = {value}" for key, value in said.items() if value is not None)
        more = tuple((data.parameters.index(name), "residuals") for name in data.residual_names)
        found = parameters(model, data)
        for i, place in more:
            found.rows[i][2] = place
        return [found, clusters(model, data, notes), cells(model, rows, data)]

    def without_cluster(self, data: Any, cluster: int) -> ExtendedData:
        """See `Family.without_cluster`."""
        left: ExtendedData = replace(data, **fields_without(data, cluster), columns=columns_without(data, cluster))
        check_left(left)
        return left

    def check_nested(self, small: Any, large: Any, with_means: bool = True) -> None:
        """See `Family.check_nested`: the residuals must be written alike."""
        if small.residual_said != large.residual_said:
            raise ModelError(
                "the two models have residuals that are written in other ways, so that nothing says that one is a "
                "special case of the other; write the smaller one as the larger one with a constraint, or with [fixed] "
                "values"
            )
        check_nested(small, large, with_means)

    def mean_rank(self, data: Any) -> tuple[int, int]:
        """See `Family.mean_rank`."""
        return mean_rank(data)

    def arrange_others(self, model: Any, table: pd.DataFrame, data: Any, others: pd.DataFrame) -> NonlinearRows:
        """See `Family.arrange_others`: new rows are taken as independent of observed ones given the random effects."""
        kept = model.replace(residual=model.residual.model_copy(update={"correlation": None}))
        kept.residual.__dict__.pop("correlated", None)
        found = arrange_designed(kept, table, data, others)
        rows = found.designed
        names = tuple(data.parameters.names[i] for i in data.mean_index)
        columns = columns_of(kept, names, rows.mean_design, rows.random_design, rows.offset, found.columns, found.rows)
        return NonlinearRows(data.structure, columns, rows.cluster, rows.group)
