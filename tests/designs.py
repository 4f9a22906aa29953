"""Random data for the tests of the numerical core: unbalanced designs of all kinds, and tables of peptides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from naive import Dense, random_covariance, row_variances

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    """A random design: the model as `saem.Model` takes it, the table, and the same thing written out."""

    model: dict[str, Any]
    table: pd.DataFrame
    dense: Dense
    kinds: dict[str, str]  # parameter -> "mean", "sd" or "corr"

    def simulated(self, x: Array, names: tuple[str, ...], rng: np.random.Generator) -> Case:
        """The same design with a response drawn at the parameters ``x``, in the order of ``names``."""
        dense = self.dense.with_names(names)
        covariance = random_covariance(dense, x)[dense.group]
        effects = np.array([rng.multivariate_normal(np.zeros(len(c)), c, method="eigh") for c in covariance])
        y = dense.mean_design @ x[dense.mean_at] + np.sum(dense.random_design * effects[dense.cluster], axis=1)
        y = y + np.sqrt(row_variances(dense, x)) * rng.standard_normal(len(y))
        return Case(self.model, self.table.assign(y=y), replace(self.dense, response=y), self.kinds)

    def point(self, names: tuple[str, ...], rng: np.random.Generator) -> Array:
        """Random values of the parameters in the order of ``names``."""
        ranges = {"mean": (-1.5, 1.5), "sd": (0.4, 1.4), "corr": (-0.4, 0.4)}
        return np.array([rng.uniform(*ranges[self.kinds[name]]) for name in names])


def random_case(
    seed: int,
    terms: int = 1,
    arms: int = 1,
    kinds: int = 1,
    covariance: str = "diagonal",
    shared: str = "",
    overparametrised: bool = False,
    fixed: dict[str, float] | None = None,
    n_clusters: int = 12,
    weights: bool = False,
) -> Case:
    """A random unbalanced design; about half of the clusters have a design that others have too.

    Parameters
    ----------
    seed : int
    terms, arms, kinds : int
        Number of random terms (1 to 3), variance groups and residual groups.
    covariance : {"diagonal", "full"}
    shared : str
        Words among "arms" (the arms share the first term's SD), "terms" (the first two terms of an arm share theirs),
        "kinds" (the first two residual groups share theirs) and "residual" (the first term of the first arm and the
        first residual group share theirs).
    overparametrised : bool
        Whether the mean has a column that follows from the others.
    weights : bool
        Whether the rows have prior weights, some of them equal.
    """
    rng = np.random.default_rng([20240, seed])
    templates = [
        [(rng.integers(kinds), rng.integers(4) / 2.0, rng.integers(-1, 2)) for _ in range(size)] for size in (1, 2, 4)
    ]
    records = []
    for c in range(n_clusters):
        if rng.random() < 0.5:
            rows = templates[rng.integers(len(templates))]
        else:
            rows = [(rng.integers(kinds), rng.uniform(0, 2), rng.uniform(-1, 1)) for _ in range(rng.integers(1, 7))]
        records += [(f"A{c % arms}", f"s{c}", f"k{kind}", t, u) for kind, t, u in rows]
    for k in range(kinds):  # every kind occurs
        records.append(("A0", "s0", f"k{k}", float(rng.uniform(0, 2)), float(rng.uniform(-1, 1))))
    table = pd.DataFrame(records, columns=["arm", "subject", "kind", "t", "u"])
    table["y"] = 3.0 + table["t"] + rng.standard_normal(len(table)) * 1.5
    table = table.sample(frac=1.0, random_state=seed).reset_index(drop=True)

    columns = {"one": "1", "t": "t", "u": "u"}
    used = list(columns)[:terms]
    design = {"one": np.ones(len(table)), "t": table["t"].to_numpy(), "u": table["u"].to_numpy(dtype=float)}
    mean = {"b0": "1", "bt": "t", "b0_k0": "kind == 'k0'"}
    mean_columns = [design["one"], design["t"], (table["kind"] == "k0").to_numpy(dtype=float)]
    if kinds == 1:
        mean.pop("b0_k0")
        mean_columns.pop()
    if overparametrised:
        mean["b_extra"] = "1 + t"
        mean_columns.append(1.0 + design["t"])

    sds = [[f"sd_{term}_A{a}" for term in used] for a in range(arms)]
    residual_sds = [f"sigma_k{k}" for k in range(kinds)]
    if "arms" in shared:
        for names in sds:
            names[0] = "sd_shared"
    if "terms" in shared:
        sds[0][1] = sds[0][0]
    if "kinds" in shared:
        residual_sds[1] = residual_sds[0]
    if "residual" in shared:
        residual_sds[0] = sds[0][0]
    random: dict[str, Any] = {"terms": {term: columns[term] for term in used}, "covariance": covariance}
    by_term = [dict(zip(used, names, strict=True)) for names in sds]
    if arms > 1:
        random |= {"by": "arm", "sd": {f"A{a}": by_term[a] for a in range(arms)}}
    else:
        random["sd"] = by_term[0]
    correlations = {}
    if covariance == "full":
        for a in range(arms):
            for j, k in combinations(range(terms), 2):
                correlations[a, j, k] = f"corr_{used[j]}_{used[k]}" + (f"_A{a}" if arms > 1 else "")
    model: dict[str, Any] = {
        "response": "y",
        "cluster": ["arm", "subject"],
        "mean": mean,
        "random": random,
        "residual": {"by": "kind", "sd": {f"k{k}": residual_sds[k] for k in range(kinds)}}
        if kinds > 1
        else {"sd": residual_sds[0]},
        "fixed": fixed or {},
    }
    if weights:
        table["w"] = np.where(rng.random(len(table)) < 0.3, 2.0, rng.uniform(0.2, 5.0, len(table)))
        model["residual"]["weights"] = "w"
    cluster, labels = pd.factorize(table["subject"])
    sd_names = list(dict.fromkeys([name for names in sds for name in names] + residual_sds))
    names = (*mean, *sd_names, *correlations.values())
    dense = Dense(
        response=table["y"].to_numpy(),
        mean_design=np.column_stack(mean_columns),
        random_design=np.column_stack([design[term] for term in used]),
        cluster=cluster,
        group=np.array([int(label[1:]) % arms for label in labels]),
        residual=np.array([int(kind[1:]) for kind in table["kind"]]),
        means=tuple(mean),
        sds=tuple(tuple(names) for names in sds),
        residual_sds=tuple(residual_sds),
        names=names,
        correlations=correlations,
        weights=table["w"].to_numpy() if weights else 1.0,
    )
    parameter_kinds = dict.fromkeys(mean, "mean") | dict.fromkeys(sd_names, "sd")
    return Case(model, table, dense, parameter_kinds | dict.fromkeys(correlations.values(), "corr"))


PEPTIDE = {"mu": 10.0, "alpha2": -1.0, "c2": 0.6, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}


def peptide_table(
    rng: np.random.Generator, replicates: tuple[int, int] = (8, 8), missing: float = 0.0, **parameters: float
) -> pd.DataFrame:
    """A table for the peptide recipes; about a part ``missing`` of its rows is absent, but no cell is empty.

    Parameters
    ----------
    replicates : (int, int)
        Of control and treatment.
    **parameters
        In place of `PEPTIDE`; no constraint is imposed.
    """
    p = PEPTIDE | parameters
    records = []
    for treatment, n, sd in zip(("Ctrl", "CCCP"), replicates, (p["sigma1"], p["sigma2"]), strict=True):
        for replicate in range(n):
            effect = sd * rng.standard_normal()
            for j, modification in enumerate(("unmodified", "modified")):
                mean = p["mu"] + j * p["alpha2"]
                if treatment == "CCCP":
                    mean += p["c2"] + (p["b22"] if j else p["b21"])
                # the first two replicates are complete
                keep = replicate < 2 or rng.random() >= missing
                noise = p["sigma"] * rng.standard_normal()
                if keep:
                    records.append((treatment, replicate, modification, mean + effect + noise))
    return pd.DataFrame(records, columns=["treatment", "replicate", "modification", "log2_intensity"])


def exact_peptide_table(
    cells: Array, sigma1: float, sigma2: float, sigma: float, n: int = 6, seed: int = 0
) -> pd.DataFrame:
    """A balanced table whose unconstrained maximum-likelihood estimates are the given values, to rounding.

    The means and the differences of the pairs of a balanced table are independent, with the variances
    ``sigma_i^2 + sigma^2 / 2`` and ``2 sigma^2``: their empirical moments are made equal to these.

    Parameters
    ----------
    cells : (2, 2) array_like
        Means by treatment and modification.
    """
    rng = np.random.default_rng(seed)
    records = []
    for i, (treatment, sd) in enumerate((("Ctrl", sigma1), ("CCCP", sigma2))):
        normals = rng.standard_normal((2, n))
        normals -= normals.mean(axis=1, keepdims=True)
        normals /= np.sqrt(np.mean(normals**2, axis=1, keepdims=True))
        centre = np.sqrt(sd**2 + sigma**2 / 2.0) * normals[0]
        half = np.sqrt(2.0) * sigma * normals[1] / 2.0
        for replicate in range(n):
            for j, modification in enumerate(("unmodified", "modified")):
                value = cells[i][j] + centre[replicate] + (half[replicate] if j else -half[replicate])
                records.append((treatment, replicate, modification, value))
    return pd.DataFrame(records, columns=["treatment", "replicate", "modification", "log2_intensity"])


def peptide_dense(table: pd.DataFrame, means: dict[str, Array], names: tuple[str, ...]) -> Dense:
    """A peptide table written out.

    Parameters
    ----------
    means : dict of (n,) ndarray
        Columns of the mean design by parameter.
    names : tuple of str
        All parameters in the order of ``x``.
    """
    treated = (table["treatment"] == "CCCP").to_numpy()
    cluster, _ = pd.factorize(table["treatment"] + table["replicate"].astype(str))
    group = np.zeros(cluster.max() + 1, dtype=int)
    group[cluster] = treated
    return Dense(
        response=table["log2_intensity"].to_numpy(),
        mean_design=np.column_stack(list(means.values())),
        random_design=np.ones((len(table), 1)),
        cluster=cluster,
        group=group,
        residual=np.zeros(len(table), dtype=int),
        means=tuple(means),
        sds=(("sigma1",), ("sigma2",)),
        residual_sds=("sigma",),
        names=names,
    )


def peptide_columns(table: pd.DataFrame) -> dict[str, Array]:
    """The columns of the mean design of the recipe `peptide`."""
    treated = (table["treatment"] == "CCCP").to_numpy(dtype=float)
    modified = (table["modification"] == "modified").to_numpy(dtype=float)
    return {
        "mu": np.ones(len(table)),
        "c2": treated,
        "alpha2": modified,
        "b21": treated * (1.0 - modified),
        "b22": treated * modified,
    }
