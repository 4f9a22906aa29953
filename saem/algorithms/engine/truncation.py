"""Truncation on random boundaries is a safety net for any algorithm (Chen 1988; Andrieu, Moulines & Priouret 2005).

A chain may not leave a bounded set around its start. When it does, or when an M-step fails, the block of iterations is
undone, the chain begins again, from the start or from its average where there is one, and the set is larger from then
on. Almost surely that happens finitely often, so the limit is that of the algorithm without bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.iteration import Iteration
from saem.errors import MStepError, SaemError
from saem.estep.samplers import kernel_state, put_back
from saem.families.problem import Problem

Array = np.ndarray


@dataclass(frozen=True)
class Truncation:
    """Bounded sets that grow each time a chain leaves them.

    Attributes
    ----------
    radius : float
        A mean stays within so many typical sizes of its start.
    ratio : float
        A standard deviation stays within its typical size divided and multiplied by this.
    growth : float
        Factor by which both grow when the chain leaves the set.
    most : int
        So many times; then the set is no longer made larger, and leaving it is an error.
    """

    radius: float = 30.0
    ratio: float = 1e3
    growth: float = 3.0
    most: int = 20

    def __post_init__(self) -> None:
        for name in ("radius", "ratio", "growth"):
            if not getattr(self, name) > (0.0 if name == "radius" else 1.0):
                raise SaemError(
                    f"{name} of a truncation must be larger than {'0' if name == 'radius' else '1'}; "
                    f"got {getattr(self, name)}"
                )
        if self.most < 1:
            raise SaemError(f"most of a truncation must be at least 1; got {self.most}")

    def is_left(self, problem: Problem, start: Array, held: Array, path: Array, times: int) -> bool:
        """Whether a path (k, n) leaves the set that is in force after so many times.

        Parameters
        ----------
        held : (n,) bool ndarray
            Parameters that do not move.
        """
        domains = problem.parameters.domains
        larger = self.growth**times
        moved = np.abs(path - start) / problem.scale
        with np.errstate(divide="ignore"):
            size = np.abs(np.log(np.abs(path - np.where(domains.is_positive, domains.low, 0.0)) / problem.scale))
        outside = domains.is_real & ~(moved <= self.radius * larger)
        outside |= domains.is_positive & ~(size <= np.log(self.ratio * larger))
        outside |= domains.is_correlation & ~(domains.room(path) >= 1.0 / (self.ratio * larger))
        return bool(np.any(outside & ~held))


def within_bounds(
    truncation: Truncation, iteration: Iteration, chain: Chain, step_sizes: Array, draws: Array, averaging_from: int
) -> tuple[Array, Array]:
    """A block of iterations is undone and done again while it leaves the bounds.

    Raises
    ------
    MStepError
        When the bounds were left too often.
    """
    held = ~iteration.solver.free | chain.pinned
    while True:
        undo = memento(iteration, chain)
        failure = "the chain left its bounds"
        try:
            path, made = iteration.iterate(chain, step_sizes, draws, averaging_from)
            if not truncation.is_left(iteration.problem, chain.paths[0][0], held, path, iteration.counts.truncated):
                return path, made
        except MStepError as error:
            failure = str(error)
        iteration.counts.truncated += 1
        if iteration.counts.truncated > truncation.most:
            raise MStepError(f"{failure}, {iteration.counts.truncated} times: {truncation!r}")
        undo()
        if averaging_from < 0:
            chain.state.statistics[:] = chain.state.average
            chain.state.x[:] = iteration.estimate(chain, True)
        else:
            chain.state.x[:] = chain.paths[0][0]
            iteration.warm(chain, draws[:1])


def memento(iteration: Iteration, chain: Chain) -> Callable[[], None]:
    """What puts the chain and the Markov kernel back into the state in which they are now."""
    state = [value.copy() for value in chain.state]
    memory = {name: value.copy() for name, value in chain.memory.items()}
    kernel = {name: value.copy() for name, value in kernel_state(iteration.drawing).items()}

    def undo() -> None:
        for value, old in zip(chain.state, state, strict=True):
            value[:] = old
        chain.memory = memory
        put_back(iteration.drawing, kernel)

    return undo
