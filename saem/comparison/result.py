"""What a comparison of methods found, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.comparison.budget import largest_share
from saem.comparison.seeds import over_seeds

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

COLUMNS = (
    "method status loglik deficit largest_distance parameter largest_mcse_share iterations draws seconds message"
).split()
ROUNDING = 1e-9  # of a log-likelihood


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    repetitions : dict of str to tuple of Fit
        By the name or label of the method, in the order that was asked for: its fits with one seed after another.
        Exact methods have one fit.
    failures : dict of str to str
        Why a method has no fit; "saem, seed 3" where it has with other seeds.
    refused : tuple of str
        Those of the failures that the model does not admit, or the budget.
    reference : str
        The method that the others are compared with: direct maximum likelihood if it is among them, else the one with
        the highest log-likelihood (that of REML is no yardstick).
    """

    repetitions: dict[str, tuple[Fit, ...]]
    failures: dict[str, str]
    refused: tuple[str, ...]
    reference: str

    @property
    def fits(self) -> dict[str, Fit]:
        """The first fit of every method."""
        return {name: fits[0] for name, fits in self.repetitions.items()}

    @property
    def maximum(self) -> float:
        """The highest log-likelihood that any method knows: its own, or that of the maximum beside its estimate."""
        return highest([fit for fits in self.repetitions.values() for fit in fits])

    @property
    def table(self) -> pd.DataFrame:
        """One row a method, for its first seed.

        `deficit` is the log-likelihood below `maximum` (nan for the restricted one); `largest_distance` the largest
        difference to the reference in units of its standard errors, and `parameter` the one that has it;
        `largest_mcse_share` the largest MCSE/SE; `draws` the random effects that were drawn.
        """
        import pandas as pd

        lines = []
        for name, each in self.fits.items():
            distances = self.distances(name)
            worst = int(np.argmax(np.nan_to_num(np.abs(distances))))
            distance, parameter = abs(distances[worst]), each.parameters.names[worst]
            deficit = float("nan") if each.method == "reml" else self.maximum - each.loglik
            lines.append(
                [name, str(each.status), each.loglik, deficit, distance, parameter, largest_share(each)]
                + [each.iterations, each.drawn, each.seconds, each.message]
            )
        nan = float("nan")
        lines += [
            [name, "refused" if name in self.refused else "error", nan, nan, nan, "", nan, 0, 0, nan, text]
            for name, text in self.failures.items()
        ]
        return pd.DataFrame(lines, columns=COLUMNS)

    @property
    def over_seeds(self) -> pd.DataFrame:
        """One row a method, over all its seeds.

        `fits` is their number, `converged` the share that claims convergence; `mean_deficit` and `median_deficit` are
        below `maximum`; `rms_distance` is the root-mean-square difference to the reference in units of its standard
        errors, of the `parameter` where that is largest; `spread_over_mcse` the standard deviation over seeds by the
        Monte Carlo standard error that the fits give themselves, ideally 1 (below: too cautious, above: too
        confident); `draws` and `seconds` are means. Columns that end in `_error` have the standard error of the
        column before, by the jackknife over seeds; nan for fewer than three.
        """
        return over_seeds(self.repetitions, self.fits[self.reference], self.maximum)

    @property
    def history(self) -> pd.DataFrame:
        """The table `Fit.history` of all fits, one under the other, after the columns `method` and `seed`."""
        import pandas as pd

        parts = []
        for name, fits in self.repetitions.items():
            for fit in fits:
                part = fit.history
                part.insert(0, "method", name)
                part.insert(1, "seed", fit.seed)
                parts.append(part)
        known = [part for part in parts if len(part)]
        return pd.concat(known, ignore_index=True) if known else parts[0]

    def to_frame(self) -> pd.DataFrame:
        """The tables `Fit.to_frame` of all fits, one under the other; `method` is the label, and `seed` follows it."""
        return self._stacked(lambda fit: fit.to_frame())

    def glance(self) -> pd.DataFrame:
        """The rows `Fit.glance` of all fits, one under the other; `method` is the label, and `seed` follows it.

        `deficit` is the log-likelihood below `maximum` (nan for the restricted one).
        """
        table = self._stacked(lambda fit: fit.glance())
        fits = [fit for fits in self.repetitions.values() for fit in fits]
        table["deficit"] = [math.nan if fit.method == "reml" else self.maximum - fit.loglik for fit in fits]
        return table

    def _stacked(self, table_of: Callable[[Fit], pd.DataFrame]) -> pd.DataFrame:
        import pandas as pd

        parts = []
        for label, fits in self.repetitions.items():
            for fit in fits:
                part = table_of(fit).assign(method=label)
                part.insert(1, "seed", fit.seed)
                parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def _repr_html_(self) -> str:
        from saem.system.display import number, small, table
        from saem.system.markup import html

        lines = [
            [row["method"], row["status"].replace("_", " "), number(row["loglik"], 4), small(row["deficit"])]
            + [small(row["largest_distance"]), row["parameter"], small(row["largest_mcse_share"])]
            + [f"{row['draws']:,}", small(row["seconds"])]
            for row in self.table.to_dict("records")
        ]
        header = "method status log-likelihood deficit distance/se parameter mcse/se draws seconds".split()
        failures = [f"{name}: {text}" for name, text in self.failures.items()]
        title = f"{', '.join(self.repetitions)}: distances are to {self.reference}"
        return html(title, [table(header, lines, "llrrrlrrr"), *failures])

    def distances(self, name: str) -> np.ndarray:
        """Differences (n,) of a method's estimates to the reference's, in units of its standard errors; nan without."""
        reference = self.fits[self.reference]
        difference = self.fits[name].values - reference.values
        nothing = np.full(len(difference), np.nan)
        return np.asarray(np.divide(difference, reference.se, out=nothing, where=reference.se > 0.0))


def highest(fits: list[Fit]) -> float:
    """The highest log-likelihood of the fits but REML's, or of the maxima beside them where that is above rounding."""
    fits = [fit for fit in fits if fit.method != "reml"]
    own = max((fit.loglik for fit in fits), default=float("nan"))
    looks = [fit.history for fit in fits]
    beside = [float((look["loglik"] + look["deficit"]).max()) for look in looks if len(look)]
    above = max((value for value in beside if np.isfinite(value)), default=own)
    return above if above > own + ROUNDING else own
