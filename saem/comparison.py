"""Several methods on the same model and table, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.display import method_name
from saem.errors import FitError, ModelError
from saem.fitting import Algorithm, fit, resolve

if TYPE_CHECKING:
    import pandas as pd

    from saem.result import Fit
    from saem.specification import Model

COLUMNS = (
    "method status loglik deficit largest_distance parameter largest_mcse_share iterations draws seconds message"
).split()


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    fits : dict of str to Fit
        By the name of the method, in the order that was asked for.
    failures : dict of str to str
        Why a method has no fit.
    reference : str
        The method that the others are compared with: direct maximum likelihood if it is among them, else the one with
        the highest log-likelihood (that of REML is no yardstick).
    """

    fits: dict[str, Fit]
    failures: dict[str, str]
    reference: str

    @property
    def table(self) -> pd.DataFrame:
        """One row a method.

        `deficit` is the log-likelihood below the highest (nan for the restricted one); `largest_distance` the largest
        difference to the reference in units of its standard errors, and `parameter` the one that has it;
        `largest_mcse_share` the largest MCSE/SE; `draws` the random effects that were drawn.
        """
        import pandas as pd

        best = max((each.loglik for name, each in self.fits.items() if name != "reml"), default=float("nan"))
        rows = []
        for name, each in self.fits.items():
            distances = self.distances(name)
            worst = int(np.argmax(np.nan_to_num(np.abs(distances))))
            shares = np.divide(each.mcse, each.se, out=np.full(len(each.se), np.nan), where=each.se > 0.0)
            share = np.nanmax(shares) if np.isfinite(shares).any() else np.nan
            distance, parameter = abs(distances[worst]), each.parameters.names[worst]
            deficit = float("nan") if name == "reml" else best - each.loglik
            rows.append(
                [name, str(each.status), each.loglik, deficit, distance, parameter, share]
                + [each.iterations, each.drawn, each.seconds, each.message]
            )
        nan = float("nan")
        rows += [[name, "error", nan, nan, nan, "", nan, 0, 0, nan, text] for name, text in self.failures.items()]
        return pd.DataFrame(rows, columns=COLUMNS)

    def distances(self, name: str) -> np.ndarray:
        """Differences (n,) of a method's estimates to the reference's, in units of its standard errors; nan without."""
        reference = self.fits[self.reference]
        difference = self.fits[name].values - reference.values
        nothing = np.full(len(difference), np.nan)
        return np.asarray(np.divide(difference, reference.se, out=nothing, where=reference.se > 0.0))


def compare(
    model: Model,
    table: pd.DataFrame,
    methods: Sequence[str | Algorithm] = ("saem", "em", "ml"),
    seed: int = 0,
    drop_missing: bool = False,
) -> Comparison:
    """Fit a model by several methods.

    Parameters
    ----------
    model : Model
    table : DataFrame
    methods : sequence
        What `saem.fit` takes as its method.
    seed : int
        The same for all; each method has a random stream of its own.
    drop_missing : bool
        As in `saem.fit`.

    Returns
    -------
    Comparison

    Raises
    ------
    ModelError
        When there is no such method.
    FitError
        When none of the methods finds an estimate. A method that fails, or that the model does not admit, is listed in
        `Comparison.failures`.
    """
    names = [method_name(method) for method in methods]
    if not names or len(set(names)) < len(names):
        raise ModelError(f"methods must be one or several with different names; got {', '.join(names) or 'none'}")
    for method in methods:
        resolve(method)
    fits: dict[str, Fit] = {}
    failures: dict[str, str] = {}
    for name, method in zip(names, methods, strict=True):
        try:
            fits[name] = fit(model, table, method, seed, drop_missing)
        except (FitError, ModelError) as error:  # what the others find is not lost
            failures[name] = str(error)
    if not fits:
        raise FitError(f"none of the methods {', '.join(names)} found an estimate; {next(iter(failures.values()))}")
    ranked = sorted(fits, key=lambda name: (name != "reml", fits[name].loglik))
    reference = "ml" if "ml" in fits else ranked[-1]
    return Comparison(fits, failures, reference)
