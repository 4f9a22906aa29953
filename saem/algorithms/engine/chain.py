"""A pass through a schedule is a `Chain` while it is under way, and a `Run` when it has led to something."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from saem.algorithms.engine.loop import State

Array = np.ndarray
LEFT = 0.6  # of a correction, as an error that is left: measured where a variance is almost lost


class Correction(NamedTuple):
    """The step that takes the second-order bias out of a maximiser (`saem.algorithms.engine.correction`)."""

    step: Array  # (n,)
    is_believed: bool  # whether it is so short that it is made

    @property
    def left(self) -> Array:
        """The bias (n,) that may be left."""
        return LEFT * self.step if self.is_believed else self.step


def no_correction(n: int) -> Correction:
    """Where nothing is known of a bias, or there is none, no step is made."""
    return Correction(np.zeros(n), True)


class Snapshot(NamedTuple):
    """An estimate on the way has cost so much so far."""

    number: int  # of the pass
    done: int  # iterations of its schedule
    iterations: int  # in all
    drawn: float  # draws of all random effects
    seconds: float
    acceptance: float  # share of the moves of a Markov kernel that were accepted since the last look
    x: Array  # (n,) the estimate if the run ended here


@dataclass(eq=False)
class Chain:
    """A pass under way: all that it takes to go on.

    Attributes
    ----------
    state : State
    pinned : (n,) bool ndarray
        Parameters held at the boundary.
    done : int
        Iterations of the schedule that are done, those that were skipped among them.
    paths : list of (k, n) ndarray
        The start, then the estimates block by block.
    skipped : int
        Iterations of the schedule that were left out.
    draws : list of (k,) float64 ndarray
        Draws of all random effects by iteration, block by block.
    memory : dict of ndarray
        What an algorithm carries on beyond the state of the loop.
    number : int
        Which pass of the engine it is.
    until : int
        How far it is to go before it is looked at.
    before : Run or None
        The run that it began from.
    """

    state: State
    pinned: Array
    done: int
    paths: list[Array]
    skipped: int
    draws: list[Array] = field(default_factory=list)
    memory: dict[str, Array] = field(default_factory=dict)
    number: int = 0
    until: int = 0
    before: Run | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """What a pass has led to.

    Attributes
    ----------
    x : (n,) ndarray
        The estimate: the maximiser at the averaged statistics without its bias, or the last one where there are none.
    pinned : (n,) bool ndarray
        Parameters held at the boundary.
    path : (k, n) ndarray
        The start, all iterations, and the estimate.
    burn_in, averaging_from : int
        Rows of the path.
    first : int
        Iteration of its own pass from which is averaged; of no meaning where nothing is.
    draws : float
        Draws of all random effects that were averaged; nan where the estimate is no average over decreasing steps.
    step_sizes, made : (K,) ndarray
        Step size of every iteration of the pass, and draws that were made in it.
    chain : Chain
        To go on from.
    correction : Correction
        Of the maximiser at the averaged statistics, see `saem.algorithms.engine.correction`.
    before : Run or None
        The run that this one began from.
    """

    x: Array
    pinned: Array
    path: Array
    burn_in: int
    averaging_from: int
    first: int
    draws: float
    step_sizes: Array
    made: Array
    chain: Chain
    correction: Correction
    before: Run | None = None

    def after(self, earlier: Run) -> Run:
        """This run, and what its chain will lead to, as the continuation of an earlier one."""
        self.chain.before = earlier
        path = np.vstack([earlier.path[:-1], self.path])
        averaging_from = len(earlier.path) - 1 + self.averaging_from if self.averaging_from else 0
        return replace(self, path=path, burn_in=earlier.burn_in, averaging_from=averaging_from, before=earlier)
