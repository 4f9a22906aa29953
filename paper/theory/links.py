"""What a link gains and a wrong one costs in large samples, by the expected information of the linear mixed model.

An estimate under a link ``c(theta) = 0`` with gradient G has the covariance ``V - V G' (G V G')^-1 G V``, where V is
the inverse information of the model without it. Where ``c(theta) = delta`` in truth, the estimate is off by
``-V G' delta / (G V G')`` to first order, and the likelihood-ratio statistic is a non-central chi-square with the
non-centrality ``delta^2 / (G V G')`` (Silvey 1959; Davidson & Lever 1970). Far from the link, the estimate goes to the
parameters under the link that are nearest by Kullback and Leibler (White 1982).

All is by clusters of `experiments.links.design_of`: every form once in each of so many replicates an arm. This shares
no code with the fits but the compiled text of a link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from experiments.harness.performance.proportions import QUANTILE
from experiments.studies.links import NO_LINK, design_of, generating_model, model_of, scene_named, true_parameters
from paper.theory.clusters import SDS, cluster_covariance, differences, information, slopes_of
from saem.expressions.constraint import Constraints, compile_constraints

Array = np.ndarray
CRITICAL = QUANTILE**2  # of the test of one equation at 5 %


@dataclass(frozen=True, eq=False)
class Setting:
    """A scene at its truth, and a link that is fitted there.

    Attributes
    ----------
    names : tuple of str
        Parameters that the model without a link estimates.
    truth : (n,) ndarray
    x : (2, J, n) ndarray
        Derivatives of the J means in a cluster of either arm by the parameters.
    replicates : int
        An arm.
    link : Constraints or None
        None where the scene is saturated, whose links restrict nothing.
    held : mapping of str to float
        What a fit holds, which links speak about too.
    single : Setting or None
        The same with one replicate an arm, which has the same limit.
    """

    names: tuple[str, ...]
    truth: Array
    x: Array
    replicates: int
    link: Constraints | None
    held: dict[str, float]
    single: Setting | None = None

    @cached_property
    def covariance(self) -> Array:
        """V (n, n): of the estimates without a link."""
        return np.linalg.inv(information(self.truth, self.x, self.names, self.replicates))

    @cached_property
    def linked_covariance(self) -> Array:
        """(n, n): of the estimates under the link; without a link, V."""
        if self.link is None:
            return self.covariance
        reach = self.covariance @ self.gradient
        return np.asarray(self.covariance - np.outer(reach, reach) / (self.gradient @ reach))

    @cached_property
    def gradient(self) -> Array:
        """G (n,): of the link, at the truth."""
        return self.equation(self.truth)[1]

    @cached_property
    def departure(self) -> float:
        """``c(theta)``: how far the truth is from the link."""
        return self.equation(self.truth)[0]

    @cached_property
    def first_order_bias(self) -> Array:
        """(n,): ``-V G' delta / (G V G')``."""
        if self.link is None:
            return np.zeros(len(self.names))
        reach = self.covariance @ self.gradient
        return np.asarray(-reach * self.departure / (self.gradient @ reach))

    @cached_property
    def limit(self) -> Array:
        """(n,): where the estimates under the link go as the sample grows: nearest by Kullback and Leibler."""
        if self.link is None:
            return self.truth
        return nearest_under(self) if self.single is None else self.single.limit

    @cached_property
    def noncentrality(self) -> float:
        """Of the likelihood-ratio statistic: twice the divergence of the truth from the limit."""
        return 2.0 * self.divergence(self.limit)

    @cached_property
    def power(self) -> float:
        """Of the likelihood-ratio test of the link at 5 %."""
        from scipy.stats import ncx2

        return float(ncx2.sf(CRITICAL, 1, max(self.noncentrality, 1e-12)))

    def equation(self, theta: Array) -> tuple[float, Array]:
        """The link at (n,): its value, and its gradient (n,)."""
        assert self.link is not None
        known = dict(zip(self.names, theta, strict=True)) | self.held
        value, jacobian, _ = self.link.evaluate(np.array([known[name] for name in self.link.parameters]))
        places = [self.link.parameters.index(name) for name in self.names]
        return float(value[0]), np.asarray(jacobian)[0, places]

    def divergence(self, theta: Array) -> float:
        """Of the truth from other parameters (n,): the expected loss of log-likelihood, over all clusters."""
        found = 0.0
        for arm in (0, 1):
            s0, s = (cluster_covariance(t, self.names, arm, self.x.shape[1]) for t in (self.truth, theta))
            mean = self.x[arm] @ (self.truth - theta)
            solved = np.linalg.solve(s, s0 + np.outer(mean, mean))
            found += 0.5 * (np.linalg.slogdet(s)[1] - np.linalg.slogdet(s0)[1] + np.trace(solved) - len(mean))
        return float(self.replicates * found)

    def along(self, weights: dict[str, float]) -> Array:
        """(n,) of a sum of parameters; those that are held count nothing."""
        return np.array([weights.get(name, 0.0) for name in self.names])

    def gain(self, weights: dict[str, float]) -> float:
        """``100 (var / var_linked - 1)``, in per cent, for a sum of parameters."""
        w = self.along(weights)
        return float(100.0 * ((w @ self.covariance @ w) / (w @ self.linked_covariance @ w) - 1.0))

    def coverage(self, weights: dict[str, float]) -> float:
        """Of 95 % Wald intervals under the link, of a sum of parameters: normal around the limit.

        The standard errors are by the observed information there, as fits have them; the spread is the sandwich's.
        """
        w = self.along(weights)
        by_information, in_truth = self.covariances_at_limit
        se, spread = math.sqrt(w @ by_information @ w), math.sqrt(w @ in_truth @ w)
        shift = float(w @ (self.limit - self.truth))
        return normal((QUANTILE * se - shift) / spread) - normal((-QUANTILE * se - shift) / spread)

    @cached_property
    def covariances_at_limit(self) -> tuple[Array, Array]:
        """(n, n) both: by the information at the limit, seen through the link, and the sandwich (White 1982)."""
        if self.link is None:
            return self.covariance, self.covariance
        theta, scale = self.limit, np.sqrt(np.diag(self.covariance))
        gradient = self.equation(theta)[1]
        multiplier = -(self.divergence_slope(theta) @ gradient) / (gradient @ gradient)
        tangent = np.linalg.svd(gradient[None, :] * scale)[2][1:].T * scale[:, None]  # (n, n - 1)

        def stationary(t: Array) -> Array:
            return np.asarray(self.divergence_slope(t) + multiplier * self.equation(t)[1])

        hessian = differences(stationary, theta, 1e-4 * scale)
        inverse = tangent @ np.linalg.inv(tangent.T @ (hessian + hessian.T) @ tangent / 2.0) @ tangent.T
        return inverse, inverse @ self.score_covariance(theta) @ inverse

    def divergence_slope(self, theta: Array) -> Array:
        """(n,): the gradient of `divergence`, which is less the expected score."""
        found = np.zeros(len(theta))
        for arm in (0, 1):
            forms = self.x.shape[1]
            s0 = cluster_covariance(self.truth, self.names, arm, forms)
            inverse = np.linalg.inv(cluster_covariance(theta, self.names, arm, forms))
            off = self.x[arm] @ (self.truth - theta)
            second = s0 + np.outer(off, off)
            found -= self.x[arm].T @ inverse @ off
            for name, slope in slopes_of(theta, self.names, arm, forms).items():
                middle = inverse @ slope
                found[self.names.index(name)] += 0.5 * (np.trace(middle) - np.trace(middle @ inverse @ second))
        return self.replicates * found

    def score_covariance(self, theta: Array) -> Array:
        """(n, n): of the score at any parameters, with data from the truth: linear and quadratic forms of normals."""
        found = np.zeros((len(theta), len(theta)))
        for arm in (0, 1):
            forms = self.x.shape[1]
            s0 = cluster_covariance(self.truth, self.names, arm, forms)
            inverse = np.linalg.inv(cluster_covariance(theta, self.names, arm, forms))
            off = self.x[arm] @ (self.truth - theta)
            linear = inverse @ self.x[arm]  # (J, n): the score of the means is linear' e, with e ~ N(off, s0)
            found += linear.T @ s0 @ linear
            forms_of = slopes_of(theta, self.names, arm, forms)
            quadratic = {self.names.index(a): 0.5 * inverse @ slope @ inverse for a, slope in forms_of.items()}
            for a, m in quadratic.items():  # the score of an SD is e' m e, less its constant
                cross = 2.0 * linear.T @ s0 @ m @ off
                found[a] += cross
                found[:, a] += cross
                for b, other in quadratic.items():
                    found[a, b] += 2.0 * np.trace(m @ s0 @ other @ s0) + 4.0 * off @ m @ s0 @ other @ off
        return self.replicates * found


def normal(x: float) -> float:
    """The normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@lru_cache(maxsize=1024)
def setting(
    scene: str, link: str, sigma2: float, replicates: int, departure: float = 0.0, fitted: str | None = None
) -> Setting:
    """A cell of the study `constraints`, and the link that is fitted there: by default the one that the cell names."""
    own, model = scene_named(scene), generating_model(scene)
    parameters = true_parameters(scene, link, sigma2, departure)
    held = own.fixed or ("b21",)  # without a link c2 and b21 act on the same cell
    if own.saturated:  # the same means, with b21 held at 0
        parameters |= {"b22": parameters["b22"] - parameters["b21"], "c2": parameters["c2"] + parameters["b21"]}
        parameters["b21"] = 0.0
    names = tuple(name for name in parameters if name not in held)
    design = design_of(scene, 1)
    assert isinstance(model.mean, dict)
    columns = [
        np.zeros(len(design)) if name in SDS else acting(design, str(model.mean[name])).astype(float) for name in names
    ]
    x = np.array(columns).T.reshape(2, len(design) // 2, len(names))
    which = link if fitted is None else fitted
    tied = None
    if which != NO_LINK and not own.saturated:
        texts = model_of(scene, which).constraints
        tied = compile_constraints(texts, tuple(parameters))
    truth = np.array([parameters[name] for name in names])
    single = None if replicates == 1 else setting(scene, link, sigma2, 1, departure, which)
    return Setting(names, truth, x, replicates, tied, dict.fromkeys(held, 0.0), single)


def acting(design: object, where: str) -> Array:
    """The rows (r,) on which a mean acts: "1" is all."""
    import pandas as pd

    assert isinstance(design, pd.DataFrame)
    return np.ones(len(design)) if where == "1" else np.asarray(design.eval(where))


def nearest_under(own: Setting) -> Array:
    """The parameters (n,) under the link with the least divergence, from the truth on.

    Raises
    ------
    FitError
        When the search does not end.
    """
    from scipy.optimize import minimize

    from saem.errors import FitError

    scale = np.sqrt(np.diag(own.covariance))
    sds = [own.names.index(name) for name in SDS]
    start = own.truth / scale
    bounds = [(1e-3 / scale[i], None) if i in sds else (None, None) for i in range(len(scale))]
    found = minimize(
        lambda t: own.divergence(t * scale) / own.replicates,
        start,
        jac=lambda t: own.divergence_slope(t * scale) * scale / own.replicates,
        method="SLSQP",
        bounds=bounds,
        constraints={
            "type": "eq",
            "fun": lambda t: own.equation(t * scale)[0],
            "jac": lambda t: own.equation(t * scale)[1] * scale,
        },
        options={"maxiter": 500, "ftol": 1e-13},
    )
    if not found.success:
        raise FitError(f"the parameters under the link that are nearest to the truth were not found: {found.message}")
    return np.asarray(found.x * scale)
