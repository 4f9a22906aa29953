"""The prior predictive check: what data do the model and its priors expect, before they have seen any?

Gabry, Simpson, Vehtari, Betancourt & Gelman (2019), Visualization in Bayesian workflow, section 3; Box (1980).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.data.frames import Table, as_frame
from saem.inference.arguments import check_level, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from saem.families import Model
    from saem.families.arranged import Arranged

FAR = 0.005  # a statistic of the data beyond these tails is where the priors hardly expect it
JUDGED = ("mean", "SD", "SD between clusters", "SD within clusters")
WIDE = 100.0  # times the observed size: a median beyond is a prior that is of no use


@dataclass(frozen=True, eq=False)
class PriorPredictive:
    """Parameters and data that the priors expect, beside the observed data.

    Attributes
    ----------
    parameters : DataFrame
        (draws, n) drawn from the priors, with what the constraints determine; a column for each parameter.
    responses : (draws, rows) ndarray
        Data drawn at them.
    observed : (rows,) ndarray
    statistics : DataFrame
        (draws, 6) summaries of each drawn response: `STATISTICS`.
    observed_statistics : Series
        The same of the observed response.
    priors : mapping of str to str
        Of the independent parameters, as they were used.
    determined : mapping of str to str
        The other parameters that are not fixed, by the constraint that determines each.
    failed : int
        Draws that were left out, since the constraints had no solution there or a response was not finite.
    """

    parameters: pd.DataFrame
    responses: np.ndarray
    observed: np.ndarray
    statistics: pd.DataFrame
    observed_statistics: pd.Series[float]
    priors: Mapping[str, str]
    determined: Mapping[str, str]
    failed: int

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """Summaries of the data under the prior.

        Returns
        -------
        DataFrame indexed by `statistic` with columns `observed, median, lower, upper, share`: median and equal-tailed
        interval under the prior, and the share of draws whose summary is at most the observed one.

        Raises
        ------
        SaemError
            When the level does not lie between 0 and 1.
        """
        tail = (1.0 - check_level(level)) / 2.0
        found = self.statistics.quantile([0.5, tail, 1.0 - tail]).T
        found.columns = ["median", "lower", "upper"]
        found.insert(0, "observed", self.observed_statistics)
        found["share"] = (self.statistics <= self.observed_statistics).mean()
        return found.rename_axis("statistic")

    def implied(self, level: float = 0.95) -> pd.DataFrame:
        """What the priors say of every parameter that is not fixed, those included that the constraints determine.

        Returns
        -------
        DataFrame indexed by `parameter` with columns `median, lower, upper, prior`; `prior` is the distribution, or
        "determined by" a constraint.

        Raises
        ------
        SaemError
            When the level does not lie between 0 and 1.
        """
        tail = (1.0 - check_level(level)) / 2.0
        names = [name for name in map(str, self.parameters) if name in self.priors or name in self.determined]
        found = self.parameters[names].quantile([0.5, tail, 1.0 - tail]).T
        found.columns = ["median", "lower", "upper"]
        found["prior"] = [self.priors.get(name) or f"determined by {self.determined[name]}" for name in names]
        return found.rename_axis("parameter")

    @property
    def findings(self) -> list[str]:
        """A sentence for each summary of the data that the priors hardly expect; empty where there is none."""
        table = self.table()
        found = []
        for name, row in table.iterrows():
            share = float(row["share"])
            above = share > 1.0 - FAR
            # an SD that is smaller than expected is no contradiction: wide priors expect large ones
            if name in JUDGED and (above or (share < FAR and name == "mean")):
                often = 100 * max(share, 1.0 - share)
                found.append(
                    f"the {name} of the data, {row['observed']:.4g}, is {'larger' if above else 'smaller'} than in "
                    f"{often:.1f} % of the data sets that the priors expect: the priors contradict the data"
                )
        spread = table.loc["SD"]
        if spread["observed"] > 0.0 and spread["median"] > WIDE * spread["observed"]:
            found.append(
                f"half of the data sets that the priors expect have an SD above {spread['median']:.3g}, and the data "
                f"have {spread['observed']:.3g}: give narrower priors, above all to the standard deviations"
            )
        return found


def prior_predictive(model: Model, table: Table, draws: int = 1000, seed: int = 0) -> PriorPredictive:
    """Draw parameters from the priors and data at them, to be held beside the observed data.

    Priors that the model does not name are the defaults of method "bayes", which are on the scale of the data. What a
    constraint determines follows from the priors of the others: a mean that is an exponential of a variance may be
    expected anywhere.

    Parameters
    ----------
    model : Model
    table : DataFrame
        With the response.
    draws : int
        100 or more.
    seed : int
        The same seed gives the same draws.

    Raises
    ------
    ModelError
        When the model admits no posterior, or no draw has a solution of the constraints.
    SaemError
        When `draws` or `seed` is no whole number.
    """
    import pandas as pd

    from saem.algorithms.bayes.algorithm import pose_posterior
    from saem.algorithms.bayes.prior_draws import draw_priors
    from saem.errors import ModelError
    from saem.families import arrange, family_of, pose
    from saem.families.coordinates import USERS
    from saem.system.streams import stream

    draws, seed = whole(draws, "draws", 100), whole(seed, "seed", 0)
    data = arrange(model, as_frame(table))
    problem = pose(model, data, coordinates=USERS)  # that of the priors
    _, _, plan, priors, density = pose_posterior(problem)
    x = draw_priors(density, priors, draws, stream(seed, "prior predictive", "parameters"))
    streams = stream(seed, "prior predictive", "random effects"), stream(seed, "prior predictive", "residuals")
    solved = np.isfinite(x).all(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        made = np.array([family_of(model).draw_response(data, values, *streams) for values in x[solved]])
    made = made.reshape(-1, len(data.response))
    finite = np.isfinite(made).all(axis=1)
    if not finite.any():
        raise ModelError(
            f"none of {draws} draws from the priors has finite data: the constraints have no solution there. Give "
            "narrower priors"
        )
    names, responses = list(problem.parameters.names), made[finite]
    return PriorPredictive(
        parameters=pd.DataFrame(x[solved][finite], columns=names),
        responses=responses,
        observed=data.response,
        statistics=pd.DataFrame(statistics_of(data, responses), columns=list(STATISTICS)),
        observed_statistics=pd.Series(statistics_of(data, data.response[None])[0], index=list(STATISTICS)),
        priors=priors,
        determined={names[e.parameter]: problem.constraints.names[e.constraint] for e in plan},
        failed=int(draws - finite.sum()),
    )


#: Summaries of a response.
STATISTICS = ("mean", "SD", "smallest", "largest", "SD between clusters", "SD within clusters")


def statistics_of(data: Arranged, responses: np.ndarray) -> np.ndarray:
    """Summaries (k, 6) of responses (k, rows).

    Standard deviations are of all rows, of the clusters' means, and of what is left within clusters, where the
    clusters' own degrees of freedom are taken off (nan where each cluster has one row).
    """
    sizes = np.bincount(data.cluster)
    totals = np.zeros((len(responses), len(sizes)))
    np.add.at(totals.T, data.cluster, responses.T)
    means = totals / sizes
    free = len(data.cluster) - len(sizes)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        within = np.sqrt(np.sum((responses - means[:, data.cluster]) ** 2, axis=1) / free)
        between = means.std(axis=1, ddof=1) if len(sizes) > 1 else np.full(len(responses), np.nan)
        columns = [responses.mean(axis=1), responses.std(axis=1, ddof=1), responses.min(axis=1), responses.max(axis=1)]
    return np.column_stack([*columns, between, within])
