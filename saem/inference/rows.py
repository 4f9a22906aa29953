"""The rows that a fit was made of, for what is inferred from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saem.data import ModelData, arrange
from saem.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

    from saem.result import Fit


def refuse_posterior(fit: Fit, what: str) -> None:
    """Refuse a fit by "bayes" where something is inferred from the maximum of the likelihood.

    Raises
    ------
    ModelError
        When the fit is a posterior.
    """
    if fit.posterior is not None:
        raise ModelError(
            f"this needs {what}, and a fit by 'bayes' is a posterior; fit the same model by 'ml' beside it"
        )


def rows_of(fit: Fit) -> tuple[pd.DataFrame, ModelData]:
    """The table of a fit, and the same arranged as arrays.

    Raises
    ------
    ModelError
        When the fit has none.
    """
    if fit.table is None:
        raise ModelError("this fit was saved without its table; fit again, and go on from the new fit")
    return fit.table, arrange(fit.model, fit.table)
