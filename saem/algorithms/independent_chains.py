"""Independent chains of an algorithm are pooled, and their agreement is judged (Gelman & Rubin 1992 for the idea).

Every chain has a random stream of its own. The estimate is the maximiser at the mean of the chains' statistics: a mean
of estimates could leave the constraints. Chains of an unbiased algorithm scatter around the maximum with their Monte
Carlo error; chains that lie further apart sit on different maxima, or have not converged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from saem.algorithms.accuracy.precision import assess
from saem.algorithms.course.base import MonteCarloAlgorithm, Watch
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.course.phases import begun, completed, judged
from saem.algorithms.course.verdict import judge
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.checkpoint import combined, separated
from saem.algorithms.engine.continuation import Checkpoint
from saem.algorithms.engine.correction import COMOMENT, COUNT, MEAN
from saem.algorithms.engine.passes import Engine
from saem.algorithms.engine.placement import PLACEMENT
from saem.algorithms.registry import DECLARED, Declaration
from saem.algorithms.saem import SAEM
from saem.errors import ModelError
from saem.families.problem import Problem
from saem.stopping import Status, Target
from saem.system.streams import derived_seed

Array = np.ndarray
APART = "chains disagree:", "chains end on different parts"  # what is said of chains that lie apart
ALARM = 1e-4  # probability to call chains apart that are not, over all parameters


@dataclass(frozen=True)
class IndependentChains:
    """An algorithm, run several times.

    Attributes
    ----------
    method : MonteCarloAlgorithm
        Its targets are those of the pooled estimate: a chain's own Monte Carlo error may be ``sqrt(chains)`` times as
        large.
    chains : int
    """

    method: MonteCarloAlgorithm = field(default_factory=SAEM)
    chains: int = 4
    name: ClassVar[str] = "chains"
    declaration: ClassVar[Declaration] = DECLARED["chains"]

    def __post_init__(self) -> None:
        if not isinstance(self.method, MonteCarloAlgorithm):
            raise ModelError(f"independent chains are for Monte Carlo algorithms; got {self.method!r:.60}")
        if self.chains < 2:
            raise ModelError(f"chains must be at least 2; got {self.chains}")

    @property
    def target(self) -> Target:
        """Of the pooled estimate; the budgets are those of each chain."""
        return self.method.target

    def aiming_at(self, target: Target) -> IndependentChains:
        """The same chains with another target."""
        return replace(self, method=replace(self.method, target=target))

    def run(
        self, problem: Problem, seed: int = 0, watch: Watch | None = None, resume: Checkpoint | None = None
    ) -> Outcome:
        """Estimate the parameters; see `MonteCarloAlgorithm.run`.

        Raises
        ------
        FitError
            When a chain fails.
        """
        each = replace(self.method, target=replace(self.target, mcse=self.target.mcse * np.sqrt(self.chains)))
        seeds = [derived_seed(seed, "chain", str(i)) for i in range(self.chains)]
        begin = [None] * self.chains if resume is None else separated(resume, self.chains)
        pursued = [pursue(each, problem, seeds[0], watch, begin[0])]
        placement = pursued[0][1].chain.memory.get(PLACEMENT)  # of the latent data whose statistics are pooled
        pursued += [
            pursue(each, problem, chain_seed, watch, start, placement)
            for chain_seed, start in zip(seeds[1:], begin[1:], strict=True)
        ]
        engines, runs, outcomes = (list(part) for part in zip(*pursued, strict=True))
        engines[0].spent.stopped = next((engine.spent.stopped for engine in engines if engine.spent.stopped), "")
        same = [i for i, run in enumerate(runs) if is_like(run, runs[0])]
        pooled = self.pooled(engines[0], [runs[i] for i in same], [outcomes[i] for i in same])
        words, apart = agreement(outcomes, problem)
        return replace(
            pooled,
            status=Status.NOT_CONVERGED if apart or len(same) < len(runs) else pooled.status,
            message=f"{words} {pooled.message}".strip(),
            drawn=sum(outcome.drawn for outcome in outcomes),
            chains=np.array([outcome.x for outcome in outcomes]),
            acceptance_rates=mean_rates([outcome.acceptance_rates for outcome in outcomes]),
            chain_paths=tuple(outcome.path for outcome in outcomes),
            checkpoint=combined([outcome.checkpoint or Checkpoint() for outcome in outcomes]),
        )

    def pooled(self, engine: Engine, runs: list[Run], outcomes: list[Outcome]) -> Outcome:
        """The outcome at the weighted mean of the chains' statistics; chains of equal length weigh the same."""
        averaged = runs[0].averaging_from > 0
        draws = np.array([run.draws if np.isfinite(run.draws) else 1.0 for run in runs])
        weights = draws / draws.sum()
        states = [run.chain.state for run in runs]
        statistics = weights @ np.array([state.average if averaged else state.statistics for state in states])
        chain = replace(runs[0].chain, memory=together([run.chain.memory for run in runs]))
        x, correction = engine.unbiased(chain, engine.iteration.maximiser_at(chain, statistics))
        run = replace(runs[0], x=x, correction=correction, path=np.vstack([runs[0].path[:-1], x]))
        precision = assess(engine.iteration, run)
        mcse = np.sqrt(weights**2 @ np.array([outcome.mcse for outcome in outcomes], dtype=float) ** 2)
        every = [outcome.mcse_covariance for outcome in outcomes]
        known = [matrix for matrix in every if matrix is not None]
        covariance = np.tensordot(weights**2, known, axes=1) if len(known) == len(every) else None
        precision = replace(precision, covariance=covariance)
        se = np.sqrt(np.diag(precision.information.covariance))
        share = np.divide(mcse, se, out=np.zeros(len(se)), where=se > 0.0)
        if np.isfinite(share).all():
            worst = int(np.argmax(share))
            precision = replace(precision, mcse=mcse, ratio=float(share[worst]), worst=worst)
        else:  # a chain has none
            reason = precision.reason or "No Monte Carlo error is given: a chain has none."
            precision = replace(precision, mcse=mcse, ratio=np.nan, reason=reason)
        return judge(engine, run, [], precision, self.target, "")


def mean_rates(each: list[Array]) -> Array:
    """The mean acceptance rates (C,) of the clusters over the chains; empty where one has none."""
    return np.empty(0) if any(len(rates) == 0 for rates in each) else np.mean(each, axis=0)


def together(memories: list[dict[str, Array]]) -> dict[str, Array]:
    """The mean and comoment of the iterates of all chains about their common mean; empty if a chain has none.

    The bias of the maximiser at pooled statistics comes from the spread between the chains, too.
    """
    placed = {PLACEMENT: memories[0][PLACEMENT]} if PLACEMENT in memories[0] else {}
    if any(COUNT not in memory for memory in memories):
        return placed
    counts = np.concatenate([memory[COUNT] for memory in memories])
    means = np.array([memory[MEAN] for memory in memories])
    mean = counts @ means / counts.sum()
    between = (means - mean).T @ (counts[:, None] * (means - mean))
    within = np.sum([memory[COMOMENT] for memory in memories], axis=0)
    return placed | {COUNT: counts.sum(keepdims=True), MEAN: mean, COMOMENT: within + between}


def pursue(
    method: MonteCarloAlgorithm,
    problem: Problem,
    seed: int,
    watch: Watch | None,
    resume: Checkpoint | None,
    placement: Array | None = None,
) -> tuple[Engine, Run, Outcome]:
    """Run one of the chains, which keeps its kind of latent data: in a given placement, if need be."""

    def make() -> Engine:
        engine = method.engine(problem, seed, watch)
        engine.iteration.placement.fixed = placement
        engine.counts.hands_over = 0
        return engine

    course = completed(begun(make, method.target, method.search, resume))
    return course.engine, course.run, judged(course)


def is_like(run: Run, other: Run) -> bool:
    """Whether two runs can be pooled: the same boundary and latent data, and both averaged or neither."""
    own, its = (each.chain.memory.get(PLACEMENT, np.zeros(0)) for each in (run, other))
    if not np.array_equal(own, its):
        return False
    return np.array_equal(run.pinned, other.pinned) and (run.averaging_from > 0) == (other.averaging_from > 0)


def agreement(outcomes: list[Outcome], problem: Problem) -> tuple[str, bool]:
    """How far chains lie apart in words, and whether that is further than their Monte Carlo errors explain."""
    from scipy.special import chdtri  # takes a tenth of a second to import

    estimates = np.array([outcome.x for outcome in outcomes])
    count = len(estimates)
    if len({outcome.pinned.tobytes() for outcome in outcomes}) > 1:
        return (
            f"The {count} chains end on different parts of the boundary; the estimate pools those like the first.",
            True,
        )
    errors = np.square([np.asarray(outcome.mcse, dtype=float) for outcome in outcomes])
    known = (errors > 0.0).any(axis=0)  # a chain without an error does not keep the others from being compared
    own = np.zeros(estimates.shape[1])
    own[known] = np.nanmean(errors[:, known], axis=0)
    if not known.any():
        return f"No Monte Carlo error is known that the spread of the {count} chains could be compared with.", False
    ratio = estimates.var(axis=0, ddof=1)[known] / own[known]
    limit = chdtri(count - 1, ALARM / known.sum()) / (count - 1)
    largest = float(np.sqrt(ratio.max()))
    if ratio.max() <= limit:
        return f"{count} chains agree: their spread is at most {largest:.2g} times their Monte Carlo error.", False
    name = np.array(problem.parameters.names)[known][int(np.argmax(ratio))]
    return f"The {count} chains disagree: their spread in {name} is {largest:.2g} times their Monte Carlo error.", True
