"""Functions of the parameters, with standard errors by the delta method."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.expressions.quantity import Quantity, compile_quantity
from saem.fitting.intervals import wald_intervals
from saem.inference.arguments import check_level
from saem.inference.t_tests import UNTOUCHED
from saem.inference.t_tests import t_tests as means_tested

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit
    from saem.inference.fisher_information import FisherInformation


def derive(
    fit: Fit,
    quantities: Mapping[str, str],
    level: float = 0.95,
    information: FisherInformation | None = None,
    t_tests: bool = False,
) -> pd.DataFrame:
    """Estimates, standard errors and Wald intervals of functions of the parameters.

    With the exact gradient ``d`` of a quantity and the covariance ``V`` of the estimates through the constraints, the
    variance is ``d'V d``. Of a fit by "bayes", the mean, the standard deviation and the quantiles of the quantity's own
    draws.

    Parameters
    ----------
    fit : Fit
    quantities : mapping of str to str
        Expressions of the parameters by name, in the language of constraints: ``{"icc": "sigma1**2 / (sigma1**2 +
        sigma**2)"}``.
    level : float
        Of the intervals.
    information : FisherInformation, optional
        Of this fit, whose covariance to use, such as the robust one; the fit's own if omitted.
    t_tests : bool
        Of functions of the means: test them, by `saem.t_tests`, which gives the columns `df`, `t` and `p`, too.

    Returns
    -------
    DataFrame indexed by `quantity` with columns `estimate, se, lower, upper`. nan where a parameter without a standard
    error, at the boundary or not identified, is involved.

    Raises
    ------
    ModelError
        When an expression cannot be read, or has no value at the estimate; when t-tests are asked for that cannot be
        made (see `saem.t_tests`), or with another information.
    """
    import pandas as pd

    check_level(level)
    if t_tests:
        if information is not None:
            raise ModelError(
                "t-tests have standard errors of their own, from the expected information; leave out yours"
            )
        return means_tested(fit, quantities, level)
    if not isinstance(quantities, Mapping):
        raise ModelError(
            f"quantities must be a dict of expressions by name, such as {{'icc': '..'}}; got {quantities!r:.60}"
        )
    if information is not None and information.fit is not fit:
        raise ModelError("the information belongs to another fit; make it from this one")
    covariance = fit.covariance if information is None else information.covariance
    z = NormalDist().inv_cdf(0.5 + level / 2)
    lines = []
    for name, text in quantities.items():
        compiled = compile_quantity(name, text, fit.parameters.names)
        if fit.posterior is not None:
            lines.append(summary_of_draws(compiled, fit.posterior.pooled, name, text, level))
            continue
        value, jacobian, _ = compiled.evaluate(fit.values)
        gradient = jacobian[0]
        if not (np.isfinite(value[0]) and np.isfinite(gradient).all()):
            raise ModelError(f"the quantity {name!r} = {text!r} has no value, or no derivative, at the estimate")
        se = standard_error(gradient, covariance)
        if any(is_at_edge(fit, covariance, used) for used in compiled.used):
            se = float("nan")  # at a zero the gradient of a square vanishes, which says nothing of its error
        lines.append([value[0], se, value[0] - z * se, value[0] + z * se])
    index = pd.Index(list(quantities), name="quantity", dtype="str")
    return pd.DataFrame(lines, index=index, columns=["estimate", "se", "lower", "upper"], dtype=float)


def variances(fit: Fit, level: float = 0.95, information: FisherInformation | None = None) -> pd.DataFrame:
    """The squares of all free standard deviations: variance components.

    Standard errors are by the delta method; intervals are the squares of those of the standard deviations, which are
    Wald's on the log scale.

    Parameters
    ----------
    fit : Fit
    level : float
    information : FisherInformation, optional

    Returns
    -------
    DataFrame indexed by `quantity`, such as ``sigma1**2``, with columns `estimate, se, lower, upper`
    """
    wanted = fit.parameters.domains.can_vanish & ~fit.parameters.fixed
    names = [name for name, is_wanted in zip(fit.parameters.names, wanted, strict=True) if is_wanted]
    found = derive(fit, {f"{name}**2": f"{name}**2" for name in names}, level, information)
    if fit.posterior is None:
        ends = wald_intervals(fit, fit.se if information is None else information.se, level)
        found[["lower", "upper"]] = ends[[fit.parameters.index(name) for name in names]] ** 2
    return found


def summary_of_draws(compiled: Quantity, draws: np.ndarray, name: str, text: str, level: float) -> list[float]:
    """Mean, standard deviation and quantiles of a quantity over draws (k, n) of the parameters."""
    values = np.array([compiled.evaluate(x)[0][0] for x in draws])
    if not np.isfinite(values).all():
        raise ModelError(f"the quantity {name!r} = {text!r} has no value in {int((~np.isfinite(values)).sum())} draws")
    tail = (1.0 - level) / 2.0
    return [float(values.mean()), float(values.std(ddof=1)), *map(float, np.quantile(values, [tail, 1.0 - tail]))]


def is_at_edge(fit: Fit, covariance: np.ndarray, name: str) -> bool:
    """Whether a parameter is at the boundary, or a correlation with an effect that is: it has no standard error."""
    i = fit.parameters.index(name)
    return name in fit.at_boundary or bool(np.isnan(covariance[i, i]) and fit.status != "not_identified")


def standard_error(gradient: np.ndarray, covariance: np.ndarray) -> float:
    """The delta method; nan where the gradient (n,) touches what the covariance (n, n) does not know."""
    unknown = np.isnan(np.diag(covariance))
    if np.any(np.abs(gradient[unknown]) > UNTOUCHED * max(1.0, float(np.abs(gradient).max()))):
        return float("nan")
    known = ~unknown
    return float(np.sqrt(max(0.0, gradient[known] @ covariance[np.ix_(known, known)] @ gradient[known])))
