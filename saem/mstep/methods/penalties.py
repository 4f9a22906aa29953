"""Three ways to press the constraints into the objective, in one loop: l1, quadratic, and augmented Lagrangian.

    l1          f(x) - lambda sum_k |c_k(x)|                  (Pietrzykowski 1969; Fletcher 1987, section 14.4)
    quadratic   f(x) - lambda/2 sum_k c_k(x)^2                (Courant 1943)
    augmented   f(x) + y'c(x) - lambda/2 sum_k c_k(x)^2       (Hestenes 1969; Powell 1969)

Each is maximised, and pressed harder until the constraints hold (Nocedal & Wright 2006, chapter 17). What differs is
how the first search is made, what is maximised, and how it is pressed harder: `Penalty.first_pressure`, `search` and
`harder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from saem.mstep import sqp
from saem.mstep.certify import FEASIBLE, certify, check_above_one, check_positive, relative_residual
from saem.mstep.methods.penalised import PathPoint, Penalised
from saem.mstep.region import Region

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.methods.newton import Ascent
    from saem.mstep.solver import Search, Solver

Array = np.ndarray
LARGEST = 1e14  # penalty of the augmented Lagrangian
ENOUGH = 0.1  # of its size before: a residual that falls by less makes that penalty grow
LONGEST_PATH = 500  # Newton steps of each search along a path


class Pressure(NamedTuple):
    """A search presses on the constraints so hard."""

    weight: float  # lambda, for residuals in standard errors
    multipliers: Array  # (m,)
    searches: int = 1  # so far, with this one
    residual: float = np.inf  # relative, after the one before


class Penalty:
    """A maximiser that presses ever harder on the constraints; a subclass says how."""

    feasible: ClassVar[float] = FEASIBLE  # relative residual at which the constraints hold
    single_step: ClassVar[bool] = False

    def check(self, problem: Problem) -> None:
        """Any problem will do."""

    def first_pressure(self, multipliers: Array, units: Array) -> Pressure | None:
        """The pressure of the first search, from the least-squares multipliers (m,) of the start."""
        raise NotImplementedError

    def search(
        self, penalised: Penalised, x: Array, weights: Array, multipliers: Array, tolerance: float, most: int
    ) -> Ascent | None:
        """Maximise from ``x`` with a pressure, whose ``weights`` (m,) are for residuals in their own units."""
        raise NotImplementedError

    def weights(self, weight: float, units: Array) -> Array:
        """Weights (m,) of residuals in their own units, by their standard errors (m,)."""
        return weight / units**2

    def harder(self, pressure: Pressure, weights: Array, c: Array, residual: float) -> Pressure | None:
        """The pressure of the next search, after one that left the residuals ``c`` (m,); None where it is given up."""
        raise NotImplementedError

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Maximise from ``search.x``, which is overwritten; see `saem.mstep.solver.Maximiser.maximise`."""
        solver, x = search.solver, search.x
        penalised = Penalised(solver, search.objective, x, search.region)
        units, iterations = penalised.standard_errors(x), 0
        pressure = None if units is None else self.first_pressure(solver.multipliers, units)
        while units is not None and pressure is not None:
            weights = self.weights(pressure.weight, units)
            most = search.max_iterations - iterations
            found = self.search(penalised, x, weights, pressure.multipliers, search.tolerance, most)
            if found is None:
                break
            x[:] = found.at.x
            iterations += found.iterations
            c, jacobian, _ = solver.problem.constraints.evaluate(x)
            residual = relative_residual(c, jacobian, x)
            if residual <= self.feasible or found.collapsed or iterations >= search.max_iterations:
                break
            pressure, units = self.harder(pressure, weights, c, residual), penalised.standard_errors(x)
        if units is None:
            return sqp.SearchResult(sqp.BAD_START, -np.inf, iterations, np.inf, np.inf, 0)
        return certify(search, iterations)


class GrowingPenalty(Penalty):
    """A penalty without multipliers, which grows by a factor from search to search."""

    name: ClassVar[str]
    words: ClassVar[str]
    first: float
    growth: float
    largest: float

    def __post_init__(self) -> None:
        check_positive(self.words, first=self.first, largest=self.largest)
        check_above_one(self.words, growth=self.growth)

    def first_pressure(self, multipliers: Array, units: Array) -> Pressure | None:
        """See `Penalty.first_pressure`."""
        return Pressure(self.first, np.zeros(len(units))) if self.first <= self.largest else None

    def harder(self, pressure: Pressure, weights: Array, c: Array, residual: float) -> Pressure | None:
        """See `Penalty.harder`."""
        weight = pressure.weight * self.growth
        return pressure._replace(weight=weight) if weight <= self.largest else None

    def path(
        self, solver: Solver, objective: Any, x: Array, free: Array, weights: Sequence[float], tolerance: float = 1e-9
    ) -> list[PathPoint]:
        """The maximisers under given penalties, each search starting where the one before ended.

        The l1 penalty is exact above the largest multiplier for a *local* maximum. Where the penalised objective has
        others (it need not be concave), weights in descending order stay with the constrained maximum as long as it is
        one, and weights in ascending order with the unconstrained one.

        Parameters
        ----------
        solver : Solver
        objective : CompleteData, Observed or Restricted
        x : (n,) ndarray
            The start; it is not changed.
        free : (n,) bool ndarray
        weights : sequence of float
            ``lambda``, of residuals in their own units; of the l1 penalty to be compared with `Solver.multipliers`.
        tolerance : float
            Of each search, in standard errors.

        Returns
        -------
        list of saem.mstep.methods.penalised.PathPoint
            One for each weight; the search ends early where the objective is not finite.
        """
        m = len(solver.problem.constraints)
        penalised = Penalised(solver, objective, x, Region(solver.domains, free, solver.no_floor))
        points: list[PathPoint] = []
        for weight in weights:
            check_positive(f"{self.words}'s path", weight=weight)
            found = self.search(penalised, x, np.full(m, weight), np.zeros(m), tolerance, LONGEST_PATH)
            if found is None:
                break
            x = found.at.x
            at = solver.derivatives(objective, x, free)
            points.append(PathPoint(weight, x, at.c, at.value, found.gap))
        return points


@dataclass(frozen=True)
class L1Penalty(GrowingPenalty):
    """Maximise under an l1 penalty that grows until the constraints hold.

    It has the constrained maximum for a maximum as soon as ``lambda`` exceeds the largest multiplier. Below, as under a
    lasso, those constraints are given up whose multiplier would have to be larger.

    Attributes
    ----------
    first : float
        ``lambda`` of the first search, for residuals in standard errors.
    growth : float
        Factor from one search to the next.
    largest : float
        ``lambda`` after which the search is given up.
    """

    first: float = 10.0
    growth: float = 10.0
    largest: float = 1e8
    name: ClassVar[str] = "l1_penalty"
    words: ClassVar[str] = "the l1 penalty"

    def weights(self, weight: float, units: Array) -> Array:
        """See `Penalty.weights`; residuals are not squared."""
        return weight / units

    def search(
        self, penalised: Penalised, x: Array, weights: Array, multipliers: Array, tolerance: float, most: int
    ) -> Ascent | None:
        """See `Penalty.search`."""
        return penalised.absolute(x, weights, tolerance, most)


@dataclass(frozen=True)
class QuadraticPenalty(GrowingPenalty):
    """Maximise under a quadratic penalty that grows until the constraints hold to 1e-9.

    The residual is about multiplier / ``lambda`` and vanishes only in the limit: the penalty is never exact.

    Attributes
    ----------
    first, growth, largest : float
        As of `L1Penalty`.
    """

    first: float = 10.0
    growth: float = 100.0
    largest: float = 1e14
    name: ClassVar[str] = "quadratic_penalty"
    words: ClassVar[str] = "the quadratic penalty"

    def search(
        self, penalised: Penalised, x: Array, weights: Array, multipliers: Array, tolerance: float, most: int
    ) -> Ascent | None:
        """See `Penalty.search`."""
        return penalised.augmented(x, multipliers, weights, tolerance, most)


@dataclass(frozen=True)
class AugmentedLagrangian(Penalty):
    """Maximise the augmented Lagrangian, with multipliers that begin with the least-squares ones of the start.

    After a search ``y <- y - lambda c(x)``. Unlike the quadratic penalty alone, it needs no large ``lambda``: the
    residual falls by the factor multiplier curvature / ``lambda`` a round.

    Attributes
    ----------
    first : float
        ``lambda`` of the first search, for residuals in standard errors.
    growth : float
        Factor of ``lambda`` where the residual falls too slowly.
    rounds : int
        Updates of the multipliers at most.
    """

    first: float = 100.0
    growth: float = 10.0
    rounds: int = 40
    name: ClassVar[str] = "augmented_lagrangian"
    feasible: ClassVar[float] = sqp.FEASIBLE

    def __post_init__(self) -> None:
        check_positive("the augmented Lagrangian", first=self.first, rounds=self.rounds)
        check_above_one("the augmented Lagrangian", growth=self.growth)

    def first_pressure(self, multipliers: Array, units: Array) -> Pressure | None:
        """See `Penalty.first_pressure`; multipliers of a far start say little, and could outweigh the penalty."""
        return Pressure(self.first, np.clip(multipliers, -self.first / units, self.first / units))

    def search(
        self, penalised: Penalised, x: Array, weights: Array, multipliers: Array, tolerance: float, most: int
    ) -> Ascent | None:
        """See `Penalty.search`."""
        return penalised.augmented(x, multipliers, weights, tolerance, most)

    def harder(self, pressure: Pressure, weights: Array, c: Array, residual: float) -> Pressure | None:
        """See `Penalty.harder`; the multipliers take over, and the penalty grows where the residual falls slowly."""
        if pressure.searches >= self.rounds:
            return None
        is_slow = residual > ENOUGH * pressure.residual
        weight = min(pressure.weight * self.growth, LARGEST) if is_slow else pressure.weight
        return Pressure(weight, pressure.multipliers - weights * c, pressure.searches + 1, residual)
