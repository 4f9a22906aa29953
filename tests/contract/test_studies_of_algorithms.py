"""The studies `algorithms*`, `calibration*` and `msteps`: true values, measures of their own, finite numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import saem
from experiments.harness.performance import COLUMNS
from experiments.harness.running import job_of
from experiments.harness.study import Cell, load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import Task, run_task
from experiments.studies import complete_data, equal_cost, own_rule
from experiments.studies.problems import problem_of, problems, subjects, truth_of
from saem.algorithms.bayes.algorithm import Bayes
from saem.errors import ModelError
from saem.expressions.constraint import compile_constraints
from saem.fitting.fit import METHODS
from saem.mstep.maximisers import MAXIMISERS

STUDIES = Path(complete_data.__file__).parent
ON_PROBLEMS = ("algorithms", "algorithms_slopes", "calibration", "calibration_slopes")
FAR = 4.5  # standard errors: false alarms of the 30 comparisons below 3e-4


def path_of(name: str) -> Path:
    return STUDIES / f"{name}.toml"


def msteps() -> ModuleType:
    """The functions of the study `msteps`, as the harness loads them."""
    import sys

    estimate = functions_in(path_of("msteps").with_suffix(".py").resolve()).estimate
    return sys.modules[estimate.__module__]


# True values


def check_satisfies(model: saem.Model, truth: dict[str, float]) -> None:
    names = tuple(truth)
    assert set(names) == set(model.parameter_names or names)
    for name, value in model.fixed.items():
        assert truth[name] == value
    residuals = compile_constraints(model.constraints, names).evaluate(np.array([truth[name] for name in names]))[0]
    assert np.max(np.abs(residuals), initial=0.0) < 1e-12


def test_the_truth_satisfies_the_constraints() -> None:
    every = [*problems().values(), subjects(18)]
    for problem in every:
        check_satisfies(problem.model, dict(problem.truth))
    for tied in msteps().problems().values():
        check_satisfies(tied.model, tied.truth)
    wrong = dict(every[0].truth) | {"sigma1": 0.5}  # a mutant: c2 is not what the link demands
    with pytest.raises(AssertionError):
        check_satisfies(every[0].model, wrong)


@pytest.mark.parametrize("name", ON_PROBLEMS)
@pytest.mark.parametrize("quick", [True, False])
def test_every_estimand_has_a_truth_unless_it_is_fixed(name: str, quick: bool) -> None:
    study = load_study(path_of(name), quick)
    for cell in study.design.all():
        truth, fixed = truth_of(cell), problem_of(cell).model.fixed
        assert {e for e in study.estimands if not np.isfinite(truth[e])} == set(fixed)
        assert set(study.estimands) == set(truth)


@pytest.mark.parametrize("name", ["few", "over", "missing", "slopes"])
def test_the_maximum_tends_to_the_truth(name: str) -> None:
    """At 100,000 clusters it is within 4.5 standard errors; a truth that is 3 % off is not."""
    from dataclasses import replace

    from experiments.studies.peptide import peptide_design

    problem = problems()[name]
    large = subjects(100_000) if name == "slopes" else replace(problem, design=peptide_design(50_000))
    fit = saem.fit(large.model, large.table(7), "ml")
    known = [name for name in fit.parameters.names if name not in large.model.fixed]
    table = fit.estimates.loc[known]
    truth = np.array([large.truth[name] for name in known])
    z = (table["estimate"] - truth) / table["se"]
    assert np.max(np.abs(z)) < FAR
    assert np.max(np.abs((table["estimate"] - 1.03 * truth) / table["se"])) > FAR


def test_a_problem_that_there_is_not() -> None:
    with pytest.raises(ModelError, match=r"there is no problem 'postd' [(]did you mean 'posted'"):
        problem_of(Cell({"problem": "postd"}))


# Methods


def test_no_method_is_forgotten() -> None:
    """Every simulating method, and every maximiser."""
    both = [load_study(path_of(name)) for name in ("algorithms", "algorithms_slopes")]
    listed = {method.options["method"] for study in both for method in study.methods.values()}
    assert listed == {name for name, make in METHODS.items() if name not in ("reml", "laplace") and make is not Bayes}
    found = load_study(path_of("msteps"))
    assert {method.options["maximiser"] for method in found.methods.values()} == {*MAXIMISERS, "referee"}


CHEAPEST = {
    "algorithms": ({"problem": "small", "budget": 300_000}, None),
    "algorithms_slopes": ({"subjects": 50, "budget": 300_000}, ("ml", "px_saem", "saem", "chains")),
    "calibration": ({"problem": "over"}, ("ml", "saem", "mcem", "stochastic_newton")),
    "calibration_slopes": ({"subjects": 50}, ("ml", "saem", "px_saem")),
    "msteps": ({"problem": "over", "replicates": 4, "start": "far"}, None),
}


@pytest.mark.parametrize("name", CHEAPEST)
def test_a_replicate_gives_finite_numbers(name: str) -> None:
    """Of everything that is estimated in the cell, by every method of the study or the quickest of them."""
    levels, chosen = CHEAPEST[name]
    study, cell = load_study(path_of(name), quick=True), Cell(levels)
    assert cell in study.design.all()
    job = job_of(study, path_of(name))
    records = run_task(job, Task(cell, 0, chosen or tuple(study.methods))).records
    for record in records:
        assert record["status"] in ("ok", "not_converged"), record["message"]
        assert record["warnings"] == []
        assert np.isfinite(record["loglik"]) and (np.isfinite(record["draws"]) or name == "msteps")
        estimates = dict(zip(job.estimands, np.array(record["numbers"])[:, 0], strict=True))
        fixed = problem_of(cell).model.fixed if name != "msteps" else {"b21": 0.0}
        assert {e for e, value in estimates.items() if not np.isfinite(value)} == set(fixed)
        if "budget" in levels and record["draws"] > 0:
            assert 0.5 * levels["budget"] <= record["draws"] <= 1.1 * levels["budget"]


# Measures of their own


def rows_of(fits: list[dict[str, object]]) -> pd.DataFrame:
    """Two estimands a fit, ``t`` with its standard error of 1 and ``f`` without; the rest is nan."""
    rows = []
    for fit in fits:
        for estimand, se in (("t", 1.0), ("f", np.nan)):
            row = dict.fromkeys(COLUMNS, np.nan) | {"cell": "only", "estimand": estimand, "se": se} | fit
            rows.append(row | ({} if estimand == "t" else {"estimate": row.get("residual", np.nan), "mcse": np.nan}))
    return pd.DataFrame(rows)


def fit_of(replicate: int, method: str, estimate: float, loglik: float, status: str = "ok", mcse: float = 0.04) -> dict:
    return {
        "replicate": replicate,
        "method": method,
        "estimate": estimate,
        "loglik": loglik,
        "status": status,
        "mcse": mcse,
    }


BY_HAND = [
    *(fit_of(k, "ml", 2.0, -10.0, "ok" if k < 7 else "not_converged", 0.0) for k in range(8)),
    fit_of(0, "saem", 2.10, -10.005),  # meets both
    fit_of(1, "saem", 1.90, -10.011),  # too low
    fit_of(2, "saem", 2.16, -10.002),  # too far
    fit_of(3, "saem", 2.30, -10.500, "not_converged"),  # claims nothing
    fit_of(4, "saem", 1.98, -10.001, mcse=0.06),  # meets both, with an MCSE that does not
    fit_of(5, "saem", np.nan, np.nan, "error"),
    fit_of(7, "saem", 9.00, -10.001),  # there is no maximum to compare with
]


def measured(found: pd.DataFrame, method: str = "saem") -> dict[str, tuple[float, float, int]]:
    own = found[found["method"] == method].set_index("measure")
    assert (own["estimand"] == "").all()
    return {name: (row["value"], row["mcse"], row["n"]) for name, row in own.iterrows()}


def check_own_rule(performance: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    own = measured(performance(rows_of(BY_HAND)))
    away = np.array([0.10, 0.10, 0.16, 0.02])
    assert own["targets_met"] == pytest.approx((2 / 4, np.sqrt(0.25 / 4), 4))
    assert own["deficit_met"] == pytest.approx((3 / 4, np.sqrt(0.1875 / 4), 4))
    assert own["mcse_met"] == pytest.approx((3 / 4, np.sqrt(0.1875 / 4), 4))
    assert own["largest_distance"] == pytest.approx((away.mean(), away.std(ddof=1) / 2, 4))


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("ALLOWANCE", 1.0),
        ("ALLOWANCE", 4.0),
        ("CONVERGED", ("ok", "not_converged")),
        ("TARGET", saem.Target(0.07, 0.1)),
    ],
)
def test_the_share_of_true_claims(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, and a mutant that is not as strict, or stricter, or takes what claims nothing."""
    check_own_rule(own_rule.performance)
    monkeypatch.setattr(own_rule, name, mutant)
    with pytest.raises(AssertionError):
        check_own_rule(own_rule.performance)


def check_equal_cost(performance: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    own = measured(performance(rows_of(BY_HAND)))
    away = np.array([0.10, 0.10, 0.16, 0.30, 0.02])
    assert own["largest_distance"] == pytest.approx((away.mean(), away.std(ddof=1) / np.sqrt(5), 5))
    assert own["rms_largest_distance"][0] == pytest.approx(np.sqrt(np.mean(away**2)))
    assert own["deficit_met"] == pytest.approx((3 / 6, np.sqrt(0.25 / 6), 6)), "one that failed is not near"


def test_distances_at_equal_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand; the mutant compares with the maximum of any data set."""
    check_equal_cost(equal_cost.performance)
    beside = equal_cost.beside

    def unpaired(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
        fits = beside(rows, reference)
        return fits.assign(distance=np.roll(fits["distance"], 1), deficit=fits["deficit"] - 0.001)

    monkeypatch.setattr(equal_cost, "beside", unpaired)
    with pytest.raises(AssertionError):
        check_equal_cost(equal_cost.performance)


def search_of(replicate: int, method: str, estimate: float, q: float, status: str, residual: float) -> dict:
    return fit_of(replicate, method, estimate, q, status, np.nan) | {"residual": residual}


SEARCHES = [
    *(search_of(k, "referee", 1.0, -5.0, "ok", 0.0) for k in range(5)),
    search_of(0, "sqp", 1.0 + 1e-5, -5.0, "ok", 1e-12),
    search_of(1, "sqp", 1.0, -5.0 - 1e-7, "ok", 3e-12),
    search_of(2, "sqp", 4.0, -7.0, "ok", 2e-12),  # a lower maximum, called converged
    search_of(3, "sqp", 1.0, -5.0, "not_converged", 1e-3),  # does not know that it is there
    search_of(4, "sqp", 3.0, -4.0, "not_converged", 1.0),  # too high: not on the constraints
]


def check_searches(performance: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    rows = rows_of(SEARCHES).replace({"estimand": {"f": "residual"}})
    own = measured(performance(rows), "sqp")
    assert own["maximum_rate"] == pytest.approx((3 / 5, np.sqrt(0.24 / 5), 5))
    assert own["wrong_claims"] == pytest.approx((1 / 3, np.sqrt(2 / 9 / 3), 3))
    assert own["median_residual"][0] == 3e-12
    assert own["largest_distance"][0] == pytest.approx(1e-5 / 3)


@pytest.mark.parametrize(("name", "mutant"), [("DEFICIT", 3.0), ("DISTANCE", 1e-6), ("CONVERGED", ("not_converged",))])
def test_the_share_of_searches_that_find_the_maximum(
    name: str, mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = msteps()
    check_searches(module.performance)
    monkeypatch.setattr(module, name, mutant)
    if name == "DEFICIT":  # too tolerant of one alone is noticed by the other
        monkeypatch.setattr(module, "DISTANCE", 10.0)
    with pytest.raises(AssertionError):
        check_searches(module.performance)


# The referee of M-steps


def check_moments(expected: Callable[..., complete_data.Moments]) -> None:
    """Q of the referee is that of the compiled code, at points off the constraints, too."""
    module = msteps()
    rng = np.random.default_rng(5)
    for problem in module.problems():
        data = module.prepared(Cell({"problem": problem, "replicates": 5}), 3)
        moments = expected(data.table, module.problems()[problem].truth)
        names, free = data.solver.problem.parameters.names, data.solver.free
        for _ in range(3):
            x = data.starts["iterate"] * np.where(free, np.exp(0.3 * rng.standard_normal(len(names))), 1.0)
            value = data.solver.derivatives(data.solver.complete(data.statistics), x).value
            own = complete_data.objective(moments, dict(zip(names, x, strict=True)))
            assert own == pytest.approx(value, rel=1e-11)


def test_the_referee_has_the_same_objective() -> None:
    """The mutant leaves out the variance of the random effects given the data."""
    check_moments(complete_data.expected)

    def without_variance(table: pd.DataFrame, x: dict[str, float]) -> complete_data.Moments:
        from dataclasses import replace

        found = complete_data.expected(table, x)
        variance = 1.0 / (np.array([x["sigma1"], x["sigma2"]]) ** -2 + 2 * x["sigma"] ** -2)
        return replace(found, t=found.t - found.clusters * variance)

    with pytest.raises(AssertionError):
        check_moments(without_variance)


def test_the_referee_in_closed_form() -> None:
    """The saturated constraint costs nothing: cell means and moments are the maximum. `over` is lower."""
    module = msteps()
    for problem, is_saturated in (("posted", True), ("over", False)):
        cell = Cell({"problem": problem, "replicates": 6})
        data = module.prepared(cell, 4)
        top = module.refereed(data, cell)
        moments = complete_data.expected(data.table, module.problems()[problem].truth)
        means = moments.s1 / moments.n
        rest = np.sum(moments.s2 - moments.n * means**2) / moments.n.sum()
        best = dict(zip(("sigma1", "sigma2"), np.sqrt(moments.t / moments.clusters), strict=True))
        best |= {"sigma": np.sqrt(rest), "mu": means[0], "alpha2": means[1] - means[0], "c2": 0.0}
        best |= {"b21": means[2] - means[0], "b22": means[3] - means[1]}
        above = complete_data.objective(moments, best) - top.value
        assert above == pytest.approx(0.0, abs=1e-10) if is_saturated else above > 1e-3


def test_measures_of_a_study_that_has_only_begun() -> None:
    """Without any maximum there is nothing to measure, and no error."""
    begun = rows_of([fit_of(0, "saem", 2.0, -10.0), fit_of(0, "ml", np.nan, np.nan, "timeout")])
    assert not len(own_rule.performance(begun)) and not len(equal_cost.performance(begun))
    assert not len(msteps().performance(begun.replace({"estimand": {"f": "residual"}})))
    claims_nothing = rows_of([fit_of(0, "saem", 2.0, -10.0, "not_converged"), fit_of(0, "ml", 2.0, -10.0)])
    assert own_rule.performance(claims_nothing)["value"].isna().all()
