"""The summary says where Wald intervals are not to be relied on, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nonlinear_family
import numpy as np
import pandas as pd
import pytest

import saem
from saem.fitting.summary import FEW, WALD, wald_fails


@pytest.fixture(scope="module")
def fit() -> saem.Fit:
    example = nonlinear_family.counts()
    return saem.fit(example.model, example.table, "ml")


def lines(fit: saem.Fit, clusters: int, errors: float) -> list[str]:
    """Those of the same fit with other numbers of clusters, and all SDs so many standard errors from zero."""
    se = np.nan_to_num(fit.se, nan=0.1)
    values = np.where(fit.parameters.domains.can_vanish, errors * se, fit.values)
    labels = pd.DataFrame({"cluster": range(clusters)})
    known: Any = SimpleNamespace(
        parameters=fit.parameters, values=values, se=se, model=fit.model, cluster_labels=labels
    )
    return wald_fails(known)


def test_few_clusters_and_spreads_near_zero_are_named(fit: saem.Fit) -> None:
    assert lines(fit, FEW, 1.1 * WALD) == []
    (few,) = lines(fit, FEW - 1, 1.1 * WALD)
    assert "too short" in few and f"({FEW - 1})" in few
    (near,) = lines(fit, FEW, 0.9 * WALD)
    assert "omega_control, omega_ill" in near and "profile" in near


def test_the_summary_has_them(fit: saem.Fit) -> None:
    """Twelve clusters."""
    assert "too short with so few clusters (12)" in fit.summary()
