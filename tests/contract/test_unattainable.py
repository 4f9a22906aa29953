"""Constraints that no standard deviation or correlation can meet are refused in these words, by every method."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import saem
from saem import Model
from saem.errors import ConstraintError
from saem.inference.identifiability import identifiability


def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(8), 4), np.tile(np.arange(4.0), 8)
    return pd.DataFrame({"g": g, "x": x, "y": 5 + rng.normal(size=8)[g] + 0.5 * x + 0.3 * rng.normal(size=32)})


def model(constraints: dict[str, str], **more: object) -> Model:
    parts = {"response": "y", "cluster": "g", "mean": {"a": "1", "b": "x"}, "residual": {"sd": "sigma"}}
    return Model(**(parts | {"random": {"sd": "sd_b"}, "constraints": constraints} | more))


FULL = {"random": {"terms": {"i": "1", "s": "x"}, "covariance": "full"}}
REFUSED: list[tuple[dict[str, str], dict[str, object], str]] = [
    ({"w": "sigma == -1"}, {}, r"'w' \(sigma == -1\) cannot be met by a standard deviation: it asks for sigma = -1"),
    ({"w": "sd_b == -0.5"}, {}, r"'w' .* cannot be met by a standard deviation: it asks for sd_b = -0.5"),
    ({"w": "sigma**2 + 1 == 0"}, {}, r"'w' .* cannot be met by a standard deviation: no values of sigma satisfy it"),
    ({"w": "exp(sigma) == 0.5"}, {}, "it asks for sigma = -0.693147"),
    ({"w": "sd_b == -sigma"}, {}, r"'w' .* cannot be met by a standard deviation"),
    ({"w": "sigma == 0"}, {}, "a residual standard deviation of zero has no likelihood"),
    ({"v": "b == -1", "w": "sigma == b"}, {}, r"'w' .* cannot be met by a standard deviation: it asks for sigma = -1"),
    ({"w": "sigma == b"}, {"fixed": {"b": -1.0}}, r"'w' .* cannot be met by a standard deviation"),
    ({"w": "corr_i_s == 2"}, FULL, "'w' .* cannot be met by a correlation: it asks for corr_i_s = 2"),
    ({"w": "corr_i_s == 1"}, FULL, "'w' .* cannot be met by a correlation"),
]
MET: list[tuple[dict[str, str], dict[str, object]]] = [
    ({"w": "sigma == 0.4"}, {}),
    ({"w": "(sigma - 0.3)**2 == 0"}, {}),
    ({"w": "sd_b == 0"}, {}),
    ({"w": "sigma == 2 * sd_b"}, {}),
    ({"w": "sigma**2 + sd_b**2 == 1"}, {}),
    ({"w": "sigma == b"}, {}),
    ({"w": "corr_i_s == -0.5"}, FULL),
]


@pytest.mark.parametrize(("constraints", "more", "words"), REFUSED)
def test_what_cannot_be_met_is_refused(constraints: dict[str, str], more: dict[str, object], words: str) -> None:
    with pytest.raises(ConstraintError, match=words):
        saem.fit(model(constraints, **more), table(), "ml")


@pytest.mark.parametrize("method", ["saem", "em", "mcem", "stochastic_newton"])
def test_every_method_refuses_it(method: str) -> None:
    with pytest.raises(ConstraintError, match="cannot be met by a standard deviation: it asks for sigma = -1"):
        saem.fit(model({"w": "sigma == -1"}), table(), method)


def test_so_does_a_check() -> None:
    with pytest.raises(ConstraintError, match="cannot be met by a standard deviation"):
        identifiability(model({"w": "sigma == -1"}), table())


@pytest.mark.parametrize(("constraints", "more"), MET)
def test_what_can_be_met_is_fitted(constraints: dict[str, str], more: dict[str, object]) -> None:
    fit = saem.fit(model(constraints, **more), table(), "ml")
    assert np.abs(fit.constraint_residuals).max() < 1e-6
