"""Correlation of the residuals of a cluster, as a model file says it, and by the earlier rows of each row.

Residuals ``u = (y - mean) / sd`` of a cluster have correlations ``rho(gap)``, or one for all pairs. A row's law given
the earlier rows of its cluster is normal again, so that the density of the cluster is a product over rows:

    ar1, exponential:   E(u_j | past) = rho^gap u_{j-1},                   var = 1 - rho^(2 gap)
    compound:           E(u_j | past) = rho / (1 + (k - 1) rho) sum u_i,   var = 1 - k rho^2 / (1 + (k - 1) rho)

with ``k`` earlier rows. What was before stands in columns ``back1[..]``, ``back2[..]``, which have the row's own values
where there is no earlier row; a column ``had1[]`` is 0 there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from saem.data.table import Rows
from saem.errors import DataError, ModelError
from saem.expressions.grammar import check_name
from saem.specification.domains import POSITIVE, Domain, interval

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
MOST_ROWS = 12  # of a cluster, with compound symmetry: every earlier row is part of a row's density
FORMS = "'ar1(phi)', 'ar1(phi, time)', 'exponential(range, time)' or 'compound(rho)'"


@dataclass(frozen=True)
class Correlation:
    """What ``correlation = ".."`` says.

    Attributes
    ----------
    kind : {"ar1", "exponential", "compound"}
    parameter : str
    time : str or None
        Column; None where rows are in the order of the table.
    """

    kind: str
    parameter: str
    time: str | None = None

    @staticmethod
    def read(text: str) -> Correlation:
        """Parse a correlation.

        Raises
        ------
        ModelError
            When it is none of `FORMS`.
        """
        found = re.fullmatch(r"\s*(\w+)\s*\(([^()]*)\)\s*", text)
        kind, inside = (found[1], [part.strip() for part in found[2].split(",")]) if found else ("", [])
        wanted = {"ar1": (1, 2), "exponential": (2,), "compound": (1,)}
        if kind not in wanted or len(inside) not in wanted[kind] or not all(inside):
            raise ModelError(f"correlation must be {FORMS}; got {text!r:.80}")
        check_name(inside[0], "a parameter")
        return Correlation(kind, inside[0], inside[1].strip("`") if len(inside) > 1 else None)

    def domain(self, largest: int) -> Domain:
        """The domain of the parameter, where the largest cluster has so many rows."""
        if self.kind == "exponential":
            return POSITIVE
        return interval(-1.0 if self.kind == "ar1" else -1.0 / max(largest - 1, 1), 1.0)

    def n_back(self, largest: int) -> int:
        """Earlier rows that a row's density depends on, where the largest cluster has so many."""
        return max(largest - 1, 1) if self.kind == "compound" else 1

    def start(self, gap: float) -> float:
        """Where the parameter starts; ``gap`` is the usual time between rows."""
        return gap if self.kind == "exponential" else 0.3

    def equation(self, residual: str) -> str:
        """The correlation of two residuals of a cluster, as a line of LaTeX."""
        from saem.expressions.latex import symbol, word

        j, k = (rf"{word(self.time)}_{i}" if self.time else i for i in "jk")
        parameter, gap = symbol(self.parameter), rf"|{j} - {k}|"
        law = {"ar1": rf"{parameter}^{{{gap}}}", "exponential": rf"\exp\left(-{gap} / {parameter}\right)"}
        return rf"\operatorname{{corr}}({residual}_j, {residual}_k) &= {law.get(self.kind, parameter)}"

    def backward(self, cluster: Codes, time: Floats | None, rows: Rows) -> tuple[Codes, Floats]:
        """Earlier rows of every row, the last one first, and the time since the last one.

        Parameters
        ----------
        cluster : (n,) ndarray of int64
        time : (n,) ndarray or None
        rows : Rows
            To name them.

        Returns
        -------
        back : (k, n) ndarray of int64
            -1 where there is none; k is 1 but with compound symmetry.
        gap : (n,) ndarray
            1 where there is no earlier row.

        Raises
        ------
        DataError
            When no cluster has two rows, two rows of a cluster have one time, times of "ar1" are not whole, or a
            cluster has too many rows.
        """
        n = len(cluster)
        when = np.arange(n, dtype=float) if time is None else time
        if self.kind == "ar1" and time is not None and (bad := time != np.rint(time)).any():
            raise DataError(
                f"{self.time!r}, the time of correlation = 'ar1(..)', must be whole numbers; {rows.first(bad)} has "
                f"{time[bad][0]:g}; use 'exponential(range, {self.time})' for continuous time"
            )
        order = np.lexsort((when, cluster))
        follows = np.diff(cluster[order], prepend=-1) == 0
        largest = int(np.bincount(cluster).max())
        if largest < 2:
            raise DataError(
                f"no two rows belong together, so that nothing is told of {self.parameter!r}, the correlation of "
                "residuals; leave the correlation out, or say what the clusters are"
            )
        if self.kind == "compound" and largest > MOST_ROWS:
            raise DataError(
                f"correlation = 'compound(..)' is for clusters of up to {MOST_ROWS} rows; one has {largest}. A random "
                "intercept says the same where the correlation is not negative"
            )
        back = np.full((self.n_back(largest), n), -1, dtype=np.int64)
        back[0, order[follows]] = order[np.flatnonzero(follows) - 1]
        for k in range(1, len(back)):
            there = back[k - 1] >= 0
            back[k, there] = back[0, back[k - 1, there]]
        gap, has = np.ones(n), back[0] >= 0
        if time is not None:
            gap[has] = time[has] - time[back[0, has]]
            if (twice := gap == 0.0).any():
                raise DataError(f"two rows of a cluster have the same {self.time!r}: {rows.first(twice)} is the second")
        return back, gap

    def drawn(self, columns: Mapping[str, Any], cluster: Codes, value: float, rng: np.random.Generator) -> Floats:
        """Standard normal residuals (n,) with this correlation, by the steps of the density.

        Parameters
        ----------
        columns : mapping of str to ndarray
            With ``gap[]``, ``earlier[]`` and ``order[]``, the position of each row in its cluster.
        cluster : (n,) ndarray of int64
        value : float
            Of the parameter.
        rng : Generator
        """
        u = rng.standard_normal(len(cluster))
        gap, order = columns["gap[]"], np.lexsort((columns["order[]"], cluster))
        past, before = 0.0, -1
        k = 0
        for i in order:
            if cluster[i] != before:
                past, before, k = 0.0, cluster[i], 0
            if k > 0:
                if self.kind == "compound":
                    slope = value / (1.0 + (k - 1) * value)
                    left = 1.0 - k * value * slope
                else:
                    slope = value ** gap[i] if self.kind == "ar1" else float(np.exp(-gap[i] / value))
                    left = 1.0 - slope**2
                u[i] = slope * past + np.sqrt(left) * u[i]
            past, k = (past + u[i] if self.kind == "compound" else u[i]), k + 1
        return u


def _checked(text: str) -> str:
    Correlation.read(text)
    return text


CorrelationText = Annotated[str, AfterValidator(_checked)]  # of a model file
