"""A lazy Markov kernel (CONTRIBUTING, "a new sampler"): its estimates are right, and its Monte Carlo error is larger.

At equal draws its variance is 3 times that of independent draws. The ratio of reported errors is averaged over four
seeds and the parameters; batch means over some 20,000 draws have an error of 6 % each, so that 20 % is out of reach.
Six parameters for four seeds are compared with the maximum at 5 Monte Carlo errors: false alarms below 10^-4.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from calibration import check_within_error
from documented import imported
from linear_family import PEPTIDE, peptide_design

import saem
from saem import Model, recipes
from saem.algorithms.accuracy import precision
from saem.algorithms.saem import SAEM
from saem.data import arrange
from saem.families import pose
from saem.stopping import Target

MODEL = Model.from_text(recipes.text("peptide")).replace(fixed={"b21": 0.0})
TRUTH = {name: value for name, value in PEPTIDE.items() if name != "b21"}
TABLE = saem.simulate(MODEL, TRUTH, peptide_design(12), 1)
ONCE = Target(max_iterations=0)
SEEDS = range(4)


@pytest.fixture(scope="module")
def lazy(request: pytest.FixtureRequest) -> ModuleType:
    """The example, which is kept, so that it is compiled once."""
    return imported(
        "Recipe: a new sampler", Path(request.config.cache.mkdir("examples")), {"model": MODEL, "table": TABLE}
    )


def check_estimates(sampler: Any) -> None:
    """Within 5 Monte Carlo errors of the maximum."""
    maximum = saem.fit(MODEL, TABLE, "ml").values
    for seed in SEEDS:
        fit = saem.fit(MODEL, TABLE, SAEM(sampler=sampler, target=ONCE), seed)
        assert saem.fit(MODEL, TABLE, "ml").loglik - fit.loglik < 0.2
        touched = fit.mcse > 0.0
        assert touched.sum() >= 5
        check_within_error(fit.values[touched], maximum[touched], fit.mcse[touched])


def check_errors(sampler: Any) -> None:
    """Root of 3 times the Monte Carlo errors of independent draws, within 20 %."""
    logs = []
    for seed in SEEDS:
        plain = SAEM(target=ONCE, augmentation="uncentred")  # the kernel draws plain random effects
        own, independent = (saem.fit(MODEL, TABLE, replace(plain, sampler=s), seed).mcse for s in (sampler, None))
        touched = independent > 0.0
        logs.append(np.log(own[touched] / independent[touched]).mean())
    ratio = float(np.exp(np.mean(logs)))
    assert abs(ratio / np.sqrt(3.0) - 1.0) < 0.2, f"the ratio of Monte Carlo errors is {ratio:.3f}"


def test_estimates_are_within_their_error(lazy: ModuleType) -> None:
    check_estimates(lazy.Lazy())


def test_the_monte_carlo_error_is_that_of_correlated_draws(lazy: ModuleType) -> None:
    check_errors(lazy.Lazy())


def test_mutant_that_draws_given_other_data(lazy: ModuleType) -> None:
    """It has the right law for another table of the same design."""
    other = pose(MODEL, arrange(MODEL, saem.simulate(MODEL, TRUTH, peptide_design(12), 2)))

    class Elsewhere(lazy.Lazy):  # type: ignore[misc, name-defined]
        def arrays(self, problem: Any) -> Any:
            return super().arrays(other)

    with pytest.raises(AssertionError):
        check_estimates(Elsewhere())


def test_mutant_that_takes_the_draws_for_independent(lazy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "batch_means", lambda series: np.cov(series, rowvar=False))
    with pytest.raises(AssertionError, match="is 1"):
        check_errors(lazy.Lazy())
