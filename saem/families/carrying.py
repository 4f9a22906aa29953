"""Means in the centres of the random effects, so that little of the complete information on them is missing.

In a linear predictor ``X_c beta + Z_c theta_c`` the latent data are ``phi_c = theta_c + A_c beta``, whose law has the
centre ``A_c beta``, while ``X_c - Z_c A_c`` is left in the rows (partial centring: Papaspiliopoulos, Roberts & Skold
2003, Bayesian Statistics 7, 307-326). With the information ``W_c`` of the rows on the predictor, the complete
information on ``beta``

    A_c' Omega^-1 A_c + (X_c - Z_c A_c)' W_c (X_c - Z_c A_c),

is smallest, and equal to the observed, for ``A_c = (Z_c' W_c Z_c + Omega^-1)^-1 Z_c' W_c X_c``. Any ``A_c`` is right;
this is taken where the search starts.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.linalg import eigh

from saem.data.groups import members_of
from saem.families.arranged import DesignedData
from saem.families.nonlinear import trees
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.evaluation import value_of
from saem.families.nonlinear.structure import Effect, Structure
from saem.specification.formula import Design

Array = np.ndarray
_Data = TypeVar("_Data", bound=NonlinearData)
ONE = ("1", "Intercept")  # how a column of ones is written
CARRIED = "carried["
ENOUGH = 0.2  # of the complete information on any combination of means: EM is fast enough


class LinearPredictor(NamedTuple):
    """A linear predictor as trees."""

    parts: list[ast.expr]  # whose sum it is, but for an offset
    fixed: list[ast.expr]  # those of the means alone
    effects: tuple[Effect, ...]


def linear_predictor(
    mean: Design, terms: Mapping[str, str], centred: Mapping[str, str], is_carried: bool
) -> LinearPredictor:
    """A linear predictor of columns ``mean[..]`` and ``term[..]``.

    Parameters
    ----------
    mean : Design
        Of the fixed part.
    terms : mapping of str to str
        Random effects -> how their columns are written.
    centred : mapping of str to str
        Means in the centre of a random effect -> its term.
    is_carried : bool
        Whether all means are in the centres instead, as far as columns ``carried[..]`` say.
    """
    labels = dict(zip(mean.names, mean.labels, strict=True))
    weights = {name: trees.ONE if label in ONE else trees.column(f"mean[{name}]") for name, label in labels.items()}
    columns = {term: trees.ONE if text in ONE else trees.column(f"term[{term}]") for term, text in terms.items()}
    centres: dict[str, dict[str, ast.expr]] = {
        term: {n: weights[n] if column is trees.ONE else trees.ONE for n, where in centred.items() if where == term}
        for term, column in columns.items()
    }
    left = {name: weight for name, weight in weights.items() if name not in centred}
    if is_carried:
        centres = {term: {name: trees.column(carried_column(name, term)) for name in mean.names} for term in columns}
        inside = {name: [trees.multiply(columns[t], centres[t][name]) for t in columns] for name in mean.names}
        left = {name: trees.subtract(weight, trees.total(inside[name])) for name, weight in weights.items()}
    parts = [trees.multiply(trees.name(name), column) for name, column in left.items()]
    parts += [trees.multiply(trees.coordinate(term), column) for term, column in columns.items()]
    effects = [
        Effect(term, "normal", 0.0, 1.0, tuple((trees.name(n), basis) for n, basis in centres[term].items()))
        for term in columns
    ]
    fixed = [trees.multiply(trees.name(name), weights[name]) for name in mean.names]
    return LinearPredictor(parts, fixed, tuple(effects))


def carried_column(mean: str, term: str) -> str:
    """The column that says how much of a mean is in the centre of a random effect."""
    return f"{CARRIED}{mean}, {term}]"


def with_little_missing(data: _Data, structure: Structure, omega: Array, variances: Array) -> _Data:
    """The data with a structure whose means are in the centres, if those of its own leave much information missing.

    Parameters
    ----------
    data : NonlinearData
        With a linear predictor.
    structure : Structure
        With columns ``carried[..]``.
    omega : (q, q) ndarray
        Covariance of the random effects.
    variances : (n,) ndarray
        One over the information of each row on its linear predictor.
    """
    assert isinstance(data, DesignedData)
    if left_of_information(data, centres_of(data), omega, variances) >= ENOUGH:
        return data
    where = shares(data, omega, variances)
    columns = {
        carried_column(data.parameters.names[i], effect.name): where[:, k, j]
        for k, effect in enumerate(structure.effects)
        for j, i in enumerate(data.mean_index)
    }
    return replace(
        data,
        structure=replace(structure, start=data.structure.start),
        columns={**data.columns, **columns},
        constant_columns=data.constant_columns | frozenset(columns),
    )


def shares(data: DesignedData, omega: Array, variances: Array) -> Array:
    """``A_c`` (n, q, p) that leave least missing, for each row that of its cluster; see `with_little_missing`."""
    design, random = data.mean_design, data.random_design
    found = np.empty((len(design), random.shape[1], design.shape[1]))
    for rows in members_of(data.cluster):
        found[rows] = best_share(design[rows], random[rows], omega, variances[rows])
    return found


def best_share(x: Array, z: Array, omega: Array, variances: Array) -> Array:
    """``(Z' W Z + Omega^-1)^-1 Z' W X`` (q, p) of a cluster; a singular covariance will do."""
    weighted = z.T / variances
    return np.asarray(np.linalg.solve(np.eye(len(omega)) + omega @ (weighted @ z), omega @ (weighted @ x)))


def centres_of(data: NonlinearData) -> Array:
    """``A_c`` (n, q, p) of the data's own centres."""
    assert isinstance(data, DesignedData)
    n, names = len(data.response), [data.parameters.names[i] for i in data.mean_index]
    found = np.zeros((n, len(data.structure.effects), len(names)))
    for k, effect in enumerate(data.structure.effects):
        for mean, basis in effect.centre:
            assert isinstance(mean, ast.Name)
            found[:, k, names.index(mean.id)] = value_of(basis, data.columns, n)
    return found


def left_of_information(data: DesignedData, where: Array, omega: Array, variances: Array) -> float:
    """The smallest share of the complete information on the means, in any direction, that the data have.

    By it EM is slow: what is left of an error after a step is one minus this. 1 where there is nothing to tell.
    """
    p = data.mean_design.shape[1]
    complete, observed, precision = np.zeros((p, p)), np.zeros((p, p)), np.linalg.pinv(omega, hermitian=True)
    for rows in members_of(data.cluster):
        x, z, a = data.mean_design[rows], data.random_design[rows], where[rows[0]]
        rest = x - z @ a
        complete += a.T @ precision @ a + (rest.T / variances[rows]) @ rest
        weighted = x.T / variances[rows]
        observed += weighted @ (x - z @ best_share(x, z, omega, variances[rows]))
    size = np.sqrt(np.diag(complete))
    size[size == 0.0] = 1.0
    try:
        return float(eigh(observed / np.outer(size, size), complete / np.outer(size, size), eigvals_only=True)[0])
    except np.linalg.LinAlgError:  # means that the data do not tell apart
        return 1.0
