"""The functions of the study `msteps`: constrained maximisers on the expected complete-data log-likelihood Q."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import saem
from saem.estep.expectation import conditional_expectation
from saem.families import arrange, pose
from saem.mstep import sqp
from saem.mstep.maximisers import MAXIMISERS
from saem.mstep.methods.single_step import Repeated
from saem.mstep.solver import Solver

from ..harness.performance import CONVERGED
from ..harness.performance.jackknife import mean, median, share
from ..harness.study.cells import Cell
from ..harness.study.functions import OK, Outcome
from .beside_maximum import beside, grouped, long
from .complete_data import SDS, Maximum, Values, expected, maximum
from .peptide import TRUTH, peptide_design, peptide_model

PARAMETERS = ("mu", "c2", "alpha2", "b21", "b22", *SDS)
TOLERANCE, ITERATIONS = 1e-10, 500
FAR_MEANS, FAR_SDS = 2.0, 1.0  # SDs of what moves the means, and the logarithms of the SDs, to a far start
DEFICIT, DISTANCE = 1e-6, 1e-3  # of Q, and in standard errors: nearer is the maximum
LN2 = np.log(2.0)
ENDS = {
    sqp.ITERATION_LIMIT: "the iterations ended before the maximum",
    sqp.LINE_SEARCH_FAILED: "no step along the last direction climbs",
    sqp.INFEASIBLE: "the constraints are violated",
    sqp.COLLAPSED: "a standard deviation goes to zero",
    sqp.BAD_START: "the objective or a constraint is not finite at the start",
}


def ratio(x: Values) -> Any:
    """``exp(ln(2)^2 / 2 (sigma2^2 - sigma1^2))``."""
    return np.exp(LN2**2 / 2.0 * (x["sigma2"] ** 2 - x["sigma1"] ** 2))


def posted(x: Values) -> Values:
    """The tied parameters under the posted link."""
    return {"c2": ratio(x) * (1.0 + 2.0 ** x["b22"]) / (1.0 + 2.0 ** x["b21"])}


def conserved(x: Values) -> Values:
    """The tied parameters where the total amount is conserved, with b21 = 0."""
    amount = (1.0 + 2.0 ** x["alpha2"]) / (1.0 + 2.0 ** (x["alpha2"] + x["b22"]))
    return {"c2": np.log(amount / ratio(x)) / LN2, "b21": 0.0}


def doubled(x: Values) -> Values:
    """The tied parameters under two constraints, with b21 = b22 = 0."""
    return {"sigma2": 2.0 * x["sigma1"], "b21": 0.0, "b22": 0.0, "c2": ratio(x | {"sigma2": 2.0 * x["sigma1"]})}


@dataclass(frozen=True, eq=False)
class Tied:
    """A model, and its constraints solved by hand.

    Attributes
    ----------
    model : saem.Model
    free : tuple of str
        What varies.
    solved : callable
        The other parameters, of these.
    """

    model: saem.Model
    free: tuple[str, ...]
    solved: Callable[[Values], Values]

    @property
    def truth(self) -> dict[str, float]:
        """Values that satisfy the constraints."""
        free = {name: TRUTH[name] for name in self.free}
        return free | {name: float(value) for name, value in self.solved(free).items()}


def interactions(*zero: str) -> Callable[[Values], Values]:
    """The tied parameters under the posted link with some interactions that are zero."""
    return lambda x: dict.fromkeys(zero, 0.0) | dict(posted(dict(x) | dict.fromkeys(zero, 0.0)))


@cache
def problems() -> dict[str, Tied]:
    """The problems by name."""
    model, means = peptide_model(), ("mu", "alpha2")
    return {
        "posted": Tied(model, (*means, "b21", "b22", *SDS), posted),
        "over": Tied(model.replace(fixed={"b21": 0.0}), (*means, "b22", *SDS), interactions("b21")),
        "additive": Tied(model.replace(fixed={"b21": 0.0, "b22": 0.0}), (*means, *SDS), interactions("b21", "b22")),
        "conservation": Tied(peptide_model("peptide_conservation"), (*means, "b22", *SDS), conserved),
        "two": Tied(
            model.replace(
                fixed={"b21": 0.0, "b22": 0.0},
                constraints=dict(model.constraints) | {"ratio": "sigma2 == 2 * sigma1"},
            ),
            (*means, "sigma1", "sigma"),
            doubled,
        ),
    }


@dataclass(frozen=True, eq=False)
class Data:
    """An M-step to be made.

    Attributes
    ----------
    table : DataFrame
    solver : Solver
        Of the posed problem.
    statistics : ndarray
        Their conditional expectation at the truth.
    starts : dict of str to (n,) ndarray
        By level of the factor `start`.
    """

    table: pd.DataFrame
    solver: Solver
    statistics: np.ndarray
    starts: dict[str, np.ndarray]


def truth(cell: Cell) -> Mapping[str, float]:
    """None: what is looked for is the maximum on each data set, not the values that they were drawn from."""
    return dict.fromkeys((*PARAMETERS, "residual"), float("nan"))


def generate(cell: Cell, seed: int) -> Data:
    """A table of the cell's problem, its E-step at the truth, and a far start."""
    warm_up()
    return prepared(cell, seed)


def prepared(cell: Cell, seed: int) -> Data:
    tied = problems()[str(cell["problem"])]
    table = saem.simulate(tied.model, tied.truth, peptide_design(int(cell["replicates"])), seed)
    problem = pose(tied.model, arrange(tied.model, table))
    names = problem.parameters.names
    x = np.array([tied.truth[name] for name in names])
    noise = np.random.default_rng(seed).standard_normal(len(x))
    far = np.where([name in SDS for name in names], x * np.exp(FAR_SDS * noise), x + FAR_MEANS * noise)
    far = np.where(problem.parameters.fixed, x, far)
    return Data(table, Solver(problem), conditional_expectation(problem, x), {"iterate": x, "far": far})


@cache
def warm_up() -> None:
    """Load the compiled code, and SciPy, before they count: once in a process."""
    data = prepared(Cell({"problem": "additive", "replicates": 6}), 0)
    for name in ("sqp", "slsqp", "trust_constr"):
        maximised(name, data, data.starts["iterate"])


def maximised(name: str, data: Data, start: np.ndarray) -> tuple[np.ndarray, sqp.SearchResult]:
    """The end (n,) of a maximiser's search, and how it is judged."""
    maximiser, solver, x = MAXIMISERS[name](), data.solver, start.copy()
    whole = Repeated(maximiser) if maximiser.single_step else maximiser
    objective = solver.complete(data.statistics)
    search = solver.search(objective, x, solver.free, tolerance=TOLERANCE, max_iterations=ITERATIONS)
    return x, whole.maximise(search)


def refereed(data: Data, cell: Cell) -> Maximum:
    """The maximum without any code of `saem`."""
    tied = problems()[str(cell["problem"])]
    return maximum(expected(data.table, tied.truth), tied.free, tied.solved, tied.truth)


def estimate(data: Data, cell: Cell, options: Mapping[str, Any], seed: int) -> Outcome:
    """The maximum of Q by a maximiser, from the cell's start; or by the referee, from its own."""
    nan, solver, names = float("nan"), data.solver, data.solver.problem.parameters.names
    status, message, iterations = OK, "", nan
    if options["maximiser"] == "referee":
        top = refereed(data, cell)
        x, se, value = np.array([top.x[name] for name in names]), top.se, top.value
    else:
        x, result = maximised(options["maximiser"], data, data.starts[str(cell["start"])])
        se, value, iterations = {}, float(result.value), float(result.iterations)
        if result.status != sqp.CONVERGED:
            status, message = "not_converged", ENDS[result.status]
    residuals = solver.problem.constraints.evaluate(x)[0]
    numbers = {name: (float(value), se.get(name, nan), nan, nan, nan) for name, value in zip(names, x, strict=True)}
    numbers |= dict.fromkeys(problems()[str(cell["problem"])].model.fixed, (nan,) * 5)
    numbers["residual"] = (float(np.max(np.abs(residuals))), nan, nan, nan, nan)
    return Outcome(numbers, status, value, iterations=iterations, message=message)


def performance(rows: pd.DataFrame) -> pd.DataFrame:
    """Whether the maximum was reached, and how well the constraints hold.

    Returns
    -------
    DataFrame
        Measures of every cell and method:

        maximum_rate
            share of all searches, those that failed among them, that end at the maximum: with Q at most 1e-6 from the
            referee's, and every parameter at most 1e-3 of its standard error.
        wrong_claims
            share of those that claim to have converged and did not end there: a lower maximum, or none.
        median_residual, largest_distance
            median of the largest ``abs(c)`` in the units of c2; mean of the largest distance in standard errors of the
            searches that reached the maximum.
    """
    fits = beside(rows, "referee")
    own = rows.loc[rows["estimand"] == "residual", ["cell", "method", "replicate", "estimate"]]
    fits = fits.merge(own, on=["cell", "method", "replicate"])
    groups, names = grouped(fits)
    distance = fits["distance"].to_numpy(float)
    reached = (np.abs(fits["deficit"].to_numpy()) <= DEFICIT) & (distance <= DISTANCE)
    claims = fits["status"].isin(CONVERGED).to_numpy()
    residual = fits["estimate"].to_numpy(float)
    return long(
        names,
        {
            "maximum_rate": share(groups, reached),
            "wrong_claims": share(groups.where(claims), ~reached[claims]),
            "median_residual": median(groups.where(np.isfinite(residual)), residual[np.isfinite(residual)]),
            "largest_distance": mean(groups.where(reached), distance[reached]),
        },
    )
