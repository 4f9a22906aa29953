"""Data from a model: random effects for every cluster, a residual for every row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.frames import Table, as_frame
from saem.errors import DataError, ModelError, SaemWarning, listing, nearest
from saem.expressions.constraint import Constraints, compile_constraints, parameters_of
from saem.families import Model, arrange, family_of, with_any_response
from saem.specification.formula import column_giving
from saem.specification.parameters import Parameters
from saem.system.streams import stream

if TYPE_CHECKING:
    import pandas as pd


Floats = NDArray[np.float64]
TOLERANCE = 1e-8  # of a constraint's residual, relative to the size of the parameters in it
N_STARTS = 24


def simulate(model: Model, parameters: Mapping[str, float], design: Table, seed: int = 0) -> pd.DataFrame:
    """Simulate the response of a model on the rows of a table.

    Parameters
    ----------
    model : Model
    parameters : mapping of str to float
        Values by name. Parameters that are fixed in the model have that value if they are left out; others that are
        left out are computed from the constraints, where these determine them.
    design : DataFrame
        (n,) rows with all the columns that the model uses; a response that is there already is replaced. Where it is
        the time of an event, a row that has a time without one is watched until then, and all others without end.
    seed : int
        Same seed, same data. Rows and clusters that are added at the end change none of those before them.

    Returns
    -------
    DataFrame
        The design with the response as a column, and a column of events where the model has one (1, or 0 where the time
        ended without); responses beyond a limit of the model are at the limit. With the column that the response is
        made of, where the model states it as ``log(y)``.

    Raises
    ------
    ModelError
        If a value is missing, unknown, or impossible (an SD below 0).
    DataError
        If the design does not fit the model.

    Warns
    -----
    SaemWarning
        If the values violate a constraint, which a study of a wrong model may want.
    """
    given = as_frame(design, "design")
    if len(given) < 2:
        raise DataError(f"the design must have at least 2 rows; got {len(given)}")
    plain = model.plain()
    table = with_any_response(plain, given)
    data = arrange(plain, table)
    values = complete(model, data.parameters, parameters)
    streams = stream(seed, "simulate", "random effects"), stream(seed, "simulate", "residuals")
    family = family_of(model)
    response: NDArray[Any] = family.draw_response(data, values, *streams) + data.shift
    if not model.is_transformed or model.formula is None:
        columns = family.recorded(plain, given, response)
        return table.assign(**columns)  # to replace a column is cheaper than to add one
    name, column = column_giving(model.formula, response)
    return given.assign(**{name: column})


def complete(model: Model, parameters: Parameters, given: Mapping[str, float]) -> Floats:
    """Values of all parameters, (n,) ndarray: those given, those fixed, and those that the constraints determine."""
    _check_given(parameters, given)
    values = parameters.fixed_values.copy()
    for name, value in given.items():
        i = parameters.index(name)
        if parameters.fixed[i] and value != values[i]:
            _warn(f"parameter {name!r} is simulated at {value:g}, although the model fixes it at {values[i]:g}")
        values[i] = value
    constraints = compile_constraints(model.constraints, parameters.names)
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        names = [parameters.names[i] for i in missing]
        involved = {used for name, text in model.constraints.items() for used in parameters_of(name, text)}
        unreachable = [name for name in names if name not in involved]
        if unreachable:
            raise ModelError(_needs_values(unreachable))
        values = _solve(constraints, parameters, values, missing)
    _check_constraints(constraints, values)
    return values


def _check_given(parameters: Parameters, given: Mapping[str, float]) -> None:
    """Refuse unknown names and impossible values, all at once."""
    problems = []
    for name, value in given.items():
        if name not in parameters.names:
            hint = nearest(name, parameters.names)
            problems.append(f"there is no parameter {name!r}{hint}; the parameters are {listing(parameters.names, 20)}")
            continue
        domain = parameters.domains[parameters.index(name)]
        if not np.isfinite(value):
            problems.append(f"parameter {name!r} must be a finite number; got {value}")
        elif not domain.admits(value):
            problems.append(f"parameter {name!r} is {domain.words}, which must {domain.range_in_words}; got {value:g}")
    if problems:
        raise ModelError("; ".join(problems), problems)


def _needs_values(names: Sequence[str]) -> str:
    noun = "parameter" if len(names) == 1 else "parameters"
    how = f"by --set {names[0]}=VALUE (parameters={{...}} in Python)"
    return f"no value for the {noun} {listing(names, 20)}; give {'it' if len(names) == 1 else 'each'} {how}"


def _solve(constraints: Constraints, parameters: Parameters, values: Floats, missing: NDArray[np.intp]) -> Floats:
    """Solve the constraints for the missing values, from several starts; there must be exactly one solution."""
    from scipy.optimize import least_squares

    names = [parameters.names[i] for i in missing]
    domains = parameters.domains.take(missing)

    def at(free: Floats) -> Floats:
        full = values.copy()
        full[missing] = domains.from_free(free)
        return full

    def residual(free: Floats) -> Floats:
        return np.nan_to_num(constraints.evaluate(at(free))[0], nan=1e100, posinf=1e100, neginf=-1e100)

    def jacobian(free: Floats) -> Floats:
        full = at(free)
        return np.nan_to_num(constraints.evaluate(full)[1][:, missing] * domains.slopes(full[missing]))

    rng = np.random.default_rng(0)
    spread = np.where(domains.is_real, 3.0, 1.0)
    solutions: list[Floats] = []
    for k in range(N_STARTS):
        start = rng.standard_normal(len(missing)) * spread if k else np.zeros(len(missing))
        found = least_squares(residual, start, jacobian, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=200).x
        if not _satisfied(constraints, at(found)).all():
            continue
        size = np.linalg.svd(jacobian(found), compute_uv=False)
        if len(size) < len(missing) or size[-1] < 1e-8 * max(1.0, size[0]):
            raise ModelError(f"the constraints do not determine {listing(names)}: {_needs_values(names)}")
        solution = at(found)
        if not any(np.allclose(solution, other, rtol=1e-6, atol=1e-6) for other in solutions):
            solutions.append(solution)
    if not solutions:
        raise ModelError(
            f"the constraints {listing(constraints.names)} have no solution for {listing(names)} at the values given; "
            "change these, or give all of them"
        )
    if len(solutions) > 1:
        texts = ["; ".join(f"{name}={s[i]:.6g}" for name, i in zip(names, missing, strict=True)) for s in solutions]
        raise ModelError(
            f"the constraints have several solutions for {listing(names)}: {', or '.join(sorted(texts))}; "
            "give the one you mean"
        )
    return solutions[0]


def _satisfied(constraints: Constraints, values: Floats) -> NDArray[np.bool_]:
    """Which constraints hold, up to rounding of the values in them."""
    c, jacobian, _ = constraints.evaluate(values)
    scale = 1.0 + np.abs(jacobian) @ np.abs(values)
    return np.asarray(np.isfinite(c) & (np.abs(c) <= TOLERANCE * scale))


def _check_constraints(constraints: Constraints, values: Floats) -> None:
    """Warn of constraints that the values do not satisfy."""
    if not constraints.n:
        return
    residuals = constraints.evaluate(values)[0]
    broken = np.flatnonzero(~_satisfied(constraints, values))
    for i in broken:
        _warn(
            f"the values violate the constraint {constraints.names[i]!r} ({constraints.texts[i]}): "
            f"left side minus right side is {residuals[i]:.6g}; the data are simulated all the same"
        )


def _warn(text: str) -> None:
    warnings.warn(text, SaemWarning, stacklevel=4)
