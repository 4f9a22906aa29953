"""Plain linear mixed models, ML and REML, against a dense optimiser: several groups, shared SDs, singular matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from designs import Case, random_case
from naive import Dense, gradient, marginal, random_covariance, restricted
from scipy.optimize import minimize
from selecting import few

import saem
from saem import Fit, Model

Array = np.ndarray

CASES: dict[str, dict[str, Any]] = {
    "intercept, arms and kinds": {"arms": 2, "kinds": 2},
    "slope, diagonal, kinds": {"terms": 2, "kinds": 2},
    "slope, full": {"terms": 2, "covariance": "full"},
    "slope, full, arms": {"terms": 2, "arms": 2, "covariance": "full"},
    "three terms, full": {"terms": 3, "covariance": "full"},
    "shared by arms": {"arms": 3, "shared": "arms"},
    "shared by terms, full": {"terms": 2, "covariance": "full", "shared": "terms"},
    "shared by effect and residual": {"kinds": 2, "terms": 2, "shared": "residual"},
}
LARGE = {"three terms, full, arms and kinds": {"terms": 3, "arms": 2, "kinds": 2, "covariance": "full"}}
LIKELIHOODS: dict[str, Callable[[Dense, Array], Any]] = {"ml": marginal, "reml": restricted}


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_a_fixed_mean_is_an_offset(method: str) -> None:
    """It costs no degree of freedom; of means that repeat each other REML counts the independent ones, as lme4 does."""
    rng = np.random.default_rng(3)
    cluster, x = np.repeat(np.arange(20), 4), np.tile(np.arange(4.0), 20)
    y = 1.0 + 0.5 * x + rng.normal(size=20)[cluster] + 0.7 * rng.normal(size=80)
    table = pd.DataFrame({"cluster": cluster, "x": x, "y": y, "less": y - 0.5 * x})
    parts = {"cluster": "cluster", "random": {"sd": "omega"}, "residual": {"sd": "sigma"}}
    model = Model(response="y", mean={"mu": "1", "slope": "x"}, **parts)
    fixed = saem.fit(model.replace(fixed={"slope": 0.5}), table, method)
    offset = saem.fit(Model(response="less", mean={"mu": "1"}, **parts), table, method)
    assert fixed.loglik == pytest.approx(offset.loglik, abs=1e-9)
    np.testing.assert_allclose(fixed.values[[0, 2, 3]], offset.values, rtol=1e-7)
    free = saem.fit(model, table, method)
    assert abs(free.loglik - offset.loglik) > 0.1, "the comparison can fail"
    repeated = saem.fit(Model(response="y", mean={"mu": "1", "slope": "x", "again": "2 * x"}, **parts), table, method)
    assert repeated.status == "not_identified"
    assert repeated.loglik == pytest.approx(free.loglik, abs=1e-8)


@pytest.mark.parametrize("seeds", [(0, 1, 2), pytest.param(tuple(range(3, 12)), marks=pytest.mark.slow)], ids=len)
def test_residuals_of_one_group_may_vanish(seeds: tuple[int, ...]) -> None:
    """Two rows a cluster, with residuals of their own: the likelihood is bounded, and often largest at zero.

    Its limit is compared with a search over the logarithms of the SDs, which runs towards it.
    """
    at_zero = 0
    for seed in seeds:
        rng = np.random.default_rng([8, seed])
        cluster, kind = np.repeat(np.arange(24), 2), np.tile([0, 1], 24)
        y = 10.0 - kind + rng.normal(size=24)[cluster] * 0.8 + rng.normal(size=48) * np.where(kind == 1, 0.5, 0.05)
        table = pd.DataFrame({"cluster": cluster, "kind": kind, "y": y})
        model = Model(
            response="y",
            cluster="cluster",
            mean={"mu": "1", "al": "kind"},
            random={"sd": "sb"},
            residual={"by": "kind", "sd": {"0": "r0", "1": "r1"}},
        )
        dense = Dense(
            response=y,
            mean_design=np.column_stack([np.ones(48), kind]),
            random_design=np.ones((48, 1)),
            cluster=cluster,
            group=np.zeros(24, dtype=int),
            residual=kind,
            means=("mu", "al"),
            sds=(("sb",),),
            residual_sds=("r0", "r1"),
            names=("mu", "al", "sb", "r0", "r1"),
        )

        def loss(z: Array, dense: Dense = dense) -> float:
            return -float(marginal(dense, np.array([z[0], z[1], *np.exp(np.maximum(z[2:], -7.0))])))

        starts = [[10, -1, -0.3, np.log(r0), np.log(r1)] for r0, r1 in ((0.05, 0.5), (0.5, 0.05), (0.3, 0.3))]
        best = max(-minimize(loss, start, method="BFGS").fun for start in starts)
        exact = saem.fit(model, table, "ml")
        assert exact.loglik == pytest.approx(best, abs=5e-5)
        assert exact.status == ("boundary" if exact.at_boundary else "converged")
        assert set(exact.at_boundary) == {n for n, x in zip(dense.names, exact.values, strict=True) if x == 0.0}
        fit = saem.fit(model, table, "saem")
        assert fit.loglik > exact.loglik - 0.02 or fit.status == "not_converged"
        at_zero += bool(exact.at_boundary)
    assert 0 < at_zero < len(seeds)


def test_a_singular_maximum_with_a_shared_standard_deviation() -> None:
    """The referee has the rows of a Cholesky factor scaled to length one, and the logarithms of two SDs."""
    rng, n, rows = np.random.default_rng(0), 20, 8
    cluster = np.repeat(np.arange(n), rows)
    a, b = rng.normal(size=(2, n * rows))
    y = rng.normal(size=n)[cluster] * (1.0 + 0.5 * a - 0.5 * b) + rng.normal(size=n * rows)
    design, same = np.column_stack([np.ones(n * rows), a, b]), cluster[:, None] == cluster

    def deviance(p: Array) -> float:
        factor = np.zeros((3, 3))
        factor[np.tril_indices(3)] = p[:6]
        factor *= (np.exp(p[[6, 6, 7]]) / np.sqrt(np.sum(factor**2, axis=1)))[:, None]
        covariance = (design @ factor @ factor.T @ design.T) * same + np.exp(2.0 * p[8]) * np.eye(n * rows)
        root = np.linalg.cholesky(covariance)
        ones, response = np.linalg.solve(root, np.column_stack([np.ones(n * rows), y])).T
        residual = response - ones * (ones @ response) / (ones @ ones)
        return float(2.0 * np.sum(np.log(np.diag(root))) + residual @ residual + n * rows * np.log(2.0 * np.pi))

    starts = ([1, 0.5, 1, -0.5, 0, 1, -0.5, -0.5, 0], [1, 0.9, 0.3, -0.9, 0, 0.3, -0.3, -0.6, 0])
    reference = -0.5 * min(minimize(deviance, start, method="BFGS").fun for start in starts)
    random = {
        "terms": {"i": "1", "a": "a", "b": "b"},
        "covariance": "full",
        "sd": {"i": "s", "a": "s", "b": "sb"},
    }
    model = Model(response="y", cluster="cluster", mean={"mu": "1"}, random=random, residual={"sd": "sigma"})
    fit = saem.fit(model, pd.DataFrame({"cluster": cluster, "a": a, "b": b, "y": y}), "ml")
    assert fit.loglik == pytest.approx(reference, abs=1e-6)
    assert fit.status == "boundary" and fit.gradient_norm < 1e-6


def simulated(options: dict[str, Any], seed: int) -> Case:
    """A random design with responses drawn from the model; some SDs are nearly zero.

    With several residual groups there are more clusters: a group with fewer rows than random effects and means can be
    fitted exactly, which makes the likelihood unbounded (and the fit says so).
    """
    rng = np.random.default_rng([51, seed])
    sizes = [30, 60] if options.get("kinds", 1) > 1 else [8, 14, 30]
    case = random_case(seed, **options, n_clusters=int(rng.choice(sizes)))
    names = case.dense.names
    x = case.point(names, rng)
    for i, name in enumerate(names):
        if name.startswith("sd") and name not in case.dense.residual_sds and rng.random() < 0.3:
            x[i] = 0.05
    return case.simulated(x, names, rng)


class Unrestricted:
    """Coordinates without bounds: SDs of either sign, and for a full matrix of each group its Cholesky factor."""

    def __init__(self, case: Case) -> None:
        self.case, dense = case, case.dense
        self.full = [
            g for g in range(len(dense.sds)) if dense.correlations and len(set(dense.sds[g])) == len(dense.sds[g])
        ]
        inside = {name for g in self.full for name in dense.sds[g]} | set(dense.correlations.values())
        self.plain = [name for name in dense.names if name not in inside]
        self.plain += [name for (g, _, _), name in dense.correlations.items() if g not in self.full]
        self.q = len(dense.sds[0])

    def start(self, rng: np.random.Generator) -> Array:
        plain = [
            np.exp(rng.normal(-0.5, 0.5)) if self.case.kinds[name] == "sd" else rng.normal(0.0, 0.5)
            for name in self.plain
        ]
        factors = [
            (np.diag(np.exp(rng.normal(-0.5, 0.5, self.q))) + 0.1 * rng.standard_normal((self.q, self.q)))[
                np.tril_indices(self.q)
            ]
            for _ in self.full
        ]
        return np.concatenate([plain, *factors])

    def parameters(self, z: Array) -> Array:
        dense = self.case.dense
        x = np.zeros(len(dense.names), dtype=z.dtype)
        for name, value in zip(self.plain, z, strict=False):
            x[dense.names.index(name)] = np.tanh(value) if self.case.kinds[name] == "corr" else value
        size = self.q * (self.q + 1) // 2
        for k, g in enumerate(self.full):
            factor = np.zeros((self.q, self.q), dtype=z.dtype)
            begin = len(self.plain) + k * size
            factor[np.tril_indices(self.q)] = z[begin : begin + size]
            omega = factor @ factor.T
            sd = np.sqrt(np.diag(omega))
            x[dense.at(dense.sds[g])] = sd
            for (group, i, j), name in dense.correlations.items():
                if group == g:
                    x[dense.names.index(name)] = omega[i, j] / (sd[i] * sd[j])
        return x


def dense_maximum(case: Case, method: str, n_starts: int) -> float:
    """Highest log-likelihood that BFGS finds."""
    coordinates, likelihood, rng = Unrestricted(case), LIKELIHOODS[method], np.random.default_rng(9)

    def function(z: Array) -> Any:
        return likelihood(case.dense, coordinates.parameters(z))

    def objective(z: Array) -> float:
        try:
            with np.errstate(all="ignore"):
                value = -float(np.real(function(z)))
        except np.linalg.LinAlgError:
            return 1e10
        return value if np.isfinite(value) else 1e10

    def slope(z: Array) -> Array:
        try:
            with np.errstate(all="ignore"):
                return np.nan_to_num(-gradient(function, z))
        except np.linalg.LinAlgError:
            return np.zeros(len(z))

    starts = [coordinates.start(rng) for _ in range(n_starts)]
    return -min(minimize(objective, z, jac=slope, method="BFGS", options={"gtol": 1e-7}).fun for z in starts)


def check_plain(fit: Fit, case: Case, method: str, best: float) -> None:
    """Not lower than the referee (which may fail from all its starts), and really a point of that height."""
    dense = case.dense.with_names(fit.parameters.names)
    assert LIKELIHOODS[method](dense, fit.values) == pytest.approx(fit.loglik, abs=1e-8)
    assert fit.loglik > best - 1e-6
    assert np.min(np.linalg.eigvalsh(random_covariance(dense, fit.values))) > -1e-9
    assert fit.status in ("converged", "boundary")
    assert (fit.status == "boundary") == bool(fit.at_boundary)
    assert fit.gradient_norm < 1e-6  # of a singular covariance matrix, rounding leaves some 1e-7


def check_case(options: dict[str, Any], seed: int, n_starts: int) -> None:
    case = simulated(options, seed)
    for method in LIKELIHOODS:
        fit = saem.fit(Model(**case.model), case.table, method)
        check_plain(fit, case, method, dense_maximum(case, method, n_starts))


@pytest.mark.parametrize(
    "name",
    few(
        CASES, ["intercept, arms and kinds", "slope, full, arms", "three terms, full", "shared by effect and residual"]
    ),
)
def test_plain_models(name: str) -> None:
    check_case(CASES[name], seed=0, n_starts=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES | LARGE)
def test_plain_models_on_many(name: str) -> None:
    wrong = []
    for seed in range(10):
        try:
            check_case((CASES | LARGE)[name], seed, n_starts=5)
        except (AssertionError, saem.SaemError) as error:
            wrong.append(f"{seed}: {error}")
    assert not wrong, "\n".join(wrong)


def test_mutants_are_caught() -> None:
    """A boundary estimate where the maximum is inside, and ML in place of REML."""
    case = simulated(CASES["slope, full"], 1)
    best = {method: dense_maximum(case, method, 2) for method in LIKELIHOODS}
    model = Model(**case.model)
    fits = {method: saem.fit(model, case.table, method) for method in LIKELIHOODS}
    diagonal = saem.fit(
        model.replace(random=model.random.model_copy(update={"covariance": "diagonal"})), case.table, "ml"
    )
    check_plain(fits["ml"], case, "ml", best["ml"])
    with pytest.raises(AssertionError):
        check_plain(fits["ml"], case, "reml", best["reml"])
    assert diagonal.loglik < best["ml"] - 1e-6
