"""What a fit has spent and been through, and what its budget still admits."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from saem.stopping import Target

Array = np.ndarray


@dataclass
class Counts:
    """How often what happened to a fit; it changes as the fit goes on.

    Attributes
    ----------
    passes : int
        Passes that were begun.
    truncated : int
        Times that a chain has left its bounds.
    uncentred : int
        Whether centred latent data were given up.
    slowed, thickened : int
        Times that the step sizes were made to fall more slowly, and the draws of an iteration were made more.
    hands_over : int
        Whether another iteration may go on in its place, see `saem.algorithms.engine.handover`.
    taken_over : int
        Iterations that another one had made before.
    """

    slowed: int = 0
    thickened: int = 0
    passes: int = 0
    truncated: int = 0
    uncentred: int = 0
    hands_over: int = 0
    taken_over: int = 0


class Spending:
    """Iterations, draws and seconds are counted against the budget.

    Parameters
    ----------
    target : Target
        Its budget.
    n_latent : int
        Random effects, all of which a draw draws.

    Attributes
    ----------
    most_draws, most_seconds : float or None
        The budget, in draws of all random effects and seconds; None without a limit.
    out_of_draws : str
        What is said when the draws are used up.
    drawn : float
        Draws of all random effects so far (a part of one, where some are drawn).
    iterations : int
        So far, those of passes that were given up included.
    most_iterations : int or None
        In all; no limit until the schedule has been gone through.
    began : float
        On the clock of `time.perf_counter`.
    stopped : str
        Why the fit ended before its schedule did; empty while it may go on.
    """

    def __init__(self, target: Target, n_latent: int) -> None:
        self.target = target
        self.most_draws = None if target.max_draws is None else target.max_draws / max(1, n_latent)
        self.most_seconds = target.max_seconds
        self.most_iterations: int | None = None
        self.out_of_draws = f"the budget of {target.max_draws or 0:,} draws was used up"
        self.drawn, self.iterations, self.stopped = 0.0, 0, ""
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the fit began."""
        return time.perf_counter() - self.began

    def count(self, iterations: int, draws: float) -> None:
        """Account for iterations, and for draws of all random effects."""
        self.iterations += iterations
        self.drawn += draws

    def affordable(self, draws: Array) -> int:
        """How many of the next iterations, which make so many draws, may be made; `stopped` if not all may."""
        if self.most_seconds is not None and self.seconds > self.most_seconds:
            self.stopped = f"the budget of {self.most_seconds:g} seconds was used up"
            return 0
        wanted = within = len(draws)
        if self.most_draws is not None:
            within = int(np.searchsorted(np.cumsum(draws), self.most_draws - self.drawn, side="right"))
        allowed = wanted if self.most_iterations is None else max(0, self.most_iterations - self.iterations)
        if within < min(wanted, allowed):
            self.stopped = self.out_of_draws
        elif allowed < wanted:
            self.stopped = f"the budget of {self.most_iterations:,} iterations was used up"
        return min(wanted, within, allowed)

    def admits(self, draws: float) -> bool:
        """Whether so many more draws may be made; `stopped` if not."""
        if self.most_draws is None or self.drawn + draws <= self.most_draws:
            return True
        self.stopped = self.stopped or self.out_of_draws
        return False
