"""Exact EM with a constrained M-step, plain or accelerated by SQUAREM: the deterministic twin of SAEM.

    E    s_{k+1} = E[S(y, z) | y; x_k]                        (Dempster, Laird & Rubin 1977)
    M    x_{k+1} = argmax { complete(s_{k+1}, x) : c(x) = 0 }

With the map ``F`` of one iteration, SQUAREM (Varadhan & Roland 2008, scheme S3) extrapolates from two of them,

    r = F(x) - x,  v = F(F(x)) - F(x) - r,  a = -|r| / |v|,  x' = F(x - 2 a r + a^2 v),

on the logarithms of standard deviations. The last ``F`` brings it back onto the constraints. A step that lowers the
likelihood is replaced by the two plain ones, so that the likelihood never falls. A standard deviation whose maximum is
zero, which EM would approach ever more slowly, is set to zero as in SAEM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from saem.algorithms.accuracy.precision import assess
from saem.algorithms.course.other_maxima import HIGHER, first_start
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.course.verdict import judge
from saem.algorithms.engine.chain import Run, no_correction
from saem.algorithms.engine.iteration import Iteration
from saem.algorithms.engine.passes import Engine
from saem.algorithms.registry import DECLARED, Declaration, check_needs
from saem.errors import MStepError
from saem.families.problem import Problem
from saem.maxima.boundary import climb, pin
from saem.maxima.information import observed_information
from saem.maxima.search import Peak, find_maxima
from saem.maxima.starts import scattered
from saem.mstep import sqp
from saem.schedules import AveragedSchedule
from saem.stopping import Target
from saem.system.streams import stream

Array = np.ndarray
NEAR_ONE = 1.0 - 1e-9  # a correlation of one could never be left
MAX_STEP = 64.0  # of the extrapolation
PATIENCE = 300  # E-steps between two looks at whether the maximum lies on the boundary
SINGULAR_DEFICIT = 1e-4  # .. but near a correlation of one, which is never reached
DEFICIT = 1e-6  # a log-likelihood further below the maximum is not called converged


@dataclass(frozen=True)
class ExactEM:
    """Expectation-maximisation with the closed-form E-step of the family.

    Attributes
    ----------
    accelerate : bool
        SQUAREM; False is plain EM.
    max_iterations : int
        After so many E-steps no other step is begun.
    gradient : float
        Stops where the largest component of the score on the tangent space of the constraints is below this, in
        standard errors.
    """

    accelerate: bool = True
    max_iterations: int = 20_000
    gradient: float = 1e-6
    name: ClassVar[str] = "em"
    declaration: ClassVar[Declaration] = DECLARED["em"]

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Estimate the parameters; nothing is drawn, the seed does not matter.

        Raises
        ------
        ModelError
            When the family has no closed-form E-step or likelihood.
        FitError
            When an M-step fails.
        """
        check_needs(self, problem)
        engine = Engine(Iteration(problem, 1e-12, stream(seed, self.name)), AveragedSchedule())
        x, pinned = working_start(engine), engine.iteration.nothing_pinned.copy()
        path = self.ascend(engine, x, pinned, 0)
        run = run_of(engine, path, pinned)
        precision, note = assess(engine.iteration, run), ""
        peaks = find_maxima(problem, engine.solver)[0]
        own = precision.top.loglik if precision.top is not None else engine.iteration.loglik(run.x)
        if peaks and peaks[0].loglik > own + HIGHER:
            note = (
                f"From its own start EM reached a lower local maximum (log-likelihood {own:.3f}); this is its estimate "
                "when it starts at the highest that direct ML finds."
            )
            x, pinned = reachable(engine, peaks[0])
            path = np.vstack([path, self.ascend(engine, x, pinned, len(path) - 1)])
            run = run_of(engine, path, pinned)
            precision = assess(engine.iteration, run)
        nears = is_at_singularity(engine, run.x, run.pinned)
        target = Target(deficit=SINGULAR_DEFICIT if nears else DEFICIT)
        return judge(engine, run, peaks, precision, target, note)

    def ascend(self, engine: Engine, x: Array, pinned: Array, used: int) -> Array:
        """The path (k, n) from a start, included; changes ``pinned``. So many E-steps are used up already."""
        path, looks, first = [x[None]], 1, used
        while used < self.max_iterations:
            if self.accelerate:
                steps = squarem(engine, x, pinned)
            else:
                steps = expectation_maximisation(engine, x, pinned, min(50, self.max_iterations - used))
            path.append(steps)
            used += len(steps)
            x = steps[-1]
            if observed_information(engine.problem, engine.solver, x, pinned).score_norm < self.gradient:
                break
            if used - first >= looks * PATIENCE:  # it may be on its way to a zero that it would never reach
                looks += 1
                x = with_zeros(engine, x, pinned)
                if is_at_singularity(engine, x, pinned):
                    break
        return np.vstack([*path, x])


def run_of(engine: Engine, path: Array, pinned: Array) -> Run:
    """A path (k, n) as a run that drew nothing."""
    x = path[-1]
    nothing, chain = np.zeros(0, dtype=np.int64), engine.iteration.begin(x, pinned)
    return Run(x, pinned, path, 0, 0, 0, np.inf, np.ones(0), nothing, chain, no_correction(len(x)))


def reachable(engine: Engine, peak: Peak) -> tuple[Array, Array]:
    """A maximum as a start: zeros stay, correlations of one, at which no complete data exist, are just inside."""
    domains = engine.solver.domains
    singular = peak.pinned & domains.is_correlation & (np.abs(peak.x) > NEAR_ONE)
    x = np.where(singular, np.sign(peak.x) * NEAR_ONE, peak.x)
    return x, peak.pinned & ~singular


def working_start(engine: Engine) -> Array:
    """The first of the starts from which an iteration succeeds."""
    problem = engine.problem
    error: MStepError | None = None
    for start in [first_start(engine), *problem.starts.values, *scattered(problem, problem.starts.first, 5)]:
        try:
            expectation_maximisation(engine, start, engine.iteration.nothing_pinned, 2)
            return start
        except MStepError as failure:
            error = error or failure
    assert error is not None
    raise error


def with_zeros(engine: Engine, x: Array, pinned: Array) -> Array:
    """The point with those standard deviations at zero that are zero at the top of its hill; changes ``pinned``."""
    boundary = engine.problem.boundary
    top, _, result = climb(engine.problem, engine.solver, x)
    zero = boundary.collapsible & ~pinned & engine.solver.domains.can_vanish & (top == boundary.at_zero)
    if result.status != sqp.CONVERGED or not zero.any():
        return x
    inside = x.copy()
    pin(engine.problem, inside, pinned, zero)
    return inside


def is_at_singularity(engine: Engine, x: Array, pinned: Array) -> bool:
    """Whether the top of the hill has a correlation of one, to which EM goes ever more slowly, and is no higher."""
    top, held, result = climb(engine.problem, engine.solver, x)
    singular = held & ~pinned & engine.solver.domains.is_correlation & (np.abs(top) == 1.0)
    near = result.status == sqp.CONVERGED and result.value - engine.iteration.loglik(x) < SINGULAR_DEFICIT
    return bool(singular.any() and near)


def expectation_maximisation(engine: Engine, x: Array, pinned: Array, k: int) -> Array:
    """The path (k, n) of ``k`` iterations from a point."""
    iteration = engine.iteration
    return iteration.iterate(iteration.begin(x, pinned), np.ones(k), np.zeros(k, dtype=np.int64))[0]


def squarem(engine: Engine, x: Array, pinned: Array) -> Array:
    """The path (k, n) of one extrapolated step: two plain iterations, and the one after the extrapolation."""
    problem, domains = engine.problem, engine.solver.domains
    plain = expectation_maximisation(engine, x, pinned, 2)
    free = engine.solver.free & ~pinned
    is_log = free & domains.can_vanish & (x > 0.0) & (plain > 0.0).all(axis=0)
    is_angle = free & domains.is_correlation

    def straight(point: Array) -> Array:
        out: Array = point / problem.scale
        out[is_log] = np.log(point[is_log])
        out[is_angle] = np.arctanh(point[is_angle])
        return out

    start, one, two = straight(x), straight(plain[0]), straight(plain[1])
    r, v = (one - start)[free], (two - 2.0 * one + start)[free]
    length = float(np.linalg.norm(r)) / max(float(np.linalg.norm(v)), 1e-300)
    if not 1.0 < length:
        return plain
    length = min(length, MAX_STEP)
    u = start.copy()
    u[free] += 2.0 * length * r + length**2 * v
    point = u * problem.scale
    point[is_log], point[is_angle] = np.exp(u[is_log]), np.clip(np.tanh(u[is_angle]), -NEAR_ONE, NEAR_ONE)
    point[~free] = x[~free]
    if not np.isfinite(engine.iteration.loglik(point)):
        return plain
    try:
        far = expectation_maximisation(engine, point, pinned, 1)
    except MStepError:
        return plain
    if engine.iteration.loglik(far[0]) < engine.iteration.loglik(plain[1]):
        return plain
    return np.vstack([plain, far])
