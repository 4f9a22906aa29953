"""What a callback is told between blocks of iterations, and when the fit will be done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from saem.algorithms.accuracy.precision import assess
from saem.algorithms.course.up_to_target import next_look
from saem.algorithms.engine.chain import Chain
from saem.algorithms.engine.passes import Engine
from saem.errors import MStepError
from saem.stopping import Target

PAUSE = 0.2  # seconds between two assessments of the precision ..
COST = 0.05  # .. which take at most this share of the time


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a fit is.

    Attributes
    ----------
    method : str
    phase : str
        Of the schedule: "burn-in", "transient" (after it, and not averaged), "averaging", or "iterations" where the
        method averages nothing.
    iteration : int
        Iterations so far, those of starts and passes that were given up included.
    draws : int
        Random effects drawn so far.
    seconds : float
        Since the call of `saem.fit` or `Fit.resume`.
    names : tuple of str
    estimate : (n,) ndarray
        If the fit ended here.
    mcse_share : float
        The largest Monte Carlo standard error in units of the standard error, as last assessed; nan while unknown.
    parameter : str
        The one that has it; empty while unknown.
    deficit : float
        Log-likelihood below its maximum, as last assessed; nan while unknown.
    target : Target
    seconds_left : float
        Expected, from the pace so far and since the error falls with the root of the averaged iterations; nan while
        unknown.
    chain : int
        Which of independent chains it is, from 1.
    """

    method: str
    phase: str
    iteration: int
    draws: int
    seconds: float
    names: tuple[str, ...]
    estimate: np.ndarray
    mcse_share: float
    parameter: str
    deficit: float
    target: Target
    seconds_left: float
    chain: int = 1


Callback = Callable[[Progress], object]


class Reporter:
    """Tells a callback what an engine has reached, and changes nothing of it.

    Parameters
    ----------
    callback : callable
        Ends the fit by returning True.
    method : str
        Its name.
    chains : int
        Independent chains, one after the other.
    """

    def __init__(self, callback: Callback, method: str, chains: int = 1) -> None:
        self.callback, self.method, self.chains = callback, method, chains
        self.chain = 0
        self.engine: Engine | None = None
        self.started = time.perf_counter()
        self.ended = False
        self.forget()

    def forget(self) -> None:
        """Nothing is known of another pass."""
        self.next, self.number = 0.0, -1
        self.share, self.parameter, self.deficit = np.nan, "", np.nan

    def __call__(self, engine: Engine, chain: Chain) -> bool:
        """Tell; whether the fit is to end."""
        if engine is not self.engine:
            self.engine, self.chain = engine, self.chain + 1
        if self.ended:  # chains that are still to come end, too
            return True
        if chain.number != self.number:
            self.forget()
            self.number = chain.number
        phase = phase_of(engine, chain)
        if phase in ("averaging", "iterations") and time.perf_counter() >= self.next:
            self.assess(engine, chain)
        left = seconds_left(engine, chain, self.share)
        elapsed = engine.spent.seconds
        progress = Progress(
            method=self.method,
            phase=phase,
            iteration=engine.spent.iterations,
            draws=round(engine.spent.drawn * engine.problem.latent.size),
            seconds=time.perf_counter() - self.started,
            names=engine.problem.parameters.names,
            estimate=engine.problem.coordinates.to_user(engine.history[-1].x.copy()),
            mcse_share=self.share,
            parameter=self.parameter,
            deficit=self.deficit,
            target=engine.target,
            seconds_left=left + (self.chains - self.chain) * (elapsed + left),
            chain=self.chain,
        )
        self.ended = bool(self.callback(progress))
        return self.ended

    def assess(self, engine: Engine, chain: Chain) -> None:
        """Assess the precision; draws for it are not counted, or a budget would end the fit elsewhere."""
        began, drawn = time.perf_counter(), engine.spent.drawn
        try:
            precision = assess(engine.iteration, engine.run_of(chain))
        except (MStepError, np.linalg.LinAlgError):  # the fit itself may never look here
            self.share, self.parameter, self.deficit = np.nan, "", np.nan
        else:
            self.share, self.deficit = precision.ratio, precision.deficit
            known = np.isfinite(self.share)
            self.parameter = engine.problem.parameters.names[precision.worst] if known else ""
        engine.spent.drawn = drawn
        now = time.perf_counter()
        self.next = now + max(PAUSE, (now - began) / COST)


def phase_of(engine: Engine, chain: Chain) -> str:
    """Where in its schedule a chain is."""
    if chain.done <= engine.schedule.burn_in:
        return "burn-in"
    if engine.steps.averaging_from >= engine.once:
        return "iterations"
    return "averaging" if chain.done > engine.steps.averaging_from else "transient"


def seconds_left(engine: Engine, chain: Chain, share: float) -> float:
    """Expected seconds until the target or a budget is reached; nan while unknown.

    Parameters
    ----------
    share : float
        Largest MCSE/SE now; nan while unknown.
    """
    target, first, goal = engine.target, engine.steps.averaging_from, engine.once
    if first < engine.once:
        if np.isnan(share):
            return np.nan
        needed = first + (chain.done - first) * (share / target.mcse) ** 2
        while goal < needed:
            goal = next_look(engine, goal, engine.iteration.growth)
        goal = min(goal, max(engine.once, chain.done + target.max_iterations - engine.spent.iterations))
    elif not share <= target.mcse:
        return np.nan
    elapsed = engine.spent.seconds
    draws = np.maximum(engine.steps.draws, 1).astype(float)  # the work of every iteration
    done = float(draws[chain.skipped : chain.done].sum())
    ahead = float(draws[chain.done : goal].sum() + max(0, goal - len(draws)) * draws[-1])
    left = elapsed * (chain.done - chain.skipped) / max(1, engine.spent.iterations) * ahead / done
    if target.max_seconds is not None:
        left = min(left, target.max_seconds - elapsed)
    if target.max_draws is not None and engine.spent.drawn > 0.0:
        left = min(left, elapsed * (target.max_draws / (engine.spent.drawn * engine.problem.latent.size) - 1.0))
    return max(0.0, left)
