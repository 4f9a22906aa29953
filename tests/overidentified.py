"""Over-identified models with an independent referee, for the tests of every algorithm.

The referee eliminates the constraint by hand and maximises the dense likelihood (`naive.marginal`) from many starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import referee
from designs import peptide_columns, peptide_dense, peptide_table
from naive import Dense, marginal

import saem
from saem import Fit, Model, recipes

Array = np.ndarray
LN2 = np.log(2.0)


def ratio(x: dict[str, Any]) -> Any:
    """``C = exp(ln(2)^2 / 2 (sigma2^2 - sigma1^2))``."""
    return np.exp(LN2**2 / 2.0 * (x["sigma2"] ** 2 - x["sigma1"] ** 2))


def g(x: dict[str, Any]) -> Any:
    """The posted link."""
    return ratio(x) * (1.0 + 2.0 ** x["b22"]) / (1.0 + 2.0 ** x["b21"])


def log2(z: Any) -> Any:
    return np.log(z) / LN2


@dataclass(frozen=True, eq=False)
class Study:
    """A model, and its constraint solved by hand.

    Attributes
    ----------
    model : Model
    free : tuple of str
        Parameters that the referee varies.
    solved : callable
        The other parameters, from these.
    table : callable
        From a random generator.
    """

    model: Model
    free: tuple[str, ...]
    solved: Callable[[dict[str, Any]], dict[str, Any]]
    table: Callable[[np.random.Generator], pd.DataFrame]

    def dense(self, table: pd.DataFrame) -> Dense:
        names = self.model.parameter_names
        assert names is not None
        if "omega" in names:
            cluster, _ = pd.factorize(table["cluster"])
            return Dense(
                response=table["y"].to_numpy(),
                mean_design=np.column_stack([np.ones(len(table)), table["t"]]),
                random_design=np.ones((len(table), 1)),
                cluster=cluster,
                group=np.zeros(cluster.max() + 1, dtype=int),
                residual=np.zeros(len(table), dtype=int),
                means=("mu", "slope"),
                sds=(("omega",),),
                residual_sds=("sigma",),
                names=names,
            )
        columns = {name: column for name, column in peptide_columns(table).items() if name in names}
        return peptide_dense(table, columns, names)

    def expand(self, z: Array) -> Array:
        """All parameters from the free ones."""
        x = dict(zip(self.free, z, strict=True))
        x |= self.solved(x)
        return np.array([x[name] for name in self.model.parameter_names or ()])

    def reference(self, table: pd.DataFrame, n_starts: int = 8) -> tuple[Array, float]:
        """Constrained maximum by an independent optimiser from several starts."""
        dense, rng = self.dense(table), np.random.default_rng(77)
        spread = np.std(dense.response)
        starts = []
        for _ in range(n_starts):
            start = rng.normal(0.0, 1.0, len(self.free))
            for i, name in enumerate(self.free):
                if name == "mu":
                    start[i] += np.mean(dense.response)
                elif name.startswith(("sigma", "omega")):
                    start[i] = spread * np.exp(rng.normal(-0.7, 0.7))
            starts.append(start)
        sds = [i for i, name in enumerate(self.free) if name.startswith("sigma")]
        z, value = referee.maximise(lambda z: marginal(dense, self.expand(z)), starts, sds)
        return self.expand(z), value


def peptide(recipe: str = "peptide", fixed: dict[str, float] | None = None, **constraints: str) -> Model:
    model = Model.from_text(recipes.text(recipe))
    return model.replace(fixed=fixed or {}, constraints=dict(model.constraints) | constraints)


def scalar_model() -> Model:
    return Model(
        response="y",
        cluster="cluster",
        mean={"mu": "1", "slope": "t"},
        random={"sd": "omega"},
        residual={"sd": "sigma"},
        constraints={"link": "sigma == 0.4 + 1.5 * omega"},
    )


def scalar_table(
    rng: np.random.Generator, omega: float = 0.5, sigma: float = 1.15, n: int = 60, rows: int = 4
) -> pd.DataFrame:
    cluster = np.repeat(np.arange(n), rows)
    t = np.tile(np.arange(rows), n)
    y = 2.0 + 0.3 * t + omega * rng.standard_normal(n)[cluster] + sigma * rng.standard_normal(n * rows)
    return pd.DataFrame({"cluster": cluster, "t": t, "y": y})


def peptides(**parameters: Any) -> Callable[[np.random.Generator], pd.DataFrame]:
    arguments = {"replicates": (12, 10), "missing": 0.15} | parameters
    return lambda rng: peptide_table(rng, **arguments)


SDS = ("sigma1", "sigma2", "sigma")
ADDITIVE = {"b21": 0.0, "b22": 0.0}
TRUE_LINK = {"c2": float(np.exp(LN2**2 / 2.0 * (0.7**2 - 0.4**2))), "b21": 0.0, "b22": 0.0}


def additive_c2(x: dict[str, Any]) -> dict[str, Any]:
    return ADDITIVE | {"c2": ratio(x)}


STUDIES: dict[str, Study] = {
    "b21 = 0": Study(
        peptide(fixed={"b21": 0.0}),
        ("mu", "alpha2", "b22", *SDS),
        lambda x: {"b21": 0.0, "c2": g(x | {"b21": 0.0})},
        peptides(b21=0.0, c2=float(g({"b21": 0.0, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7}))),
    ),
    "b21 = 0, contradicted": Study(
        peptide(fixed={"b21": 0.0}),
        ("mu", "alpha2", "b22", *SDS),
        lambda x: {"b21": 0.0, "c2": g(x | {"b21": 0.0})},
        peptides(b21=0.0, b22=-1.0, c2=3.0),
    ),
    "additive": Study(peptide(fixed=ADDITIVE), ("mu", "alpha2", *SDS), additive_c2, peptides(**TRUE_LINK)),
    "additive, effect too large": Study(
        peptide(fixed=ADDITIVE), ("mu", "alpha2", *SDS), additive_c2, peptides(**TRUE_LINK | {"c2": 3.0})
    ),
    "additive, effect negative": Study(  # g is positive: the link can only push it towards zero
        peptide(fixed=ADDITIVE), ("mu", "alpha2", *SDS), additive_c2, peptides(**TRUE_LINK | {"c2": -0.5})
    ),
    "additive, no replicate variance": Study(
        peptide(fixed=ADDITIVE),
        ("mu", "alpha2", *SDS),
        additive_c2,
        peptides(**TRUE_LINK | {"c2": 1.3, "sigma1": 0.0, "sigma2": 0.0}),
    ),
    "additive, log2 g": Study(
        peptide("peptide_log2", ADDITIVE),
        ("mu", "alpha2", *SDS),
        lambda x: ADDITIVE | {"c2": log2(ratio(x))},
        peptides(**TRUE_LINK | {"c2": 0.3}),
    ),
    "conservation": Study(
        peptide("peptide_conservation", {"b21": 0.0}),
        ("mu", "alpha2", "b22", *SDS),
        lambda x: {
            "b21": 0.0,
            "c2": log2((1.0 + 2.0 ** x["alpha2"]) / ratio(x) / (1.0 + 2.0 ** (x["alpha2"] + x["b22"]))),
        },
        peptides(b21=0.0, b22=1.2, c2=0.2),
    ),
    "conservation, additive": Study(
        peptide("peptide_conservation", ADDITIVE),
        ("mu", "alpha2", *SDS),
        lambda x: ADDITIVE | {"c2": -log2(ratio(x))},
        peptides(**TRUE_LINK | {"c2": -0.5}),
    ),
    "two constraints": Study(
        peptide(fixed=ADDITIVE, ratio="sigma2 == 2 * sigma1"),
        ("mu", "alpha2", "sigma1", "sigma"),
        lambda x: ADDITIVE | {"sigma2": 2.0 * x["sigma1"], "c2": ratio(x | {"sigma2": 2.0 * x["sigma1"]})},
        peptides(**TRUE_LINK),
    ),
    "two constraints, both effects at zero": Study(  # neither can be zero without the other
        peptide(fixed=ADDITIVE, ratio="sigma2 == 2 * sigma1"),
        ("mu", "alpha2", "sigma1", "sigma"),
        lambda x: ADDITIVE | {"sigma2": 2.0 * x["sigma1"], "c2": ratio(x | {"sigma2": 2.0 * x["sigma1"]})},
        peptides(**TRUE_LINK | {"sigma1": 0.0, "sigma2": 0.0}),
    ),
    "two constraints, one with the residual": Study(
        peptide(fixed={"b21": 0.0}, residual="sigma**2 == 0.05 + sigma1**2 / 4"),
        ("mu", "alpha2", "b22", "sigma1", "sigma2"),
        lambda x: {"b21": 0.0, "c2": g(x | {"b21": 0.0}), "sigma": np.sqrt(0.05 + x["sigma1"] ** 2 / 4.0)},
        peptides(b21=0.0),
    ),
    "means only": Study(
        peptide("peptide_unconstrained", curve="b22 == exp(b21 / 2) - alpha2 / 4"),
        ("mu", "alpha2", "b21", *SDS),
        lambda x: {"b22": np.exp(x["b21"] / 2.0) - x["alpha2"] / 4.0},
        peptides(b21=0.6, b22=0.9, c2=0.0),
    ),
    "means only, two maxima": Study(
        peptide("peptide_unconstrained", square="b22 == b21**2 - alpha2 / 2"),
        ("mu", "alpha2", "b21", *SDS),
        lambda x: {"b22": x["b21"] ** 2 - x["alpha2"] / 2.0},
        peptides(b21=0.6, b22=0.9, c2=0.0),
    ),
    "scalar link": Study(
        scalar_model(),
        ("mu", "slope", "omega_root"),  # the link is odd in omega: its square root makes all even
        lambda x: {"omega": x["omega_root"] ** 2, "sigma": 0.4 + 1.5 * x["omega_root"] ** 2},
        scalar_table,
    ),
    "scalar link, contradicted": Study(
        scalar_model(),
        ("mu", "slope", "omega_root"),
        lambda x: {"omega": x["omega_root"] ** 2, "sigma": 0.4 + 1.5 * x["omega_root"] ** 2},
        lambda rng: scalar_table(rng, omega=1.5, sigma=0.5),
    ),
    "scalar link, at zero": Study(  # the residuals are smaller than the link allows for any omega > 0
        scalar_model(),
        ("mu", "slope", "omega_root"),
        lambda x: {"omega": x["omega_root"] ** 2, "sigma": 0.4 + 1.5 * x["omega_root"] ** 2},
        lambda rng: scalar_table(rng, omega=0.1, sigma=0.3),
    ),
}
SEEDS = range(2)


@lru_cache(maxsize=256)
def solved(name: str, seed: int) -> tuple[pd.DataFrame, Array, float]:
    """Table, and the referee's estimates and log-likelihood."""
    study = STUDIES[name]
    table = study.table(np.random.default_rng([31, seed]))
    return table, *study.reference(table, 8 if seed < 100 else 24)


@lru_cache(maxsize=256)
def direct(name: str, seed: int) -> Fit:
    return saem.fit(STUDIES[name].model, solved(name, seed)[0], "ml")
