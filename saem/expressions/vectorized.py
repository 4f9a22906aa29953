"""The functions of the language on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saem.system import functions

#: Element by element.
OF_NUMPY: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "abs": np.abs,
    "expit": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "logit": lambda x: np.log(x / (1.0 - x)),
    "log_expit": lambda x: -np.logaddexp(0.0, -x),
    "min": np.minimum,
    "max": np.maximum,
    "logitnormal_mean": lambda median, sd: np.vectorize(functions.logitnormal, otypes=[np.float64])(
        0, np.log(median / (1.0 - median)), sd
    ),
}
_OF_SCIPY = {"lgamma": "gammaln", "normal_cdf": "ndtr", "log_normal_cdf": "log_ndtr", "probit": "ndtri"}


def call(name: str, arguments: Sequence[Any]) -> Any:
    """A function of the language, but for `where`.

    Parameters
    ----------
    name : str
    arguments : sequence of float or (n,) ndarray

    Returns
    -------
    float or (n,) ndarray
    """
    if name in _OF_SCIPY:
        import scipy.special

        return getattr(scipy.special, _OF_SCIPY[name])(*arguments)
    return OF_NUMPY[name](*arguments)
