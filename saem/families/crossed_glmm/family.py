"""The verbs of generalised linear mixed models with several grouping factors: where they differ from those with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saem.families.crossed_glmm.specification import CrossedGlmmModel
from saem.families.description import Section
from saem.families.glmm.data import GlmmData
from saem.families.glmm.family import GlmmFamily
from saem.families.nonlinear.evaluation import NonlinearRows

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.levels import Listed

Floats = NDArray[np.float64]


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
