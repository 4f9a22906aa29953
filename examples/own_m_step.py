"""An M-step of one's own: `python examples/own_m_step.py`.

An M-step is a `Maximiser` (`saem/mstep/solver.py`): an object with a `name`, `single_step`, `check(problem)` and
`maximise(search)`. It is given to any Monte Carlo algorithm and to direct ML. It overwrites `search.x`, which need not
satisfy the constraints before, and returns what `certify` makes of it: the compiled code decides whether that is a
maximum under the constraints, whatever the method thinks of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from peptide import model, table

import saem
from saem.algorithms.direct_ml import DirectML
from saem.algorithms.saem import SAEM
from saem.mstep.certify import certify


@dataclass(frozen=True)
class PlainNewton:
    """Newton's method for Lagrange's conditions, without a line search."""

    name: ClassVar[str] = "plain_newton"
    single_step: ClassVar[bool] = False  # True: an increase is enough (generalised EM), and ML repeats the step

    def check(self, problem):
        """Any problem will do; otherwise raise a ModelError that says why not."""

    def maximise(self, search):
        """The objective of the search is the complete-data likelihood at given statistics, or the observed one.

        Its region says which parameters are free to move; where one passes its `floor` the search ends, and the caller
        decides about the boundary.
        """
        x, region, count = search.x, search.region, 0
        free = region.free
        while count < search.max_iterations:
            count += 1
            at = search.derivatives(x)  # and the least-squares multipliers
            if not np.isfinite(at.value):
                break
            bend = at.hessian + np.tensordot(search.solver.multipliers, at.c_hessian, axes=1)
            slopes, none = at.jacobian[:, free], np.zeros((len(at.c),) * 2)
            matrix = np.block([[bend[np.ix_(free, free)], slopes.T], [slopes, none]])
            move = np.zeros(len(x))
            right = -np.concatenate([at.gradient[free], at.c])
            move[free] = np.linalg.lstsq(matrix, right, rcond=None)[0][: free.sum()]
            x += region.longest(x, move) * move  # a standard deviation stays above zero
            if np.abs(move).max() < search.tolerance * 1e-3:
                break
        return certify(search, count)


if __name__ == "__main__":
    own = PlainNewton()
    found = saem.compare(model(), table(), methods=[SAEM(mstep=own), DirectML(mstep=own)])
    print(found.table[["method", "deficit", "status"]])
