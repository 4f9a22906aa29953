"""Examples of generalised linear mixed models, with the arrays that they were made of: means and effects by columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

import saem
from saem.estep.samplers import drawing_of
from saem.families import arrange, pose
from saem.families.glmm.data import GlmmData
from saem.families.problem import Likelihood, Problem

NODES = 15


@dataclass(frozen=True, eq=False)
class Posed(Problem):
    """A problem with the data that it is of; of joint arrays nothing is centred."""

    data: GlmmData | None = None


def posed(
    distribution: str,
    y: Sequence[float] | np.ndarray,
    design: np.ndarray,
    cluster: np.ndarray,
    *,
    means: Sequence[str],
    sds: Sequence[str],
    random: np.ndarray | None = None,
    group: np.ndarray | None = None,
    trials: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    nodes: int = NODES,
    constraints: dict[str, str] | None = None,
) -> Posed:
    """The problem. ``sds`` are those of the groups, or of the columns of ``random``, whose effects are correlated."""
    columns = {"y": y, "c": cluster, "g": np.zeros(len(y), int) if group is None else group[cluster]}
    columns |= {"n": np.ones(len(y)) if trials is None else trials, "o": np.zeros(len(y)) if offset is None else offset}
    columns |= dict(zip(means, design.T, strict=True))
    terms, spread = {"one": "1"}, {str(level): name for level, name in enumerate(sds)}
    if random is not None:
        terms = {f"t{j}": f"z{j}" for j in range(random.shape[1])}
        columns |= dict(zip(terms.values(), random.T, strict=True))
        spread = {"0": dict(zip(terms, sds, strict=True))}
    model = saem.Model(
        family="glmm",
        cluster="c",
        predictor=f"y ~ 0 + {' + '.join(means)} + offset(o)",
        outcome={"distribution": distribution} | ({"trials": "n"} if distribution == "binomial" else {}),
        random={"by": "g", "sd": spread, "terms": terms},
        constraints=constraints or {},
    )
    data = arrange(model, pd.DataFrame(columns))
    found = pose(model, data)
    assert isinstance(data, GlmmData)
    likelihood = Likelihood("quadrature", nodes=nodes)
    return Posed(**(vars(replace(found, arrays=drawing_of(found), likelihood=likelihood)) | {"data": data}))


def slopes(nodes: int = NODES, n_clusters: int = 20, seed: int = 3, **constraints: str) -> Posed:
    """Binomial outcomes with correlated random intercepts and slopes; a sum of six rows of two trials by cluster."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n_clusters), 6)
    x = np.tile(np.linspace(-1.0, 1.0, 6), n_clusters)
    u = rng.standard_normal((n_clusters, 2)) @ np.array([[0.9, 0.3], [0.0, 0.6]])
    design = np.column_stack([np.ones_like(x), x])
    eta = 0.3 + 0.8 * x + u[cluster, 0] + u[cluster, 1] * x
    y = rng.binomial(2, 1.0 / (1.0 + np.exp(-eta)))
    return posed(
        "binomial",
        y,
        design,
        cluster,
        means=("b0", "b1"),
        sds=("s0", "s1"),
        random=design,
        trials=np.full(len(y), 2.0),
        nodes=nodes,
        constraints=constraints,
    )


def counts(nodes: int = NODES, n_clusters: int = 30, seed: int = 5, **constraints: str) -> Posed:
    """Poisson counts with log-normal intercepts in two groups of clusters, four rows each with exposures."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_clusters) % 2
    cluster = np.repeat(np.arange(n_clusters), 4)
    offset = np.log(np.tile([1.0, 2.0, 1.0, 0.5], n_clusters))
    first = group[cluster] == 0
    u = np.where(group == 0, 0.4, 0.9) * rng.standard_normal(n_clusters)
    y = rng.poisson(np.exp(offset + np.where(first, 1.5, 1.175) + u[cluster]))
    return posed(
        "poisson",
        y,
        np.column_stack([first, ~first]).astype(float),
        cluster,
        means=("beta1", "beta2"),
        sds=("sigma1", "sigma2"),
        group=group,
        offset=offset,
        nodes=nodes,
        constraints=constraints,
    )


@cache
def problems() -> dict[str, Problem]:
    """Examples, for the checks that every family is held to."""
    return {"slopes": slopes(25), "tied counts": counts(25, tie="beta1 + sigma1**2/2 == beta2 + sigma2**2/2")}
