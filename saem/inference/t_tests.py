"""t-tests of means with Satterthwaite's degrees of freedom.

A contrast ``l'b`` of the means has, at known variances, the variance ``v = l'(X'V^-1 X)^-1 l``. At estimated ones it is
itself a random number, and ``l'b / sqrt(v)`` has about the law of a t with

    df = 2 v^2 / Var(v),    Var(v) = g' A g,

where ``g`` is the gradient of ``v`` by the standard deviations and correlations, and ``A`` their covariance from the
observed information of the likelihood that was maximised, restricted or not (Satterthwaite 1946; Giesbrecht & Burns
1985; Fai & Cornelius 1996; Kuznetsova, Brockhoff & Christensen 2017, eq. 5 to 9).

Under constraints ``v`` is ``l'T (T'IT)^-1 T'l`` with the expected information ``I`` of all parameters and a basis ``T``
of the constraints' tangent space, both functions of the parameters, ``g`` the gradient by all of them, means too where
a constraint involves them, and ``A`` the covariance through the constraints. Without such constraints this is the
above, since the expected information has no entries between means and variances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, listing
from saem.expressions.constraint import parameters_of
from saem.expressions.grammar import names_in, parse
from saem.expressions.quantity import compile_quantity
from saem.families import pose
from saem.families.coordinates import USERS
from saem.inference.arguments import check_level
from saem.inference.maxima import pinned_at
from saem.inference.prediction import covariance_of
from saem.inference.rows import inside, posed, refuse_posterior, rows_of
from saem.maxima.information import null_space

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.families.problem import Problem
    from saem.fitting.result import Fit
    from saem.specification.parameters import Parameters

Array = np.ndarray

STEP = 1e-4  # of an SD, of the room that a correlation has, of a mean's standard error: differences for the gradient
UNTOUCHED = 1e-12  # of the largest term of a variance: a derivative below does not count
SINGULAR = 1e-10  # of the largest eigenvalue of the scaled information
COLUMNS = ["estimate", "se", "df", "t", "p", "lower", "upper"]


def t_tests(fit: Fit, quantities: Mapping[str, str] | None = None, level: float = 0.95) -> pd.DataFrame:
    """Test means, or functions of means, against zero, with Satterthwaite's degrees of freedom.

    Standard errors are from the expected information: ``sqrt(l'(X'V^-1 X)^-1 l)``, as lme4 and lmerTest have them,
    where no constraint involves a mean. `Fit.se` are from the observed one, which in unbalanced data are a little
    larger. Of a function of the means, ``l`` is its gradient at the estimate. A standard deviation or correlation at
    the boundary counts as known. Where constraints tie means to variances, there is no REML, and estimates of means are
    not quite normal: in small samples the test rejects too often, as one by "ml" does without constraints.

    Parameters
    ----------
    fit : Fit
        By maximum likelihood, however computed, or by "reml"; in small samples the latter is to be preferred.
    quantities : mapping of str to str, optional
        Expressions of the means by name, as for `saem.derive`; every free mean if omitted.
    level : float
        Of the intervals, which have the quantiles of the same t.

    Returns
    -------
    DataFrame indexed by `quantity` with columns `estimate, se, df, t, p, lower, upper`. nan where a mean is involved
    that the data do not determine; where ``v`` hangs on no estimated variance, `df` is infinite.

    Raises
    ------
    ModelError
        When the fit has no table or is a posterior, or an expression cannot be read, has no value at the estimate or
        involves other parameters than means.
    """
    import pandas as pd
    from scipy.stats import t as student

    check_level(level)
    refuse_posterior(fit, "one estimate with its standard errors")
    if quantities is None:
        quantities = quantities_of_means(fit.parameters, {})
    if not isinstance(quantities, Mapping):
        raise ModelError(
            f"quantities must be a dict of expressions by name, such as {{'d': 'a - b'}}; got {quantities!r:.60}"
        )
    contrasts = {name: contrast(fit, name, text) for name, text in quantities.items()}
    variances = Variances.of(fit)
    lines = []
    for value, gradient in contrasts.values():
        variance, df = variances.at_estimate(gradient)
        se = float(np.sqrt(variance))
        if not se > 0.0:  # a fixed mean, or one that the data do not determine
            lines.append([value, se, *[np.nan] * 5])
            continue
        statistic, half = value / se, float(student.ppf(0.5 + level / 2.0, df)) * se
        p = 2.0 * float(student.sf(abs(statistic), df))
        lines.append([value, se, df, statistic, p, value - half, value + half])
    index = pd.Index(list(quantities), name="quantity", dtype="str")
    return pd.DataFrame(lines, index=index, columns=COLUMNS, dtype=float)


def means_of(parameters: Parameters) -> list[str]:
    """The names of the means."""
    return [name for name, is_real in zip(parameters.names, parameters.domains.is_real, strict=True) if is_real]


def quantities_of_means(parameters: Parameters, texts: Mapping[str, str]) -> dict[str, str]:
    """Every free mean by its name, and those of some expressions that involve means alone."""
    means = means_of(parameters)
    found = {name: name for name in means if not parameters.fixed[parameters.index(name)]}
    return found | {name: text for name, text in texts.items() if set(names_in(parse(text))) <= set(means)}


def ties_means(model: Model, parameters: Parameters) -> bool:
    """Whether a constraint of a model involves a mean."""
    means = set(means_of(parameters))
    return any(means & set(parameters_of(name, text)) for name, text in model.constraints.items())


def contrast(fit: Fit, name: str, text: str) -> tuple[float, Array]:
    """The value of a quantity and its gradient (n,) at the estimate."""
    compiled = compile_quantity(name, text, fit.parameters.names)
    others = [used for used in compiled.used if used not in means_of(fit.parameters)]
    if others:
        raise ModelError(
            f"the quantity {name!r} = {text!r} involves {listing(others)}: t-tests are for functions of means alone; "
            "without t-tests 'derive' has its standard error"
        )
    value, jacobian, _ = compiled.evaluate(fit.values)
    if not (np.isfinite(value[0]) and np.isfinite(jacobian).all()):
        raise ModelError(f"the quantity {name!r} = {text!r} has no value, or no derivative, at the estimate")
    return float(value[0]), jacobian[0]


@dataclass(frozen=True, eq=False)
class Variances:
    """The variance of contrasts as a function of the parameters, around an estimate.

    All of it is in the coordinates in which the model was fitted, where the expected information keeps its digits; a
    contrast of the user's means becomes one of the inner means, of which they are straight lines, by the Jacobian.

    Attributes
    ----------
    problem : Problem
        Not restricted: its expected information has the block ``X'V^-1 X`` of the means.
    x : (n,) ndarray
        The estimate.
    free : (n,) bool ndarray
        Neither fixed nor at the boundary.
    covariance : (n, n) ndarray
        Of the estimates, zero where it is not known.
    unknown : (n,) bool ndarray
        Parameters that the data do not determine, of the user's.
    steps : (n,) ndarray
        Of the differences by which variances are differentiated; 0 for parameters that they do not hang on.
    """

    problem: Problem
    x: Array
    free: Array
    covariance: Array
    unknown: Array
    steps: Array

    @classmethod
    def of(cls, fit: Fit) -> Variances:
        """Those of a fit."""
        data = rows_of(fit)[1]
        problem = posed(fit, data)
        if problem.likelihood.restricted:
            problem = pose(fit.model, data, coordinates=None if len(fit.inner) else USERS)
        if problem.likelihood.fisher_information is None:
            raise ModelError("the family of the model has no expected information, which t-tests need")
        within, missing = inside(fit, data), np.isnan(np.diag(fit.covariance))
        covariance = covariance_of(fit, data, within)[0].copy()  # with the combinations that are determined
        edge = np.zeros(len(missing), dtype=bool)
        for name in fit.at_boundary:
            i = fit.parameters.index(name)
            edge[[i, *problem.boundary.dependents.get(i, ())]] = True
        edge &= missing
        unknown, x, domains = missing & ~edge, within.x, fit.parameters.domains
        edge = edge if within.coordinates.is_users else pinned_at(problem, x)
        missing = np.isnan(np.diag(covariance))
        covariance[missing, :] = covariance[:, missing] = 0.0
        of_means = np.sqrt(np.diag(covariance)) if ties_means(fit.model, fit.parameters) else 0.0
        sizes = np.where(domains.is_real, of_means, domains.room(x))
        steps = np.where(np.diag(covariance) > 0.0, STEP * sizes, 0.0)
        return cls(problem, x, ~fit.parameters.fixed & ~edge, covariance, unknown, steps)

    def at_estimate(self, gradient: Array) -> tuple[float, float]:
        """The variance of a contrast (n,), and its degrees of freedom; nan where the data do not determine it."""
        if np.any(np.abs(gradient[self.unknown]) > UNTOUCHED * max(1.0, float(np.abs(gradient).max()))):
            return np.nan, np.nan
        gradient = gradient @ self.problem.coordinates.jacobian(self.x)
        variance = self.variance(self.x, gradient)
        slope = np.zeros(len(self.x))
        for i in np.flatnonzero(self.steps):
            step = np.where(np.arange(len(self.x)) == i, self.steps, 0.0)
            rise = self.variance(self.x + step, gradient) - self.variance(self.x - step, gradient)
            slope[i] = rise / (2.0 * step[i])
        of_variance = float(slope @ self.covariance @ slope)
        return variance, 2.0 * variance**2 / of_variance if of_variance > 0.0 else np.inf

    def variance(self, x: Array, gradient: Array) -> float:
        """Compute ``l'V l`` at parameters (n,), with ``V = T (T'I T)^-1 T'`` from the expected information ``I``."""
        assert self.problem.likelihood.fisher_information is not None
        at = np.flatnonzero(self.free)
        information = self.problem.likelihood.fisher_information(x)[np.ix_(at, at)]
        scale = 1.0 / np.sqrt(np.maximum(np.diag(information), 1e-300))
        tangent = null_space(self.problem.constraints.evaluate(x)[1][:, at] * scale)
        values, vectors = np.linalg.eigh(tangent.T @ (information * np.outer(scale, scale)) @ tangent)
        regular = values > SINGULAR * max(float(values.max(initial=0.0)), 1e-300)
        along = (tangent @ vectors[:, regular]).T @ (scale * gradient[at])
        return float(np.sum(along**2 / values[regular]))
