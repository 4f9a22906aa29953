"""The edge between the user's scale and the coordinates in which a problem is solved.

A family may solve its problems in other coordinates than the user's (columns centred and scaled, the response in
another unit), where numbers keep their digits. Everything that an algorithm sees of a `Problem` is in these, its
*inner* coordinates. What comes back to the user goes through `Problem.coordinates`, once, at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from saem.specification.parameters import Parameters

Array = np.ndarray


class Coordinates:
    """Those of the user: nothing is changed. A family's own override what differs."""

    is_users = True
    unit = 1.0  # of the response

    def parameters(self, inner: Parameters) -> Parameters:
        """The parameters as the user has them, fixed values too."""
        return inner

    def inside(self, data: Any) -> Any:
        """The family's data in inner coordinates."""
        return data

    def designs(self, means: Array, effects: Array) -> tuple[Array, Array]:
        """Columns of means (m, p) and random effects (m, q) of any rows, in inner coordinates."""
        return means, effects

    def level(self, means: Array) -> Array | float:
        """What is added to inner responses in the user's unit (m,), of rows with the inner columns (m, p) of means."""
        return 0.0

    def effects(self, theta: Array) -> Array:
        """The user's random effects (.., q) from the inner ones."""
        return theta

    def spreads(self, matrices: Array) -> Array:
        """Covariance matrices (.., q, q) of the user's random effects from those of the inner ones."""
        return matrices

    def matrix(self, x: Array, information: Array, gradient: Array) -> Array:
        """An information matrix (n, n) of the user's parameters, where the log-likelihood has a gradient (n,)."""
        return information

    def constraints(self, texts: Mapping[str, str]) -> Mapping[str, str]:
        """Constraints as equations of the inner parameters."""
        return texts

    def to_user(self, x: Array) -> Array:
        """Parameters (.., n) on the user's scale."""
        return x

    def to_inner(self, x: Array) -> Array:
        """Parameters (.., n) in inner coordinates."""
        return x

    def jacobian(self, x: Array) -> Array:
        """Derivatives (n, n) of the user's parameters by the inner ones, at inner ``x`` (n,)."""
        return np.eye(len(x))

    def is_aligned(self, i: int) -> bool:
        """Whether the user's parameter depends on the inner one of the same name alone, by a straight line."""
        return True

    def sizes(self, scale: Array) -> Array:
        """Typical sizes (n,) of the user's parameters from those of the inner ones."""
        return scale

    def pinned(self, x: Array, pinned: Array) -> Array:
        """Which of the user's parameters (n,) are at the boundary, from the inner ones and which of them are."""
        return pinned

    def covariance(self, x: Array, matrix: Array, pinned: Array) -> Array:
        """A covariance (n, n) on the user's scale, at inner ``x``; nan where a pinned or unknown one is involved."""
        return matrix

    def errors(self, x: Array, mcse: Array, covariance: Array | None, pinned: Array) -> Array:
        """Monte Carlo standard errors (n,) on the user's scale, from the inner ones and their covariance (n, n)."""
        return mcse

    def constants(self, data: Any, basis: Array) -> tuple[float, float]:
        """What to add to log-likelihood and restricted log-likelihood so that they are those of the user's response.

        Parameters
        ----------
        data : Arranged
            In inner coordinates.
        basis : (r,) ndarray
            Columns of the mean design that span those of the free means.
        """
        return 0.0, 0.0

    def left(self, data: Any) -> tuple[float, str]:
        """The smallest share of a column's size that is left beside the others, and the parameter that it is of."""
        return 1.0, ""

    def describe(self) -> tuple[str, ...]:
        """What is centred and scaled inside, in words; nothing if nothing is."""
        return ()


USERS = Coordinates()
