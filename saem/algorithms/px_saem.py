"""Parameter-expanded SAEM (Lavielle & Meza 2007; PX-EM of Liu, Rubin & Wu 1998).

    E    z_m ~ p(z | y; x_k), m = 1..m_k                       working parameters at the identity
    SA   s_{k+1} = s_k + gamma_k (mean_m S+(y, z_m) - s_k)      statistics of the expanded model
    M    (x, a) = argmax { complete+(s_{k+1}, x, a) : c(x) = 0 }
         x_{k+1} = reduce(x, a)                                the same law of the data, with a at the identity

The working parameters ``a`` rescale the random effects in the likelihood of the rows, so that a step of EM that is
small because the draws remember the old variance becomes a long one. Constraints are those of the reduced parameters,
``c(reduce(x, a)) = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.engine.expanded import ExpandedIteration
from saem.algorithms.registry import DECLARED, Declaration
from saem.errors import ModelError
from saem.families.problem import Problem


@dataclass(frozen=True)
class PXSAEM(MonteCarloAlgorithm):
    """SAEM by parameter expansion.

    Attributes
    ----------
    schedule, tolerance, target, search, truncation
        As in `saem.algorithms.course.base.MonteCarloAlgorithm`. The M-step is that of the expanded model, so ``mstep``
        must be None.
    """

    name: ClassVar[str] = "px_saem"
    declaration: ClassVar[Declaration] = DECLARED["px_saem"]

    def iteration(self, problem: Problem, seed: int) -> ExpandedIteration:
        """Iterations with the working parameters of the family."""
        assert problem.latent.expand is not None, "declared as needed"
        if self.mstep is not None:
            raise ModelError("parameter expansion has an M-step of its own; leave mstep out")
        if self.sampler is not None:
            raise ModelError("parameter expansion draws in the way of the expanded model; leave sampler out")
        return self.make(ExpandedIteration, problem, seed).with_expansion(problem.latent.expand())
