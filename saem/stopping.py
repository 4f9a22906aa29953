"""When a simulated estimate is good enough, and how a fit ended: a status that carries advice, not a bool."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from saem.errors import SaemError


@dataclass(frozen=True)
class Target:
    """When the simulation no longer matters, and a budget.

    Attributes
    ----------
    mcse : float
        The Monte Carlo standard error of each parameter is at most this share of its standard error ..
    deficit : float
        .. and the log-likelihood at most so far below its maximum.
    max_iterations : int
        No iteration is begun beyond so many, those of passes that were given up among them; the schedule itself is
        always gone through once.
    max_draws : int or None
        Random effects to draw at most; unlike ``max_iterations`` it also ends the schedule early.
    max_seconds : float or None
        Wall-clock seconds, looked at between blocks of iterations; it also ends the schedule early.
    """

    mcse: float = 0.05
    deficit: float = 0.01
    max_iterations: int = 20_000
    max_draws: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("mcse", "deficit"):
            if not getattr(self, name) > 0.0:
                raise SaemError(f"the target of the {name} must be positive; got {getattr(self, name)}")
        if self.max_iterations < 0:
            raise SaemError(f"max_iterations must not be negative; got {self.max_iterations}")
        for name in ("max_draws", "max_seconds"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise SaemError(f"{name} must be positive, or None for no limit; got {getattr(self, name)}")


class Status(StrEnum):
    """How a fit ended; compares equal to its text, e.g. ``fit.status == "converged"``."""

    CONVERGED = "converged"
    BOUNDARY = "boundary"
    SEVERAL_SOLUTIONS = "several_solutions"
    NOT_IDENTIFIED = "not_identified"
    NOT_CONVERGED = "not_converged"

    @property
    def advice(self) -> str:
        """What the status means for the reader of the estimates, and what to do."""
        return _ADVICE[self]

    @property
    def converged(self) -> bool:
        """Whether the estimate is a maximum of the likelihood, be it on the boundary or one of several."""
        return self in (Status.CONVERGED, Status.BOUNDARY, Status.SEVERAL_SOLUTIONS)


_ADVICE = {
    Status.CONVERGED: "The estimate is a maximum of the likelihood, the highest that was found.",
    Status.BOUNDARY: (
        "The likelihood is largest at the boundary: a standard deviation of zero, or a correlation of -1 or 1. "
        "The data ask for no such variation beyond the residual; that parameter has no standard error, "
        "and the other standard errors take it as known."
    ),
    Status.SEVERAL_SOLUTIONS: (
        "The data cannot tell these sets of parameters apart: see `Fit.solutions`. "
        "Report all of them, or change the constraint."
    ),
    Status.NOT_IDENTIFIED: (
        "The data and the constraints leave a combination of the parameters free, so single values mean nothing. "
        "Fix a parameter or add a constraint; `saem check` names the free direction."
    ),
    Status.NOT_CONVERGED: (
        "The algorithm stopped before it reached its target, so the estimates are provisional. "
        "Allow more iterations, and compare with method 'ml'."
    ),
}
