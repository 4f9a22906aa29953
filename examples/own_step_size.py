"""A step size of one's own: `python examples/own_step_size.py`.

A schedule is any object with `burn_in` and `steps(n_latent) -> Steps` (`saem/schedules/contract.py`). `Steps` has the
step size and the number of draws of every iteration, and the iteration from which statistics are averaged. With
`longer(iterations)`, the same schedule with more iterations, SAEM can go on until its Monte Carlo error is small
enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from peptide import model, table

import saem
from saem.algorithms.saem import SAEM
from saem.schedules import Steps, draws_for


@dataclass(frozen=True)
class HarmonicSchedule:
    """Burn-in with step size one, then ``c / (c + k)``, averaged from the ``transient``-th on."""

    c: float = 20.0
    burn_in: int = 300
    iterations: int = 1000
    transient: int = 200

    def steps(self, n_latent: int) -> Steps:
        """The steps for so many latent variables."""
        k = np.arange(self.iterations)
        step_sizes = np.concatenate([np.ones(self.burn_in), self.c / (self.c + k)])
        draws = np.full(len(step_sizes), draws_for(n_latent, 600), dtype=np.int64)
        return Steps(step_sizes, draws, self.burn_in + self.transient)


if __name__ == "__main__":
    own = SAEM(schedule=HarmonicSchedule())
    found = saem.compare(model(), table(), methods={"harmonic": own, "default": "saem", "ml": "ml"})
    print(found.table[["method", "deficit", "status"]])
