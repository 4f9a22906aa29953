"""How a fit ended is a status that carries advice, not a bool."""

from __future__ import annotations

from enum import StrEnum


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
