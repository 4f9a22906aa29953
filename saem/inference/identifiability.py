"""Whether model and table determine the parameters: locally, by the structure alone, globally, and in practice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.data.frames import Table, as_frame
from saem.errors import ConstraintError, ModelError, SaemError
from saem.inference.arguments import whole
from saem.inference.maxima import information_beside, link_along, profile_ends
from saem.inference.structure import Structure, structure_of
from saem.maxima.attainable import check_attainable
from saem.maxima.drawn_information import drawn_look
from saem.maxima.identification import closed_look, describe_direction, null_directions, on_users_scale
from saem.maxima.starts import solutions_along
from saem.mstep.solver import Solver
from saem.system.display import count
from saem.system.streams import stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.families.problem import Problem
    from saem.specification.parameters import Parameters

Array = np.ndarray

STARTS, POINTS = 50, 100
ILL = 1e6  # condition number beyond which estimates are as good as not determined
MINOR = 0.2  # of the largest: smaller parts of the weakest direction are not worth words

APART, LOG_SPREAD = 0.3, np.log(0.5)  # of parameters without bounds, and a standard deviation in the middle
DRAWN_POINTS = 5  # random points, at most, where the information is that of drawn responses

NO_DESIGN = (
    "No response can be drawn from this model, and its information has no closed form: whether its parameters are "
    "determined is seen from the data at the highest maximum alone."
)


@dataclass(frozen=True, eq=False)
class Identifiability:
    """What `identifiability` found.

    Attributes
    ----------
    locally_identified : bool
        Whether the parameters are determined in a neighbourhood of almost every point (near the estimate, if there are
        data). An estimate at the boundary is no lack of identification.
    null_directions : tuple of str
        One sentence for each direction in which they are not, in parameter names.
    directions : (k, n) ndarray
        The directions, largest entry 1.
    mean_rank, n_means : int
        Rank of the mean design, and its number of columns.
    structure : Structure
        What holds at random parameter points, whatever the response.
    solutions : DataFrame
        Parameters of each solution of the constraints with the likelihood of the unconstrained maximum: several rows
        mean that the data cannot tell them apart. Empty where the constraints restrict the likelihood, or without data.
    maxima : DataFrame
        All local maxima of the likelihood that were found, the highest first: `loglik`, `below` (how much lower than
        the highest), and the parameters. Empty where directions are free, or without data.
    link : DataFrame
        Where one equation decides along the only direction that the means leave free: its `residual` (left side minus
        right) along that direction from the unconstrained maximum, with the `loglik` that all points share and the
        parameters. The solutions are its zeros. Empty otherwise, or without data.
    n_maximisers : int
        How many of them are the highest.
    n_starts : int
        Searches that were scattered to find others.
    condition_number : float
        Largest over smallest curvature of the likelihood at the estimate, along the constraints, on a scale on which
        each parameter alone has curvature one; nan where there is none.
    weakest : dict of str to float
        The least determined direction: by how much the parameters move in one standard error of it.
    flat : tuple of str
        Parameters whose profile likelihood does not fall by 1.92 on a side, however far they move.
    notes : tuple of str
        What could not be found out, and why.
    is_known : bool
        Whether that could be examined: where the information of the model has no closed form, and no response can be
        drawn, it is that of the data at the highest maximum, which may not be found.
    """

    locally_identified: bool
    null_directions: tuple[str, ...]
    directions: Array
    mean_rank: int
    n_means: int
    structure: Structure
    solutions: pd.DataFrame
    maxima: pd.DataFrame
    link: pd.DataFrame
    n_maximisers: int = 0
    n_starts: int = 0
    condition_number: float = np.nan
    weakest: Mapping[str, float] | None = None
    flat: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_known: bool = True

    @property
    def unique(self) -> bool:
        """Whether the parameters are determined and one maximum is higher than all others that were found."""
        return self.is_known and self.locally_identified and self.n_maximisers == 1

    def summary(self) -> str:
        """The findings in words."""
        return "\n".join(f"{heading:<15}{text}" for heading, text in self.findings())

    def findings(self) -> list[tuple[str, str]]:
        """Headings, each with a sentence or two."""
        free = "; ".join(self.null_directions)
        local = "determined: no direction is left free" if self.locally_identified else free
        found = [("locally", local if self.is_known else "not known")]
        if self.structure.n_attempts:
            found.append(("by design", self._structure_words()))
        if self.n_maximisers:
            found.append(("globally", self._global_words()))
        if self.weakest:
            found.append(("in practice", self._practical_words()))
        return found + [("", note) for note in self.notes]

    def _structure_words(self) -> str:
        points, n = self.structure.points, len(self.structure.points)
        if not n:
            return (
                f"none of {self.structure.n_attempts} random points lies near parameters that satisfy the constraints"
            )
        text = f"determined at {(points['n_null'] == 0).sum()} of {count(n, 'random parameter point')}"
        several = points[points["n_solutions"] > 1]
        if len(several):
            most = int(several["n_solutions"].max())
            text += f"; at {len(several)} of them up to {most} sets of parameters have the same law of the data"
        elif self.structure.share_identified > 0.0:
            text += "; at none another set of parameters with the same law was found"
        return text

    def _global_words(self) -> str:
        searched = f"from {count(self.n_starts, 'scattered start')} besides the usual ones"
        if self.n_maximisers > 1:
            return f"{self.n_maximisers} sets of parameters have the same, highest likelihood ({searched})"
        lower = len(self.maxima) - 1
        if not lower:
            return f"one maximum, found {searched}"
        gap = float(self.maxima["below"].iloc[1])
        return f"one highest maximum; {count(lower, 'lower one')}, the next by {gap:.3g} in log-likelihood ({searched})"

    def _practical_words(self) -> str:
        text = f"condition number {self.condition_number:.3g}"
        if self.condition_number > ILL:
            text += ", as good as not determined (or a column is far from zero: centre it)"
        moves = ", ".join(f"{name} {move:+.3g}" for name, move in (self.weakest or {}).items())
        text += f"; least determined is the direction {moves} (one standard error)"
        for name in self.flat:
            text += f"; {name} has no end on a side: its likelihood does not fall by 1.92 however far it moves"
        return text


def anywhere(problem: Problem, start: Mapping[str, float]) -> Array:
    """Parameters (n,) in the middle of their domains, slightly apart from each other; a ``start`` where there is one.

    What a search leads to without a response has no meaning, and may be where a curve is flat.
    """
    parameters = problem.parameters
    domains, n = parameters.domains, len(parameters)
    step = APART * stream(0, "anywhere").standard_normal(n)
    x = domains.from_free(np.where(domains.can_vanish, LOG_SPREAD, 0.0) + step)
    for name, value in start.items():
        x[parameters.index(name)] = value
    return np.where(parameters.fixed, parameters.fixed_values, x)


def identifiability(
    model: Model,
    table: Table,
    drop_missing: bool = False,
    starts: int = STARTS,
    points: int = POINTS,
    around: Mapping[str, float] | None = None,
) -> Identifiability:
    """Check whether the parameters of a model are determined by a table and the constraints.

    Parameters
    ----------
    model : Model
    table : DataFrame
        Without the column of the response it is a design: what is found then does not depend on one.
    drop_missing : bool
        As in `saem.fit`.
    starts : int
        Scattered searches for other maxima of the likelihood.
    points : int
        Random parameter points at which the structure is examined; five at most where the information has no closed
        form, and responses have to be drawn.
    around : mapping of str to float, optional
        Parameters (all that are free) that these points lie around; by default the estimate, or without a response
        means of zero and standard deviations below one; where responses have to be drawn, the model's ``[start]``, and
        about one, or the middle between bounds, for what it does not name.

    Raises
    ------
    ConstraintError
        When no parameters that satisfy the constraints are found.
    """
    import pandas as pd

    from saem.families import arrange, family_of, pose, with_any_response
    from saem.maxima.boundary import climb

    starts, points = whole(starts, "starts", 0), whole(points, "points", 0)
    rows = as_frame(table)
    has_response = all(name in rows.columns for name in model.response_columns)
    if not has_response:
        model = model.plain()
        rows = with_any_response(model, rows)
    data = arrange(model, rows, drop_missing)
    problem = pose(model, data)
    check_attainable(problem, model.constraints)
    solver, names = Solver(problem), problem.parameters.names
    labels = tuple(problem.label(i) for i in range(len(names)))
    look = closed_look(problem) or drawn_look(model, data, problem)
    is_drawn = problem.likelihood.expected_information is None
    if is_drawn and not has_response:
        x = anywhere(problem, getattr(model, "start", {}))  # some families have starts
    else:
        x, _, _ = climb(problem, solver, problem.starts.first, constrained=False)
    solutions = solutions_along(problem, solver, x, ~problem.parameters.fixed) if has_response else []
    place = problem.coordinates
    near = x if has_response or is_drawn else np.where(problem.parameters.domains.is_real, 0.0, x)
    if around is not None:
        near = place.to_inner(point_of(place.parameters(problem.parameters), around))
    directions = null_directions(problem, near, look)
    mean_rank, n_means = family_of(model).mean_rank(place.inside(data))
    moves = on_users_scale(problem, near, directions)
    found = Identifiability(
        locally_identified=len(directions) == 0,
        null_directions=tuple(describe_direction(names, *move, labels) for move in moves),
        directions=directions if place.is_users else np.array([move for move, _ in moves]).reshape(directions.shape),
        mean_rank=mean_rank,
        n_means=n_means,
        structure=structure_of(problem, near, min(points, DRAWN_POINTS) if is_drawn else points, look=look),
        solutions=pd.DataFrame(place.to_user(np.array(solutions).reshape(-1, len(names))), columns=list(names)),
        maxima=pd.DataFrame(columns=["loglik", "below", *names], dtype=float),
        link=link_along(problem, solver, x, solutions) if has_response else link_along(problem, solver, x, []),
        is_known=look is not None,
        notes=() if look is not None else (NO_DESIGN,),
    )
    if not has_response or not found.locally_identified:
        return found
    return with_data(found, model, rows, drop_missing, problem, starts)


def point_of(parameters: Parameters, values: Mapping[str, float]) -> Array:
    """Parameters (n,) from their names; fixed ones have their value.

    Raises
    ------
    ModelError
        When a name is unknown, or a free parameter has no value.
    """
    for name in values:
        parameters.index(name)
    missing = [
        name for name, fixed in zip(parameters.names, parameters.fixed, strict=True) if not fixed and name not in values
    ]
    if missing:
        raise ModelError(f"'around' needs a value for {missing[0]}; it is to name all free parameters")
    for name, value in values.items():
        if not np.isfinite(value) or not parameters.domains[parameters.index(name)].admits(value):
            raise ModelError(
                f"'around' needs finite values, and none below zero for a standard deviation; got {name}={value!r}"
            )
    given = np.array([values.get(name, 0.0) for name in parameters.names], dtype=float)
    return np.where(parameters.fixed, parameters.fixed_values, given)


def with_data(
    found: Identifiability, model: Model, table: pd.DataFrame, drop_missing: bool, problem: Problem, starts: int
) -> Identifiability:
    """What the likelihood of the table adds: its maxima, its curvature, and profiles that do not end."""
    from dataclasses import replace
    from warnings import catch_warnings, simplefilter

    import pandas as pd

    from saem.algorithms.direct_ml import DirectML
    from saem.errors import SaemWarning
    from saem.fitting.fit import fit
    from saem.maxima.search import TIE

    try:
        with catch_warnings():
            simplefilter("ignore", SaemWarning)  # they are those of any fit of the table
            best = fit(model, table, DirectML(scattered=starts), drop_missing=drop_missing)
    except ConstraintError:
        raise
    except SaemError as error:
        return replace(found, notes=(*found.notes, f"The likelihood could not be examined: {error}"))
    if best.status == "not_identified" and not found.is_known:
        free = (f"Where the likelihood is highest it is flat: {best.message}",)
        return replace(found, locally_identified=False, null_directions=free, is_known=True)
    if best.status == "not_identified":  # a maximum at infinity, say: the search ends anywhere on the plain
        return replace(found, notes=(f"Where the likelihood is highest it is flat: {best.message}",))
    logliks = best.solution_logliks
    below = np.max(logliks) - logliks
    columns = {"loglik": logliks, "below": below}
    columns |= dict(zip(problem.parameters.names, best.solutions.T, strict=True))
    ends, notes = profile_ends(problem, best)
    information = information_beside(problem, best.inner if len(best.inner) else best.values)
    weakest: dict[str, float] = {}
    condition = np.nan
    if len(information.curvatures):
        condition = float(information.curvatures[-1] / information.curvatures[0])
        place = problem.coordinates
        move, typical = information.root[:, 0], place.sizes(problem.scale)
        if not place.is_users:
            move = place.jacobian(best.inner) @ move
        sizes = np.abs(move) / typical
        weakest = {
            problem.parameters.names[i]: float(move[i])
            for i in np.argsort(-sizes)
            if sizes[i] > MINOR * np.max(sizes, initial=0.0)
        }
    return replace(
        found,
        maxima=pd.DataFrame(columns),
        n_maximisers=int(np.sum(below <= TIE * (1.0 + abs(float(np.max(logliks)))))),
        n_starts=starts,
        condition_number=condition,
        weakest=weakest,
        flat=ends,
        is_known=True,
        notes=(*found.notes, *notes),
    )
