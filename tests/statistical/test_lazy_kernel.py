"""A lazy Markov kernel (`examples/own_kernel.py`): its estimates are right, and its Monte Carlo error is larger.

At equal draws its variance is 3 times that of independent draws. The ratio of reported errors is averaged over four
seeds and the parameters; batch means over some 20,000 draws have an error of 6 % each, so that 20 % is out of reach.
Six parameters for four seeds are compared with the maximum at 5 Monte Carlo errors: false alarms below 10^-4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from calibration import check_within_error
from linear_family import PEPTIDE, peptide_design
from own_kernel import Lazy

import saem
from saem import Model, recipes
from saem.algorithms.accuracy import precision
from saem.algorithms.saem import SAEM
from saem.families import arrange, pose
from saem.stopping import Target

pytestmark = pytest.mark.slow  # nothing else compiles the loop with this kernel

MODEL = Model.from_text(recipes.text("peptide")).replace(fixed={"b21": 0.0})
TRUTH = {name: value for name, value in PEPTIDE.items() if name != "b21"}
TABLE = saem.simulate(MODEL, TRUTH, peptide_design(12), 1)
ONCE = Target(max_iterations=0)
SEEDS = range(4)


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


def test_estimates_are_within_their_error() -> None:
    check_estimates(Lazy())


def test_the_monte_carlo_error_is_that_of_correlated_draws() -> None:
    check_errors(Lazy())


def test_mutant_that_draws_given_other_data() -> None:
    """It has the right law for another table of the same design."""
    other = pose(MODEL, arrange(MODEL, saem.simulate(MODEL, TRUTH, peptide_design(12), 2)))

    class Elsewhere(Lazy):
        def arrays(self, problem: Any) -> Any:
            return super().arrays(other)

    with pytest.raises(AssertionError):
        check_estimates(Elsewhere())


def test_mutant_that_takes_the_draws_for_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "batch_means", lambda series: np.cov(series, rowvar=False))
    with pytest.raises(AssertionError, match="is 1"):
        check_errors(Lazy())
