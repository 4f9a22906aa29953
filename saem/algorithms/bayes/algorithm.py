"""The posterior distribution of all parameters under the constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from saem.algorithms.bayes.determined import branch_warnings, plan_of
from saem.algorithms.bayes.diagnosis import diagnose, verdict
from saem.algorithms.bayes.effects import effects_found, memory_warnings, spacing
from saem.algorithms.bayes.frame import Frame
from saem.algorithms.bayes.framing import frame_of
from saem.algorithms.bayes.joint_framing import joint_frame, roughly
from saem.algorithms.bayes.nuts import Drawn, check_installed, sample
from saem.algorithms.bayes.posterior import Posterior
from saem.algorithms.bayes.prior_draws import draw_priors
from saem.algorithms.bayes.space import coordinates, priors_of, space_of
from saem.algorithms.bayes.starts import likely, maxima, scattered_start
from saem.algorithms.bayes.target import LogPosterior, Standardised, StandardisedJointly, Target
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.registry import DECLARED, Declaration, check_needs
from saem.errors import ConstraintError, FitError, ModelError
from saem.estep.integration.settling import refined, settled_of
from saem.families.problem import Problem
from saem.maxima.identification import describe_direction, null_directions
from saem.maxima.information import Information
from saem.mstep.methods.elimination import Explicit
from saem.mstep.solver import Solver
from saem.system.streams import derived_seed, stream

Array = np.ndarray

Interval = tuple[float, float]

ACCEPTED, FEW = 0.95, 100  # the mean acceptance rate, and the number of coordinates up to which it is that
MOST_REFUSED = 0.2
PRIOR_DRAWS = 1000  # for quantiles of what the constraints determine
RAISES = 2  # of the acceptance rate, where draws diverge
NARROWER = 0.2  # times the share of refused moves, each time


class Posed(NamedTuple):
    """A posterior before there are draws; where the likelihood has no closed form, by Laplace's approximation of it."""

    solver: Solver
    tops: list[Array]  # maxima of the likelihood
    plan: tuple[Explicit, ...]  # what the constraints determine
    priors: dict[str, str]  # of the independent parameters
    density: LogPosterior


def pose_posterior(problem: Problem) -> Posed:
    """What is independent, what is determined, and the density.

    Raises
    ------
    ModelError
        When the problem does not admit a posterior.
    ConstraintError, FitError
        When no point satisfies the constraints, or the likelihood is unbounded.
    """
    check_needs("bayes", problem)
    problem = roughly(problem)
    solver = Solver(problem)
    tops = maxima(problem, solver)
    plan = plan_of(problem, tops[0])
    priors = priors_of(problem, plan)
    return Posed(solver, tops, plan, priors, LogPosterior(problem, space_of(problem, plan, priors, tops[0])))


@dataclass(frozen=True)
class Bayes:
    """Markov chain Monte Carlo by the No-U-Turn sampler.

    The random effects are integrated out where that can be done in closed form, and else drawn with the parameters, as
    standard normals (not centred). Draws of both are kept, those of random effects in single precision, and only where
    they take at most 64 megabytes (of 4000 draws, 4194 random effects): else, with a warning, their means, covariances
    and quantiles.

    Priors are those of the model file's ``[priors]``, and defaults from the scale of the data for parameters that it
    does not name. What a constraint determines has no prior of its own. Chains start around the maxima of the
    likelihood.

    Attributes
    ----------
    chains : int
        Two or more, so that they can be compared.
    tune, draws : int
        Draws of each chain by which the sampler is tuned, and those that are kept.
    target_accept : float, optional
        Mean acceptance rate that the step size is tuned to; larger ones make smaller steps, which cures divergences.
        If omitted 0.95, and less where more than 100 numbers are drawn at once, for steps that are as large: 0.9 for
        400, 0.8 for 1600 and more. Where some draws diverge all are made anew with a larger one, at most twice;
        `Posterior.target_accept` is the last of them.
    """

    chains: int = 4
    tune: int = 500
    draws: int = 1000
    target_accept: float | None = None
    name: ClassVar[str] = "bayes"
    declaration: ClassVar[Declaration] = DECLARED["bayes"]

    def __post_init__(self) -> None:
        for name, least in (("chains", 2), ("tune", 100), ("draws", 100)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ModelError(f"{name} must be a whole number, {least} or larger; got {value!r}")
        if self.target_accept is not None and not 0.0 < self.target_accept < 1.0:
            raise ModelError(f"target_accept must lie between 0 and 1; got {self.target_accept!r}")

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Draw from the posterior.

        Parameters
        ----------
        problem : Problem
        seed : int
            The same seed gives the same draws, bit for bit.

        Returns
        -------
        Outcome
            Its estimates are posterior means.

        Raises
        ------
        ModelError
            When nutpie is not installed, or the problem does not admit the method.
        FitError
            When the likelihood is unbounded, or the sampler fails.
        """
        check_installed()
        solver, tops, plan, priors, density = pose_posterior(problem)
        space = density.space
        centres = likely(density, [coordinates(problem, space, top) for top in tops])
        around = [self.to_sample(density, frame_of(density, solver, u)) for u in centres[: self.chains]]
        targets = [around[k % len(around)] for k in range(self.chains)]
        every = spacing(self.chains * self.draws * (targets[0].dimension - targets[0].of_parameters))
        target_accept, found = self.sampled(targets, seed, every)
        stats, u = found.stats, found.coordinates
        draws = density.parameters(u.reshape(-1, u.shape[2])).reshape(*u.shape[:2], -1)
        if not np.isfinite(draws).all():
            raise FitError("the sampler has returned draws that do not satisfy the constraints")
        fixed = problem.parameters.fixed
        still = (
            np.ptp(draws.reshape(-1, draws.shape[2]), axis=0) == 0.0
        )  # what a constraint determines may be a constant
        still &= np.isin(np.arange(len(fixed)), [e.parameter for e in plan])
        diagnosis = diagnose(draws, fixed | still)
        names = problem.parameters.names
        effects = effects_found(found.effects, every)
        divergences = int(stats["diverging"].sum())
        status, message = verdict(names, diagnosis, divergences, draws[..., 0].size, len(centres), effects)
        posterior = Posterior(
            draws=draws,
            stats=stats,
            priors=priors,
            determined={names[e.parameter]: problem.constraints.names[e.constraint] for e in plan},
            rhat=diagnosis.rhat,
            ess_bulk=diagnosis.ess_bulk,
            ess_tail=diagnosis.ess_tail,
            tune=self.tune,
            target_accept=target_accept,
            implied=expected_before(density, priors, {names[e.parameter]: e.parameter for e in plan}),
            **({} if effects is None else effects.kept),
        )
        x = np.where(fixed, problem.parameters.fixed_values, posterior.pooled.mean(axis=0))
        height = Height(problem)
        information = summarised(density, height, posterior, x)
        return Outcome(
            x=x,
            pinned=np.zeros(len(x), dtype=bool),
            status=status,
            message=message,
            path=np.vstack([tops[0], x]),
            mcse=np.where(fixed, 0.0, diagnosis.mcse),
            information=information,
            posterior=posterior,
            effects=None if effects is None else (effects.means, effects.sds),
            likelihood=height.kind,
            loglik_mcse=height.mcse,
            warnings=(
                *branch_warnings(problem, space, posterior.pooled),
                *prior_warnings(problem, tops[0]),
                *memory_warnings(effects, self.chains, self.draws),
            ),
        )

    def to_sample(self, density: LogPosterior, frame: Frame) -> Target:
        """What the sampler draws from: the parameters, or the random effects with them."""
        if density.problem.likelihood.kind == "closed":
            return Standardised(density, frame)
        return StandardisedJointly(density, *joint_frame(density, frame))

    def sampled(self, targets: list[Target], seed: int, every: int) -> tuple[float, Drawn]:
        """Draws, and the acceptance rate at which they were made: by smaller steps, at most twice, where some diverge.

        For ``every`` see `saem.algorithms.bayes.nuts.sample`.
        """
        starts = [scattered_start(each, stream(seed, self.name, "start", str(k))) for k, each in enumerate(targets)]
        target_accept, attempts = self.target_accept or acceptance(targets[0].dimension), 0
        while True:
            seeds = [derived_seed(seed, self.name, "chain", str(k)) for k in range(self.chains)]
            found = sample(targets, starts, seeds, self.tune, self.draws, target_accept, every)
            if attempts == RAISES or not found.stats["diverging"].any():
                return target_accept, found
            target_accept, attempts = 1.0 - NARROWER * (1.0 - target_accept), attempts + 1


def acceptance(dimension: int) -> float:
    """The acceptance rate at which so many coordinates have steps like those of `FEW` at `ACCEPTED`.

    For standard normals and steps h the mean share of refused moves goes like the square root of the dimension times
    h^2 (Beskos et al. 2013, for a given time along the path), so that with a fixed rate steps would be ever smaller.
    """
    return round(1.0 - min(MOST_REFUSED, (1.0 - ACCEPTED) * math.sqrt(max(1.0, dimension / FEW))), 3)


def expected_before(density: LogPosterior, priors: dict[str, str], which: dict[str, int]) -> dict[str, Interval]:
    """Quantiles of what the constraints determine, by draws from the priors; none where there is no solution."""
    if not which:
        return {}
    x = draw_priors(density, priors, PRIOR_DRAWS, stream(0, "bayes", "prior"))
    ends = {name: np.nanquantile(x[:, i], [0.025, 0.975]) for name, i in which.items() if not np.isnan(x[:, i]).all()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


class Height:
    """The log-likelihood of a problem, by rules of integration that suffice where it is first asked for.

    Attributes
    ----------
    kind : str
        What it turned out to be; see `saem.algorithms.course.outcome.Outcome.likelihood`.
    mcse : float
        Its standard error, where it is simulated.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.kind, self.mcse = problem, "", 0.0

    def __call__(self, x: Array) -> float:
        """At parameters (n,); nan where it is not known well enough to be told."""
        if self.problem.likelihood.kind == "closed":
            return Solver(self.problem).height(x)
        try:
            refined(self.problem, x)
        except (ModelError, FitError):
            self.kind = "none"
            return float("nan")
        self.mcse = settled_of(self.problem).placing.mcse
        self.kind = "simulated" if self.mcse > 0.0 else ""
        return Solver(self.problem).height(x)


def summarised(density: LogPosterior, height: Height, posterior: Posterior, x: Array) -> Information:
    """The covariance of the draws, and the log-likelihood where the parameters that have a prior are at their means.

    What the constraints determine is computed there: means of draws do not satisfy a curved constraint. Where that
    cannot be done, the log-likelihood is that of the draw with the highest posterior density.
    """
    problem, space = density.problem, density.space
    point = density.parameters(coordinates(problem, space, x)[None])[0]
    loglik = height(point) if np.isfinite(point).all() else -np.inf
    if not np.isfinite(loglik):
        best = posterior.pooled[int(np.argmax(posterior.stats["lp"]))]
        loglik = height(best)
    free = ~problem.parameters.fixed
    return Information(
        loglik=loglik,
        covariance=np.where(np.outer(free, free), np.cov(posterior.pooled, rowvar=False), 0.0),
        score_norm=np.nan,
        deficit=np.nan,
        residuals=problem.constraints.evaluate(x)[0],
        multipliers=np.full(len(problem.constraints), np.nan),
        root=np.empty((len(x), 0)),
        curvatures=np.empty(0),
    )


def prior_warnings(problem: Problem, near: Array) -> list[str]:
    """What the data leave to the priors alone."""
    try:
        directions = null_directions(problem, near)
    except ConstraintError:  # no other feasible point is found: nothing is known
        return []
    return [
        f"{describe_direction(problem.parameters.names, direction, problem.scale)} What the posterior says of that is "
        "the prior"
        for direction in directions
    ]
