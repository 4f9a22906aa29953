"""What is known of a fit, and its tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from saem.algorithms.registry import declaration_of
from saem.fitting.intervals import LEVEL, wald_intervals
from saem.fitting.parts import HISTORY, Course, Estimate, Floats, Origin, Part, Sample
from saem.fitting.roles import roles
from saem.system.deferred import Deferred

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Record(Origin, Estimate, Sample, Course):
    """All parts of a fit as one, with the tables that are made of them; what is done with it is added by `Fit`."""

    cluster_labels: Deferred[pd.DataFrame] = (
        Deferred()
    )  # as in `Sample`: for a type checker, what a dataclass inherits ..
    table: Deferred[pd.DataFrame | None] = Deferred(
        None
    )  # .. is of the type that is given, and not of that which is read

    @classmethod
    def of(cls, *parts: Part) -> Self:
        """One that consists of these parts; what is deferred in them stays so."""
        return cls(**{name: value for part in parts for name, value in vars(part).items()})

    def intervals(self, level: float = LEVEL) -> pd.DataFrame:
        """Wald intervals on a scale where the estimate is closer to normal: log for SDs, atanh for correlations.

        Of a posterior, the intervals between quantiles of its draws that leave out as much on either side.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.

        Returns
        -------
        DataFrame indexed by parameter with columns `lower` and `upper`; nan where a parameter is fixed, at the
        boundary or not identified.
        """
        import pandas as pd

        return pd.DataFrame(self._bounds(level), index=self._index(), columns=["lower", "upper"])

    def _bounds(self, level: float = LEVEL) -> Floats:
        """The bounds of `intervals`, (n, 2) ndarray."""
        return wald_intervals(self, self.se, level) if self.posterior is None else self.posterior.bounds(level)

    def to_numpy(self) -> Floats:
        """The columns of `estimates`, (n, 5) ndarray: estimate, se, mcse, lower, upper."""
        return np.column_stack([self.values, self.se, self.mcse, self._bounds()])

    @property
    def estimates(self) -> pd.DataFrame:
        """DataFrame indexed by parameter: `estimate, se, mcse, lower, upper` (95 % interval)."""
        import pandas as pd

        return pd.DataFrame(self.to_numpy(), index=self._index(), columns=["estimate", "se", "mcse", "lower", "upper"])

    @property
    def constraints(self) -> pd.DataFrame:
        """DataFrame indexed by constraint: `residual` (left minus right side) and Lagrange `multiplier`."""
        import pandas as pd

        index = pd.Index(list(self.constraint_names), name="constraint", dtype="str")
        return pd.DataFrame({"residual": self.constraint_residuals, "multiplier": self.multipliers}, index=index)

    @property
    def trace(self) -> pd.DataFrame:
        """DataFrame of `path`, with a column for every parameter: 0 is the start, the last row the estimate."""
        import pandas as pd

        return pd.DataFrame(
            self.path, index=pd.RangeIndex(len(self.path), name="iteration"), columns=list(self.parameters.names)
        )

    @property
    def history(self) -> pd.DataFrame:
        """What each look at the algorithm showed, against its cost; empty for exact methods.

        Columns: `iteration`; `draws`, the random effects drawn so far; `seconds`; `loglik` of the estimate if the fit
        had ended there, and its `deficit` below the maximum; `mcse_share`, the largest MCSE/SE; `acceptance` rate of a
        Markov kernel. nan where something is not known.
        """
        import pandas as pd

        return pd.DataFrame(self.looks, columns=list(HISTORY))

    @property
    def iterations(self) -> int:
        """Iterations on the way to the estimate (of the solver, for exact methods)."""
        return max(0, len(self.path) - 2)

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum of the likelihood (see `Status.converged`), or the draws suffice."""
        return self.status.converged

    @property
    def aic(self) -> float:
        """Akaike's information criterion, -2 loglik + 2 n_free; nan for a posterior, which has no maximum."""
        return math.nan if self.posterior is not None else 2.0 * self.n_free - 2.0 * self.loglik

    @property
    def bic(self) -> float:
        """Bayesian information criterion, -2 loglik + log(n_rows) n_free, with the number of rows as lme4 has it.

        nan for a posterior: the criterion is one of the maximum of the likelihood.
        """
        return math.nan if self.posterior is not None else math.log(self.n_rows) * self.n_free - 2.0 * self.loglik

    def to_frame(self) -> pd.DataFrame:
        """One row per parameter, ready to be stacked.

        Returns
        -------
        DataFrame
            Columns `method, parameter, estimate, se, mcse, lower, upper` (95 % interval) and `role`: "free", "fixed",
            "determined" (alone on the left of a constraint, whose right side gives it), "at the boundary" or "not
            identified".
        """
        table = self.estimates.reset_index()
        table.insert(0, "method", self.method)
        table["role"] = roles(self, self.model.constraints)
        return table

    def glance(self) -> pd.DataFrame:
        """The fit in one row, ready to be stacked.

        Returns
        -------
        DataFrame
            Columns `method`; `status`; `loglik`, `loglik_mcse`; `deficit`, the log-likelihood below its maximum as the
            method assesses it itself (0 for exact maxima, nan where it is not known); `aic`, `bic`; `n_free`,
            parameters; `n_rows`, `n_clusters`; `iterations`; `seconds`.
        """
        import pandas as pd

        names = "method status loglik loglik_mcse deficit aic bic n_free n_rows n_clusters iterations seconds".split()
        row = {name: getattr(self, name) for name in names} | {"status": str(self.status)}
        return pd.DataFrame([row]).astype({"method": "str", "status": "str"})

    @property
    def deficit(self) -> float:
        """Log-likelihood below its maximum, as last assessed by the method; 0 for exact maxima, nan if not known.

        That of a simulated likelihood is told by the message alone, with its doubt.
        """
        if len(self.looks):
            return float(self.looks[-1, HISTORY.index("deficit")])
        is_maximum = (
            self.loglik_mcse == 0.0
            and self.converged
            and declaration_of(self.method).is_exact
            and self.method != "laplace"
        )
        return 0.0 if is_maximum else math.nan

    def _index(self) -> pd.Index[Any]:
        import pandas as pd

        return pd.Index(list(self.parameters.names), name="parameter", dtype="str")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.4g}" for name, value in zip(self.parameters.names, self.values, strict=True))
        return f"Fit({self.method}, {self.status}, loglik={self.loglik:.3f}, {shown})"
