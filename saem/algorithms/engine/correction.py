"""The bias that the noise of the iterates leaves in an averaged estimate is removed here.

Averaging removes the noise of the statistics ``s_k`` to first order. To second order it does not: on average an
iteration stands still, ``mean E[S | y; x_k] = mean s_k = s``, but ``E[S | y; x]`` is curved, so the maximiser ``x`` at
the average ``s`` is not quite a fixed point of EM:

    l'(x) = U(E[S | y; x]; x),    E[S | y; x] - s = - J (mean x_k - x) - 1/2 sum_j D_j,
    D_j = E[S | y; x + u_j] + E[S | y; x - u_j] - 2 E[S | y; x],    sum_j u_j u_j' = Cov x_k,

with the complete-data score ``U``, which is linear in the statistics and zero at ``s``, and the Jacobian ``J`` of
``E[S | y; .]``. The estimate is moved by ``V U`` of the right side, a Newton step. The bias is of the order of the
step sizes, which fall but slowly: where a parameter is nearly known given the data, or the steps are large because the
start is forgotten slowly, it is larger than the Monte Carlo error. (For steps of constant size it is that of
Dieuleveut, Durmus & Bach 2020, Annals of Statistics 48, 1348-1382.) Near a boundary of the parameters no Newton step
can be believed, and none is made. What is left counts as error: of a step that is made a share, for the third order; of
one that is not, the distance to the maximum where a closed form tells it, or else all of it.
"""

from __future__ import annotations

import numpy as np

from saem.algorithms.engine.chain import Chain, Correction, no_correction
from saem.algorithms.engine.iteration import Iteration
from saem.maxima.information import observed_information
from saem.mstep.restore import move
from saem.system.jit import entry

Array = np.ndarray

NEGLIGIBLE = 1e-9  # typical sizes: a spread of the iterates along an axis that is rounding
UNMOVED = 1e-6  # typical sizes: a spread of a parameter that is the tolerance of the M-step
LARGEST = 0.25  # standard errors: of a correction to the second order that can be believed
NEAREST = 0.2  # of the way to a boundary of the parameters: likewise
COUNT, MEAN, COMOMENT = "averaged_count", "averaged_mean", "averaged_comoment"  # in a chain's memory


def remember(chain: Chain, path: Array) -> None:
    """Take iterates (k, n) that are averaged into the chain's memory of their mean and comoment."""
    if len(path):
        n = path.shape[1]
        memory = chain.memory
        if COUNT not in memory:
            memory.update({COUNT: np.zeros(1), MEAN: np.zeros(n), COMOMENT: np.zeros((n, n))})
        accumulate(path, memory[COUNT], memory[MEAN], memory[COMOMENT])


@entry
def accumulate(path: Array, count: Array, mean: Array, comoment: Array) -> None:
    """Update mean and comoment row by row (Welford 1962): how the rows are cut into blocks leaves no trace."""
    n = path.shape[1]
    before = np.empty(n)
    for k in range(path.shape[0]):
        count[0] += 1.0
        for i in range(n):
            before[i] = path[k, i] - mean[i]
            mean[i] += before[i] / count[0]
        for i in range(n):
            for j in range(n):
                comoment[i, j] += before[i] * (path[k, j] - mean[j])


def correction(iteration: Iteration, chain: Chain, x: Array) -> Correction:
    """The correction of the maximiser ``x`` (n,) at averaged statistics; zero where the E-step has no closed form."""
    problem, solver, memory = iteration.problem, iteration.solver, chain.memory
    if COUNT not in memory or not (problem.latent.has_expectation and problem.likelihood.is_available):
        return no_correction(len(x))
    scale, mean = problem.scale, memory[MEAN]
    covariance = memory[COMOMENT] / memory[COUNT]
    size, axes = np.linalg.eigh(0.5 * (covariance + covariance.T) / np.outer(scale, scale))
    spread = np.sqrt(np.maximum(size, 0.0))
    steps = np.vstack([mean - x, (scale[:, None] * axes * spread).T[spread > NEGLIGIBLE]])
    here, *both = iteration.expectations(np.vstack([x, x + steps, x - steps]))
    ahead, behind = np.split(np.array(both), 2)
    excess = 0.5 * (ahead[0] - behind[0] + np.sum(ahead[1:] + behind[1:] - 2.0 * here, axis=0))
    if not np.isfinite(excess).all():
        return no_correction(len(x))
    information = observed_information(problem, solver, x, chain.pinned)
    root, along = information.root, iteration.score_left(chain, x, information, here, excess)
    is_moved = np.sqrt(np.diag(covariance)) > UNMOVED * scale  # by the draws; what is not has no bias
    step = np.where(is_moved, root @ along, 0.0)
    room = solver.domains.room(x)
    is_short = np.linalg.norm(along) <= LARGEST and bool(np.all(np.abs(step) <= NEAREST * room))
    return Correction(step, bool(is_short))


def corrected(iteration: Iteration, chain: Chain, x: Array) -> tuple[Array, Correction]:
    """The maximiser ``x`` at averaged statistics without its second-order bias, and the correction that was made."""
    found = correction(iteration, chain, x)
    point = moved(iteration, chain, x, found.step) if found.is_believed else x
    return point, Correction(point - x if found.is_believed else found.step, found.is_believed)


def moved(iteration: Iteration, chain: Chain, x: Array, step: Array) -> Array:
    """The point a step away, or as much of the step as the constraints and the range of the parameters admit."""
    point: Array = x.copy()
    # the way back onto the constraints is not to move what the step does not move
    free = iteration.solver.free & ~chain.pinned & (step != 0.0)
    move(iteration.problem, point, step, free)
    return point
