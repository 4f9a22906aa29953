"""All maximisers by their short names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saem.errors import ModelError, listing, nearest
from saem.mstep import sqp
from saem.mstep.methods.elimination import Elimination
from saem.mstep.methods.penalties import AugmentedLagrangian, L1Penalty, QuadraticPenalty
from saem.mstep.methods.scipy_reference import SLSQP, TrustConstr
from saem.mstep.methods.single_step import GradientStep, NewtonStep
from saem.mstep.solver import Maximiser

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.solver import Search

__all__ = [
    "MAXIMISERS",
    "SLSQP",
    "AugmentedLagrangian",
    "Elimination",
    "GradientStep",
    "L1Penalty",
    "LagrangeNewton",
    "Maximiser",
    "NewtonStep",
    "QuadraticPenalty",
    "TrustConstr",
]


@dataclass(frozen=True)
class LagrangeNewton:
    """The compiled solver, which is also used where no maximiser is named; see `saem.mstep.sqp`."""

    name: ClassVar[str] = "sqp"
    single_step: ClassVar[bool] = False

    def check(self, problem: Problem) -> None:
        """Any problem will do."""

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Maximise from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        return search.solver.lagrange_newton(search)


MAXIMISERS: dict[str, Callable[[], Maximiser]] = {
    "sqp": LagrangeNewton,
    "elimination": Elimination,
    "quadratic_penalty": QuadraticPenalty,
    "l1_penalty": L1Penalty,
    "augmented_lagrangian": AugmentedLagrangian,
    "slsqp": SLSQP,
    "trust_constr": TrustConstr,
    "newton_step": NewtonStep,
    "gradient_step": GradientStep,
}


def maximiser_of(mstep: str | Maximiser | None) -> Maximiser | None:
    """A maximiser by its name, or as it is.

    Raises
    ------
    ModelError
        When there is none of that name, or an object is none.
    """
    if mstep is None or (not isinstance(mstep, str) and callable(getattr(mstep, "maximise", None))):
        return mstep
    if mstep not in MAXIMISERS:
        found = f"{mstep!r}{nearest(mstep, MAXIMISERS)}" if isinstance(mstep, str) else repr(mstep)
        raise ModelError(f"there is no M-step {found:.80}; the M-steps are {listing(MAXIMISERS, 20)}")
    return MAXIMISERS[mstep]()
