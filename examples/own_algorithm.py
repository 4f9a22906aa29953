"""Algorithms of one's own: `python examples/own_algorithm.py`.

An algorithm is any object with a `name` (letters, digits and `_`) and `run(problem, seed) -> Outcome`. `QuietSAEM`
takes all from SAEM but what an iteration does; `PlainEM` takes nothing but the compiled loop. Neither knows anything of
a family: what it needs is in the problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from peptide import model, table

import saem
from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.stepwise import StepwiseIteration
from saem.algorithms.registry import MONTE_CARLO, Declaration
from saem.stopping import Status
from saem.system.streams import stream


class QuietIteration(StepwiseIteration):
    """Iterations of SAEM, without draws while the step size is one: `m = 0` asks for the conditional expectation."""

    def step(self, chain, gamma, m, constrained=True):
        """See `StepwiseIteration.step`."""
        super().step(chain, gamma, 0 if gamma == 1.0 else m, constrained)


@dataclass(frozen=True)
class QuietSAEM(MonteCarloAlgorithm):
    """SAEM after a burn-in of exact EM."""

    name: ClassVar[str] = "quiet_saem"
    declaration: ClassVar[Declaration] = Declaration("Quiet SAEM", requires=("expectation",), **MONTE_CARLO)

    def iteration(self, problem, seed):
        """What iterates; `make` hands on what every algorithm has."""
        return self.make(QuietIteration, problem, seed).with_maximiser(self.mstep)


@dataclass(frozen=True)
class PlainEM:
    """Expectation-maximisation (Dempster, Laird & Rubin 1977) with a constrained M-step.

    A real one looks at the gradient before it says `CONVERGED`.
    """

    iterations: int = 500
    name: ClassVar[str] = "plain_em"

    def run(self, problem, seed=0):
        """All iterations from the first start; no draws, for `m = 0` in each of them."""
        iteration = Iteration(problem, 1e-10, stream(seed, self.name))
        chain = iteration.begin(problem.starts.first)
        zeros = np.zeros(self.iterations, dtype=np.int64)
        path, _ = iteration.iterate(chain, np.ones(self.iterations), zeros)
        return Outcome(chain.state.x, iteration.nothing_pinned, Status.CONVERGED, "", path)


if __name__ == "__main__":
    found = saem.compare(model(), table(), methods=[QuietSAEM(), PlainEM(), "ml"])
    print(found.table[["method", "deficit", "status"]])
