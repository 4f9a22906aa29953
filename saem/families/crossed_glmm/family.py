"""The verbs of generalised linear mixed models with several grouping factors: where they differ from those with one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.families.crossed_glmm.specification import CrossedGlmmModel
from saem.families.description import Section
from saem.families.glmm.data import GlmmData
from saem.families.glmm.family import GlmmFamily
from saem.families.nonlinear.evaluation import NonlinearRows
from saem.families.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.coordinates import Coordinates
    from saem.families.levels import Listed

Floats = NDArray[np.float64]
FEW_EFFECTS = 2  # of a component: product rules that move with the parameters, so that sequential quadratic steps do
FIRST_NODES = 3


class CrossedGlmmFamily(GlmmFamily):
    """Random effects of the levels of nested or crossed factors: those of rows that share levels are one cluster's."""

    title: ClassVar[str] = "generalised linear mixed model"

    @property
    def model(self) -> type[CrossedGlmmModel]:
        """See `Family.model`."""
        return CrossedGlmmModel

    def arrange(
        self, model: Any, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
    ) -> GlmmData:
        """See `Family.arrange`."""
        from saem.families.crossed_glmm.data import arrange

        return arrange(model, table, drop_missing, formula_state)

    def build_problem(self, data: Any, constraints: Constraints, restricted: bool, coordinates: Coordinates) -> Problem:
        """See `Family.build_problem`.

        Searches begin with Laplace's approximation where the integrals are costly, and look for one maximum.
        """
        problem = super().build_problem(data, constraints, restricted, coordinates)
        first = FIRST_NODES if len(data.term_names) > FEW_EFFECTS else 0
        return replace(problem, likelihood=replace(problem.likelihood, first_nodes=first, is_local=first > 0))

    def describe(self, model: Any, data: Any, rows: pd.DataFrame) -> list[Section]:
        """See `Family.describe`."""
        from saem.families.crossed_glmm.describe import describe

        return describe(model, data, rows)

    def listed(self, model: Any, data: Any, table: pd.DataFrame) -> Listed:
        """See `Family.listed`: as linear models with several factors have them."""
        from saem.families.crossed_glmm.data import listed

        return listed(model, data, table)

    def arrange_others(self, model: Any, table: pd.DataFrame, data: Any, others: pd.DataFrame) -> NonlinearRows:
        """See `Family.arrange_others`."""
        from saem.families.crossed_glmm.other_rows import arrange_others

        return arrange_others(model, table, data, others)
