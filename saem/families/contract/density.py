"""The joint density of a cluster's responses and random effects, from which all that is generic follows."""

from __future__ import annotations

from typing import Any

import numpy as np


def n_effects(arrays: Any, x: np.ndarray, cluster: int) -> int:
    """Dimension d of the random effects of a cluster at ``x``: the rank of their covariance, if they are normal.

    ``arrays`` are those of `Clusters.joint`.
    """
    raise NotImplementedError


def effects_root(arrays: Any, x: np.ndarray, cluster: int, root: np.ndarray) -> bool:
    """Write the root (d, d) by which ``u`` of `log_complete` becomes the model's random effects; whether there is one.

    Times its transpose it is their covariance.
    """
    raise NotImplementedError


def log_complete(
    arrays: Any,
    x: np.ndarray,
    cluster: int,
    effects: np.ndarray,
    order: int,
    values: np.ndarray,
    gradients: np.ndarray,
    hessians: np.ndarray,
) -> None:
    """Write ``log p(y_c, u; x)`` of a cluster at several values ``u`` of its random effects, with derivatives.

    The one density from which conditional modes, Markov kernels, quadrature and scores follow. The random effects are
    independent standard normals before the data are seen: those of the model are a root of their covariance times
    ``u``, so that a standard deviation of zero and a singular covariance are nothing special. All arguments that
    depend on ``u`` are *jets* (`saem.system.jets`) of J numbers: the value, and, unless J = 1, the exact first and
    second derivatives by the parameters ``x``, which ``u`` may depend on.

    Parameters
    ----------
    arrays : NamedTuple
        Those of `Clusters.joint`.
    x : (n,) ndarray
    cluster : int
    effects : (k, d, J) ndarray
        Values of ``u``; d is that of `n_effects`, which must not depend on ``x`` here.
    order : int
        0, 1 or 2: which derivatives by ``u`` are asked for.
    values : (k, J) ndarray, written
        With every constant, ``-inf`` outside the domain of ``x`` (then nothing else is written).
    gradients : (k, d, J) ndarray, written
        First derivatives by ``u``, if ``order`` is 1 or 2; else its length may be 0.
    hessians : (k, d, d, J) ndarray, written
        Second derivatives by ``u``, if ``order`` is 2; else its length may be 0.
    """
    raise NotImplementedError


def accumulate(
    arrays: Any, x: np.ndarray, cluster: int, effects: np.ndarray, weight: float, statistics: np.ndarray
) -> None:
    """Add ``weight`` times the complete-data statistics (s,) of a cluster at each of several draws ``u`` (k, d).

    Coordinates and ``arrays`` are those of `log_complete`. What is drawn thus, by whatever kernel, is reduced here.
    Statistics may belong to ``x``: those of an expansion at it, whose score at ``x`` is that of the complete data.
    """
    raise NotImplementedError


def log_joint(arrays: Any, x: np.ndarray, cluster: int, effects: np.ndarray, values: np.ndarray) -> None:
    """Write ``log p(y_c, u; x)`` (k,) of a cluster at several values ``u`` (k, d) of its random effects.

    The family chooses coordinates in which this is a smooth density over all of R^d, d that of `n_effects`, whose
    integral is the cluster's part of the marginal likelihood, with every constant. Coordinates that are independent
    standard normals before the data are seen are good ones: a variance of zero and a singular covariance are then
    nothing special. At ``u = 0`` it is finite, unless ``x`` is outside its domain, where it is ``-inf``. ``arrays`` are
    those of `Clusters.joint`.
    """
    raise NotImplementedError
