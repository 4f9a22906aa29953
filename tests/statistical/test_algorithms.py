"""Each algorithm of the family has what its paper promises; a mutant of each that has not is noticed.

All seeds are fixed. The problem is over-identified (b21 = 0), so that the maximum is not where the algorithms start.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawing import drawn
from linear_family import PEPTIDE, peptide_design
from scipy.stats import binom, chi2
from selecting import few

import saem
from experiments.harness.study.cells import Cell
from experiments.studies import headline
from saem import Fit, Model, recipes
from saem.algorithms.annealed_saem import AnnealedIteration, AnnealedSAEM
from saem.algorithms.ascent_mcem import AscentMCEM
from saem.algorithms.booth_hobert import BoothHobert
from saem.algorithms.engine import spending
from saem.algorithms.engine.expanded import ExpandedIteration
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.truncation import Truncation
from saem.algorithms.fisher_gradient import FisherGradient
from saem.algorithms.independent_chains import IndependentChains, pursue
from saem.algorithms.minibatch_saem import MiniBatchSAEM
from saem.algorithms.px_saem import PXSAEM
from saem.algorithms.saem import SAEM
from saem.algorithms.stochastic_newton import NewtonIteration, StochasticNewton
from saem.errors import ModelError, MStepError
from saem.families import arrange, pose
from saem.families.problem import Problem
from saem.schedules import AveragedSchedule, GrowingSchedule, NewtonSchedule, RobbinsMonroSchedule
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide")).replace(fixed={"b21": 0.0})
PLAIN = Model.from_text(recipes.text("peptide_unconstrained"))
ONCE = Target(max_iterations=0)
SHORT = AveragedSchedule(burn_in=150, iterations=500, transient=100)


@cache
def posed(model: Model = MODEL, replicates: int = 12) -> tuple[Problem, Fit]:
    """A problem of 12 + 12 replicates, and the maximum."""
    truth = {key: value for key, value in PEPTIDE.items() if key != "b21" or "b21" not in model.fixed}
    table = saem.simulate(model, truth, peptide_design(replicates), 1)
    return pose(model, arrange(model, table)), saem.fit(model, table, "ml")


def standardised(method: Any, n: int, model: Model = MODEL) -> np.ndarray:
    """(estimate - maximum) / MCSE for ``n`` seeds (n, p), of the parameters that have a Monte Carlo error."""
    problem, ml = posed(model)
    outcomes = [method.run(problem, seed) for seed in range(n)]
    mcse = np.array([outcome.mcse for outcome in outcomes])
    touched = (mcse > 1e-9).all(axis=0)
    assert touched.sum() >= 5
    return np.asarray((np.array([outcome.x for outcome in outcomes]) - ml.values)[:, touched] / mcse[:, touched])


def check_calibration(z: np.ndarray) -> None:
    """Spread within 0.85 to 1.2 and mean within 0.25, apart from what the number of seeds adds to it.

    For each of up to 7 parameters: spread beyond the 10^-5 quantiles of chi-square, mean beyond 4.4 standard errors. If
    the true values lie within the bounds, a false alarm has a probability below 3e-4.
    """
    n = len(z)
    low, high = np.sqrt(chi2.ppf([1e-5, 1 - 1e-5], n - 1) / (n - 1))
    spread = z.std(axis=0, ddof=1)
    assert np.isfinite(z).all()
    assert (spread > 0.85 * low).all() and (spread < 1.2 * high).all(), f"spread {spread.round(2)}"
    assert np.abs(z.mean(axis=0)).max() < 0.25 + 4.4 / np.sqrt(n), f"mean {z.mean(axis=0).round(2)}"


CALIBRATED = {
    "annealed": AnnealedSAEM(SHORT, target=ONCE, annealing=75),
    "mini-batch": MiniBatchSAEM(SHORT, target=ONCE),
    "Newton": StochasticNewton(NewtonSchedule(burn_in=100, iterations=60, offset=10), target=ONCE),
    "Fisher": FisherGradient(replace(SHORT, exponent=0.6), target=ONCE),
    "Booth-Hobert": BoothHobert(),
    "chains": IndependentChains(SAEM(SHORT, target=ONCE), 3),
    "last iterate": SAEM(RobbinsMonroSchedule(150, 600, 0.6), target=ONCE),
}


@pytest.mark.parametrize("name", few([name for name in CALIBRATED if name != "Booth-Hobert"], ["annealed", "Newton"]))
def test_estimates_scatter_as_reported(name: str) -> None:
    check_calibration(standardised(CALIBRATED[name], 8))


@pytest.mark.slow
@pytest.mark.parametrize("name", CALIBRATED)
def test_estimates_scatter_as_reported_over_more_seeds(name: str) -> None:
    check_calibration(standardised(CALIBRATED[name], 40))


@pytest.mark.slow
def test_the_expanded_estimates_scatter_as_reported() -> None:
    """Less is missing than in SAEM, and that is what is reported: the mutant reports the error of SAEM."""
    method = PXSAEM(SHORT, target=ONCE)
    check_calibration(standardised(method, 25, PLAIN))
    problem, _ = posed(PLAIN)
    sds = slice(-3, -1)  # sigma1 and sigma2, the ones that the expansion helps
    px = np.array(method.run(problem, 0).mcse)[sds]
    plain = np.array(SAEM(SHORT, target=ONCE).run(problem, 0).mcse)[sds]
    assert (px < 0.6 * plain).all()


# Mutants


class NoMissing(NewtonIteration):
    """Mutant: the complete-data information in place of Louis' (a gradient step of EM)."""

    def root(self, chain, at, multipliers, free):  # type: ignore[no-untyped-def]
        chain.memory["missing"][:] = 0.0
        return super().root(chain, at, multipliers, free)


class NotReduced(ExpandedIteration):
    """Mutant: the working parameters are forgotten instead of being reduced."""

    def maximised(self, chain, statistics, tolerance, constrained=True):  # type: ignore[no-untyped-def]
        kept = self.expansion
        n = len(chain.pinned)
        self.expansion = replace(kept, reduced=lambda x: x[:n])
        try:
            return super().maximised(chain, statistics, tolerance, constrained)
        finally:
            self.expansion = kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "mutant", "model"),
    [
        (replace(CALIBRATED["Newton"], augmentation="uncentred"), NoMissing, MODEL),  # more is missing
        (PXSAEM(SHORT, target=ONCE), NotReduced, PLAIN),
    ],
)
def test_mutants_are_noticed(method: Any, mutant: type, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    own = type(method).iteration

    def iteration(self: Any, *arguments: Any) -> Any:
        made = own(self, *arguments)
        made.__class__ = mutant
        return made

    monkeypatch.setattr(type(method), "iteration", iteration)
    with pytest.raises((AssertionError, MStepError)):
        check_calibration(standardised(method, 40, model))


@pytest.mark.slow
def test_the_noise_of_mini_batches_is_correlated() -> None:
    """Means over 300 iterations at a fixed estimate: their spread is that of ``2 - share`` times as many new draws.

    Spread of 150 means within 5 of its standard errors (0.06); the mutant takes the draws for new ones and is 1.38 off.
    """
    problem, ml = posed()
    share, z = 0.1, []
    method = MiniBatchSAEM(share=share)
    statistics = np.array([drawn(problem, ml.values, 1, m=1, seed=seed)[0] for seed in range(4000)])
    for seed in range(150):
        iteration = method.iteration(problem, seed)
        chain, total = iteration.begin(ml.values), np.zeros(problem.latent.n_statistics)
        for _ in range(300):
            iteration.draw(chain, 1)
            total += chain.state.latest
        one = np.sqrt(statistics.var(axis=0) / (300 * iteration.share))
        z.append(((total / 300 - statistics.mean(axis=0)) / np.where(one > 0, one, 1.0))[one > 0])
    spread = np.std(z, axis=0) / np.sqrt(2.0 - iteration.share)
    assert np.abs(spread - 1.0).max() < 0.3
    assert np.std(z, axis=0).mean() > 1.2


# Booth & Hobert, and the ascent


@pytest.mark.slow
def test_steps_are_called_swamped_as_often_as_the_ellipsoid_says() -> None:
    """At the maximum a step is nothing but Monte Carlo error: it lies in the 75 % ellipsoid in 75 % of the cases."""
    problem, ml = posed()

    def share(wrong: float = 1.0) -> float:
        swamped = 0
        for seed in range(400):
            iteration = BoothHobert(GrowingSchedule(1, 60, 0.0)).iteration(problem, seed)
            chain = iteration.begin(ml.values)
            statistics = iteration.draw_each(chain, 60)
            chain.state.statistics[:] = chain.state.latest
            iteration.maximise(chain)
            # the mutant takes the error of a single draw for that of the mean
            swamped += iteration.is_swamped(
                chain, ml.values + (chain.state.x - ml.values) * (1.0 - 1.0 / wrong), statistics
            )
        return swamped / 400

    low, high = binom.ppf([1e-5, 1 - 1e-5], 400, 0.75) / 400
    assert low - 0.03 < share() < high + 0.03  # the ellipsoid is estimated from 60 draws
    assert share(wrong=8.0) > high + 0.03


def test_draws_grow_when_steps_are_swamped_and_not_before() -> None:
    problem, _ = posed()
    far = np.where(problem.parameters.fixed, problem.starts.first, problem.starts.first * 1.5)
    engine = BoothHobert(GrowingSchedule(30, 20, 0.0), target=ONCE).engine(problem, 0)
    chain = engine.advance(engine.iteration.begin(far), 30).chain
    draws = np.concatenate(chain.draws)
    assert draws[0] == draws[1] == 20 and (np.diff(draws) >= 0).all() and draws[-1] > 50
    ratio = draws[1:] / draws[:-1]
    assert np.all((ratio == 1.0) | (np.abs(ratio - 4 / 3) < 0.06))


def test_ascent_climbs() -> None:
    """Nearly every step climbs while there is something to climb; steps of Monte Carlo EM with as few draws do not."""
    problem, ml = posed()

    def share_of_climbs(engine: Any, steps: int) -> float:
        path = np.vstack(engine.advance(engine.iteration.begin(problem.starts.first), steps).chain.paths)
        logliks = np.array([engine.iteration.loglik(x) for x in path])
        away = logliks[:-1] < ml.loglik - 0.01
        return float(np.mean(np.diff(logliks)[away] > 0.0))

    schedule = GrowingSchedule(25, 5, 0.0)
    ascents = [
        share_of_climbs(AscentMCEM(schedule, target=ONCE, augmentation="uncentred").engine(problem, seed), 25)
        for seed in range(8)
    ]
    fixed = GrowingSchedule(200, 5, 0.0)
    plain = SAEM(fixed, target=ONCE, tolerance=1e-6, augmentation="uncentred")
    blind = [share_of_climbs(plain.engine(problem, seed), 200) for seed in range(4)]
    # a step is made wrongly in a quarter of the cases at most
    assert np.mean(ascents) > 0.7
    assert np.mean(blind) < 0.62


# Annealing


def test_variances_fall_slowly_and_the_constraint_holds_meanwhile() -> None:
    """The mutant clips them after the M-step, as other programs do, and leaves the constraint."""
    problem, _ = posed()
    method = AnnealedSAEM(SHORT, target=ONCE, annealing=75, inflation=5.0)
    path = method.run(problem, 0).path
    sds = slice(-3, None)
    ratio = path[2:76, sds] / path[1:75, sds]
    assert ratio.min() >= np.sqrt(0.95) - 1e-9
    assert ratio.min() == pytest.approx(np.sqrt(0.95)), "the bound is active"
    assert path[1, sds].max() > 2.0 * path[70, sds].max()
    residuals = [abs(problem.constraints.evaluate(x)[0][0]) for x in path[1:]]
    assert max(residuals) < 1e-9
    clipped = np.maximum(path[2], np.where(np.arange(len(path[2])) >= len(path[2]) - 3, 1.05 * path[2], -np.inf))
    assert abs(problem.constraints.evaluate(clipped)[0][0]) > 1e-3


def test_bounds_that_the_constraints_cannot_meet_are_given_up() -> None:
    model = PLAIN.replace(constraints={"ratio": "sigma2 == 0.2 * sigma1"})
    table = saem.simulate(PLAIN, PEPTIDE, peptide_design(12), 1)
    problem, ml = pose(model, arrange(model, table)), saem.fit(model, table, "ml")
    outcome = AnnealedSAEM(SHORT, annealing=75).run(problem, 0)
    assert ml.loglik - outcome.solution_logliks[0] < 0.01


def test_a_pass_that_large_variances_lead_astray_is_made_again_without_annealing(monkeypatch) -> None:
    """Doubled SDs of 1.6 lead the posted link to a branch that ends: without a retreat, an error."""
    cell = Cell({"replicates": 6, "ratio": 4})
    model, table = headline.model(), headline.generate(cell, 48)
    ml = saem.fit(model, table, "ml")
    fit = saem.fit(model, table, "annealed_saem", 48)
    assert ml.loglik - fit.loglik < 0.01
    stopped = saem.fit(model, table, "annealed_saem", 48, callback=lambda _: True)
    assert stopped.iterations < fit.iterations, "it ends in the pass that fails"
    np.testing.assert_array_equal(stopped.resume(saem.Target()).values, fit.values)
    monkeypatch.setattr(AnnealedIteration, "plainer", Iteration.plainer)
    with pytest.raises(saem.SaemError, match=r"failed|satisfy"):
        saem.fit(model, table, "annealed_saem", 48)


# Parameter expansion, chains, truncation


def test_the_expanded_estimates_meet_the_constraint_and_the_maximum() -> None:
    problem, ml = posed()
    outcome = PXSAEM().run(problem, 1)
    assert outcome.status == "converged"
    assert np.max(np.abs(problem.constraints.evaluate(outcome.x)[0])) < 1e-10
    moved = outcome.mcse > 1e-9
    assert np.all(np.abs(outcome.x - ml.values)[moved] < 5.0 * outcome.mcse[moved])


def test_chains_are_pooled_and_their_agreement_is_reported() -> None:
    problem, ml = posed()
    single = SAEM(SHORT, target=ONCE).run(problem, 0)
    pooled = IndependentChains(SAEM(SHORT, target=ONCE), 4).run(problem, 0)
    assert pooled.chains.shape == (4, len(ml.values)) and len(pooled.chain_paths) == 4
    moved = single.mcse > 1e-9
    np.testing.assert_allclose(pooled.mcse[moved], single.mcse[moved] / 2.0, rtol=0.05)
    assert "4 chains agree" in pooled.message and pooled.status == "converged"
    assert np.max(np.abs(problem.constraints.evaluate(pooled.x)[0])) < 1e-10, "a mean of estimates would leave it"
    assert np.max(np.abs(problem.constraints.evaluate(pooled.chains.mean(axis=0))[0])) > 1e-9
    with pytest.raises(ModelError, match="at least 2"):
        IndependentChains(chains=1)


def test_chains_on_different_maxima_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chain keeps the branch on which it started; without a search for higher maxima they stay apart."""
    problem, _ = posed()

    def scattered(method, problem, seed, *others):  # type: ignore[no-untyped-def]
        engine, run, outcome = pursue(method, problem, seed, *others)
        x = outcome.x.copy()
        x[0] += 0.05 * (seed % 5)
        return engine, run, replace(outcome, x=x)

    monkeypatch.setattr("saem.algorithms.independent_chains.pursue", scattered)
    pooled = IndependentChains(SAEM(SHORT, target=ONCE), 4).run(problem, 0)
    assert "disagree: their spread in mu" in pooled.message and pooled.status == "not_converged"


def test_a_chain_that_leaves_its_bounds_begins_again() -> None:
    """Bounds that are too tight at first: the chain is stopped, begins again with wider ones, and arrives."""
    problem, ml = posed()
    method = SAEM(SHORT, truncation=Truncation(radius=0.05, ratio=1.2, growth=2.0))
    engine = method.engine(problem, 0)
    engine.pass_through(problem.starts.first * 1.3, engine.iteration.nothing_pinned)
    assert engine.counts.truncated > 0
    assert ml.loglik - method.run(problem, 0).solution_logliks[0] < 0.02
    wide = SAEM(SHORT, target=ONCE, truncation=Truncation()).run(problem, 0)
    assert np.array_equal(wide.x, SAEM(SHORT, target=ONCE).run(problem, 0).x), "a net that is not needed changes no bit"
    with pytest.raises(MStepError, match=r"left its bounds, \d times"):
        tight = SAEM(SHORT, truncation=Truncation(radius=1e-6, ratio=1.001, growth=1.001, most=1))
        engine = tight.engine(problem, 0)
        engine.pass_through(problem.starts.first * 1.3, engine.iteration.nothing_pinned)


# Budgets


BUDGETED = [SAEM(), StochasticNewton(), BoothHobert(), MiniBatchSAEM()]


@pytest.mark.parametrize("method", few(BUDGETED, [BUDGETED[0], BUDGETED[2]]))
def test_the_budget_of_draws_is_respected(method: Any) -> None:
    problem, _ = posed()
    for budget in (30_000, 1_200_000):
        outcome = replace(method, target=Target(mcse=1e-9, deficit=1e-12, max_draws=budget, max_iterations=10**9)).run(
            problem
        )
        assert 0.7 * budget < outcome.drawn * problem.latent.size <= budget * 1.05
        assert outcome.status == "not_converged" and "budget" in outcome.message


def test_the_budget_of_seconds_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a twentieth of the budget whenever somebody looks at it."""
    ticks = itertools.count()
    monkeypatch.setattr(spending, "time", SimpleNamespace(perf_counter=lambda: 0.01 * next(ticks)))
    problem, _ = posed()
    target = Target(mcse=1e-9, deficit=1e-12, max_seconds=0.2, max_iterations=10**9)
    outcome = StochasticNewton(target=target).run(problem)
    last = outcome.history[-1, 2]  # at the last look at the precision, which is the budget's end or the look before
    assert "0.2 seconds" in outcome.message and 0.1 <= last < 0.3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BoothHobert(confidence=1.0), "confidence"),
        (lambda: BoothHobert(divisor=0.5), "divisor"),
        (lambda: AscentMCEM(miss=0.7), "miss"),
        (lambda: AscentMCEM(rise=0.0), "rise"),
        (lambda: AnnealedSAEM(tau=1.0), "tau"),
        (lambda: AnnealedSAEM(annealing=400), "annealing"),
        (lambda: MiniBatchSAEM(share=0.0), "share"),
        (lambda: Truncation(radius=0.0), "radius"),
        (lambda: Truncation(ratio=1.0), "ratio"),
        (lambda: NewtonSchedule(offset=-1), "offset"),
        (lambda: Target(max_draws=0), "max_draws"),
        (lambda: Target(max_seconds=-1.0), "max_seconds"),
        (lambda: IndependentChains(method="saem"), "independent chains"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_make_no_sense(build: Any, message: str) -> None:
    with pytest.raises(saem.SaemError, match=message):
        build()
