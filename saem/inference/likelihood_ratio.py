"""Tests between nested models, and a table of several models of the same data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, listing
from saem.expressions.constraint import parameters_of
from saem.families import family_of
from saem.families.arranged import DesignedData
from saem.inference.mean_space import check_same_means, only_restricted, size_of_columns
from saem.inference.rows import estimate, refuse_posterior, rows_of
from saem.inference.surface import Surface, held
from saem.maxima.identification import FEASIBLE, towards_feasible
from saem.specification.domains import CORRELATION, REAL, SD, Domain

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.arranged import Arranged
    from saem.fitting.result import Fit

AT_ONE = 1e-6  # of a correlation
LOWER = 1e-6  # a larger model whose log-likelihood is lower by more than this has not been maximised


@dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood-ratio test.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    df : int
        Parameters, net of constraints, that the larger model has more.
    p : float
        By the mixture of chi-squares that holds under the smaller model.
    weights : dict of int to float
        The mixture: weight by degrees of freedom. One chi-square unless a variance is zero in the smaller model.
    note : str
        A reason to doubt the law; empty where there is none.
    """

    statistic: float
    df: int
    p: float
    weights: dict[int, float]
    note: str = ""


def likelihood_ratio(smaller: Fit, larger: Fit) -> LikelihoodRatio:
    """Test a model within a larger one: a constraint, fixed parameters, or a variance of zero.

    Two fits by "reml" can be tested where both have the same means: the columns of the free ones span the same space,
    and the others are fixed at the same values. Then the restricted likelihoods are of the same error contrasts.

    The smaller model must be the larger one with more constraints or more fixed parameters; both are to be fitted to
    the same rows, and a simulated one counts by the maximum beside its estimate. Where the smaller model fixes one
    standard deviation of random effects at zero, the statistic is a mixture of two chi-squares with equal weights: with
    ``r`` other parameters that the smaller model lacks (correlations of that effect among them), of ``r`` and ``r + 1``
    degrees of freedom (Self & Liang 1987, case 6; Stram & Lee 1994).

    Parameters
    ----------
    smaller, larger : Fit

    Raises
    ------
    ModelError
        When the models are not of the same rows, not nested, or fix several standard deviations at zero (whose mixture
        depends on the design: use `saem.bootstrap_test`); when one or both are by "reml" and their means differ.
    """
    from scipy.stats import chi2

    statistic, df = ratio(smaller, larger)
    zeros = new_zeros(smaller, larger)
    if zeros > 1:
        raise ModelError(
            f"{zeros} standard deviations of random effects are zero in the smaller model alone: the law of the "
            "statistic then depends on the design; test them one at a time, or by bootstrap (saem.bootstrap_test, "
            "saem test --bootstrap)"
        )
    weights = {df - 1: 0.5, df: 0.5} if zeros else {df: 1.0}
    tails = {k: float(chi2.sf(statistic, k)) if k else float(statistic <= 0.0) for k in weights}
    p = sum(weights[k] * tails[k] for k in weights)
    edge = [name for name in smaller.at_boundary if name in larger.parameters.names]
    note = ""
    if edge:
        note = (
            f"{listing(edge)} is at the boundary in the estimate of the smaller model: the law holds where its true "
            "value is not; a bootstrap test needs no such condition"
        )
    return LikelihoodRatio(statistic, df, p, weights, note)


def ratio(smaller: Fit, larger: Fit) -> tuple[float, int]:
    """The likelihood-ratio statistic of nested fits, and how many more parameters the larger one has.

    Raises
    ------
    ModelError
        When they are not of the same rows, not nested, or the larger one is not at its maximum.
    """
    check_nested(smaller, larger)
    low, high = comparable(smaller), comparable(larger)
    df = larger.n_free - smaller.n_free
    if df < 1:
        raise ModelError(
            f"the larger model must have more free parameters; it has {larger.n_free}, the smaller {smaller.n_free}"
        )
    if high < low - LOWER:
        raise ModelError(
            f"the larger model has the lower log-likelihood ({high:.6f} below {low:.6f}): its "
            f"maximum was not found; fit it by {'reml' if larger.method == 'reml' else 'ml'!r}"
        )
    return max(0.0, 2.0 * (high - low)), df


def same_response(a: Arranged, b: Arranged) -> bool:
    """Whether two fits are of the same response, up to the rounding of offsets."""
    if np.array_equal(a.observed, b.observed):
        return True
    if not (np.any(a.shift) or np.any(b.shift)):
        return False
    return a.observed.shape == b.observed.shape and np.allclose(a.observed, b.observed, rtol=1e-12, atol=0.0)


def check_nested(smaller: Fit, larger: Fit) -> None:
    """Refuse what cannot be compared, or is not nested as far as designs, names and equations tell."""
    for fit in (smaller, larger):
        refuse_posterior(fit, "the maximum of the likelihood")
    restricted = only_restricted({"the smaller model": smaller, "the larger one": larger})
    small, large = rows_of(smaller)[1], rows_of(larger)[1]
    check_same_kind(smaller, larger)
    if smaller.model.family != larger.model.family:
        raise ModelError(
            f"the models are of the families {smaller.model.family!r} and {larger.model.family!r}, whose parameters "
            "are not held against each other; write the smaller model as the larger one with values in [fixed], such "
            "as a standard deviation of 0, or with [random.NAME] blocks, too (saem.compare_models has their AIC)"
        )
    if smaller.model.response != larger.model.response or not same_response(small, large):
        raise ModelError("the two models must be fitted to the same rows of the same response, on the same scale")
    if not small.has_clusters_of(large):
        raise ModelError("the two models have different clusters; they are not nested")
    missing = [text for text in larger.model.constraints.values() if text not in smaller.model.constraints.values()]
    if missing:
        raise ModelError(f"the smaller model lacks a constraint of the larger one: {missing[0]!r}; they are not nested")
    if restricted:  # the means are integrated out: what they are called, and how they are coded, is no matter
        check_same_means(family_of(larger.model), small, large)
    integrated = means_of(smaller, larger) if restricted else set()
    unknown = [name for name in smaller.parameters.names if name not in {*larger.parameters.names, *integrated}]
    if unknown:
        raise ModelError(
            f"the smaller model has the parameter {unknown[0]!r}, which the larger one has not; what is the same in "
            "both must have one name (sd = .. names standard deviations)"
        )
    for name, fixed, value in zip(*_parts(larger), strict=True):
        there = name in smaller.parameters.names
        own = smaller.parameters.fixed_values[smaller.parameters.index(name)] if there else 0.0
        if fixed and own != value and name not in integrated:
            raise ModelError(f"the larger model fixes {name} at {value:g}, which the smaller one does not")
    family_of(larger.model).check_nested(small, large, not restricted)


def check_same_kind(one: Fit, other: Fit) -> None:
    """Refuse to compare likelihoods of families whose densities may be of different kinds.

    Families that read the same model files, such as linear models with one and with several grouping factors, have
    densities of one kind.

    Raises
    ------
    ModelError
    """
    kinds = [fit.model.also_reads[0] if fit.model.also_reads else fit.model.family for fit in (one, other)]
    if kinds[0] != kinds[1]:
        raise ModelError(
            f"the models are of the families {one.model.family!r} and {other.model.family!r}; their likelihoods cannot "
            "be compared"
        )


def new_zeros(smaller: Fit, larger: Fit) -> int:
    """How many standard deviations of random effects are zero in the smaller model alone.

    Raises
    ------
    ModelError
        When a constraint of the smaller model sets one to zero: no parameters with a positive one satisfy it.
    """
    names, fixed, values = _parts(smaller)
    domains = dict(zip(larger.parameters.names, larger.parameters.domains, strict=True))
    for name, text in smaller.model.constraints.items():
        if text in larger.model.constraints.values():
            continue
        used = parameters_of(name, text)
        ones = [part for part in used if is_at_one(domains[part], value_of(smaller, part))]
        if ones:
            raise ModelError(
                f"{ones[0]} is 1 or -1 under the constraint {text!r}, at the end of its range: the law of the "
                "statistic is no chi-square there; use a bootstrap test"
            )
        zeros = [part for part in used if domains[part] == SD and part in smaller.at_boundary]
        if zeros and not can_be_positive(smaller, zeros[0]):
            raise ModelError(
                f"{zeros[0]} is zero under the constraint {text!r}; fix it at 0 instead, in the smaller model"
            )
    free = set(larger.parameters.names) - {name for name, is_fixed, _ in zip(*_parts(larger), strict=True) if is_fixed}
    zero = [name for name, f, v in zip(names, fixed, values, strict=True) if f and v == 0.0 and name in free]
    data = rows_of(larger)[1]
    if isinstance(data, DesignedData):
        own = {larger.parameters.names[i] for i in data.sd_index.ravel() if i >= 0}
        absent = len((own & free) - set(smaller.parameters.names))
    else:
        terms = [term for term in larger.term_names if term not in smaller.term_names]
        absent = len(terms) * max(1, len(larger.group_levels))
    return sum(domains[name] == SD for name in zero) + absent


def value_of(fit: Fit, name: str) -> float:
    """The estimate of a parameter."""
    return float(fit.values[fit.parameters.index(name)])


def can_be_positive(fit: Fit, name: str) -> bool:
    """Whether the constraints of a model admit a positive value of a standard deviation whose estimate is zero."""
    problem = Surface.of(fit).problem
    i = problem.parameters.index(name)
    value = 0.1 * problem.scale[i]
    positive = held(problem, i, value)
    start = np.where(positive.parameters.fixed, positive.parameters.fixed_values, estimate(fit, problem))
    return towards_feasible(positive, start)[1] < FEASIBLE


def loglik_of(fit: Fit) -> float:
    """The log-likelihood at the maximum: that of an exact fit, or of the maximum beside another's estimate."""
    return fit.loglik if fit.method in ("ml", "reml") else Surface.of(fit).top.loglik


def comparable(fit: Fit) -> float:
    """Give `loglik_of`, for REML with means in columns of a common size: it hangs on how their space is written.

    With ``K = X'V^-1 X``, ``1/2 log|X'X| - 1/2 log|K|`` is the same for all columns that span a space.
    """
    return loglik_of(fit) + (size_of_columns(fit) if fit.method == "reml" else 0.0)


def _parts(fit: Fit) -> tuple[tuple[str, ...], list[bool], list[float]]:
    """Names, whether they are fixed, and the values."""
    return fit.parameters.names, fit.parameters.fixed.tolist(), fit.parameters.fixed_values.tolist()


def is_at_one(domain: Domain, value: float) -> bool:
    """Whether a correlation is one or minus one."""
    return domain == CORRELATION and abs(value) > 1.0 - AT_ONE


def means_of(*fits: Fit) -> set[str]:
    """The names of the means of some fits."""
    pairs = (zip(fit.parameters.names, fit.parameters.domains, strict=True) for fit in fits)
    return {name for pair in pairs for name, domain in pair if domain == REAL}


def compare_models(fits: Mapping[str, Fit]) -> pd.DataFrame:
    """Fits of different models to the same rows in one table, the lowest AIC first.

    Fits by "reml" are compared among themselves, and only where they have the same means (see `likelihood_ratio`).
    Where these are coded differently, restricted log-likelihoods are those in the columns of the first fit.

    Parameters
    ----------
    fits : mapping of str to Fit
        By label, such as the name of the constraint.

    Returns
    -------
    DataFrame indexed by `model` with columns `status, loglik, n_free, aic, delta_aic, bic, delta_bic`; `n_free` counts
    parameters net of constraints.

    Raises
    ------
    ModelError
        When the fits are not of the same rows, or some are by "reml" and others not, or their means differ.
    """
    import pandas as pd

    if not isinstance(fits, Mapping) or not fits:
        raise ModelError("fits must be a dict of one or more fits by label, such as {'posted g': fit}")
    for fit in fits.values():
        refuse_posterior(fit, "the maximum of the likelihood")
    restricted = only_restricted(fits)
    data_of = {label: rows_of(fit)[1] for label, fit in fits.items()}
    first, *others = data_of
    for label in others:
        check_same_kind(fits[first], fits[label])
    if not all(same_response(data, data_of[first]) for data in data_of.values()):
        raise ModelError("the fits must be of the same rows of the same response, on the same scale")
    shifts = dict.fromkeys(fits, 0.0)
    if restricted:
        for label in others:
            check_same_means(
                family_of(fits[label].model), data_of[first], data_of[label], f"the models {first!r} and {label!r}"
            )
        sizes = {label: size_of_columns(fit) for label, fit in fits.items()}
        shifts = {label: size - sizes[first] for label, size in sizes.items()}
    index = pd.Index(list(fits), name="model", dtype="str")
    found = pd.DataFrame(
        [
            [str(fit.status), fit.loglik + shift, fit.n_free, fit.aic - 2.0 * shift, fit.bic - 2.0 * shift]
            for fit, shift in zip(fits.values(), shifts.values(), strict=True)
        ],
        index=index,
        columns=["status", "loglik", "n_free", "aic", "bic"],
    )
    found.insert(4, "delta_aic", found["aic"] - found["aic"].min())
    found["delta_bic"] = found["bic"] - found["bic"].min()
    return found.sort_values("aic", kind="stable")
