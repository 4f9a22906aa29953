"""Which factors of a term are coded by contrasts, which by all their levels, and the contrasts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing, nearest

Floats = NDArray[np.float64]
Coding = dict[str, bool]  # factor -> whether all its levels are coded


def codings(terms: Sequence[tuple[str, ...]], is_categorical: Mapping[str, bool]) -> list[list[Coding]]:
    """How the factors of each term are coded, so that no column is a combination of others whatever the levels.

    The rule is that of patsy (Smith 2011, "redundancy"): the space of a term is a sum of the spaces of its parts coded
    by contrasts; what an earlier term has already is left out, and two parts are merged where one factor coded by all
    its levels spans both. It agrees with R's wherever R's design has full rank.

    Parameters
    ----------
    terms : sequence of tuple of str
        By their number of factors.
    is_categorical : mapping of str to bool

    Returns
    -------
    list of list of dict
        For each term the parts that its columns come in; empty for one that adds nothing.
    """
    used: set[tuple[frozenset[str], frozenset[str]]] = set()
    found = []
    for term in terms:
        numbers = frozenset(key for key in term if not is_categorical[key])
        factors = [key for key in term if is_categorical[key]]
        new: list[Coding] = []
        for size in range(len(factors) + 1):
            for part in combinations(factors, size):
                if (numbers, frozenset(part)) not in used:
                    used.add((numbers, frozenset(part)))
                    new.append(dict.fromkeys(part, False))
        while _merge(new):
            pass
        found.append(new)
    return found


def _merge(parts: list[Coding]) -> bool:
    """Let one part span another that lacks just one of its factors."""
    for i, short in enumerate(parts):
        for j, long in enumerate(parts):
            more = set(long) - set(short)
            if len(more) != 1 or len(long) != len(short) + 1 or any(long[key] != short[key] for key in short):
                continue
            factor = more.pop()
            if not long[factor]:
                parts[j] = {**long, factor: True}
                del parts[i]
                return True
    return False


def contrast(kind: str, level: str | None, levels: Sequence[str]) -> tuple[Floats, list[str]]:
    """A contrast matrix, as R has it.

    Parameters
    ----------
    kind : {"treatment", "sum", "helmert", "poly", "diff"}
    level : str or None
        The reference of "treatment" (the first by default), or the level that "sum" leaves out (the last).
    levels : sequence of str
        (L,)

    Returns
    -------
    matrix : (L, L - 1) ndarray
    names : list of str
        (L - 1,) of its columns: levels, but ``L, Q, C, 4 ..`` for polynomials and ``b-a`` for differences.

    Raises
    ------
    DataError
        When the level is none of the factor.
    """
    count = len(levels)
    if level is not None and level not in levels:
        raise DataError(f"there is no level {level!r}{nearest(level, levels)}; the levels are {listing(levels)}")
    if kind == "treatment":
        reference = 0 if level is None else list(levels).index(level)
        others = [k for k in range(count) if k != reference]
        return np.eye(count)[:, others], [levels[k] for k in others]
    if kind == "sum":
        left_out = count - 1 if level is None else list(levels).index(level)
        others = [k for k in range(count) if k != left_out]
        matrix = np.eye(count)[:, others]
        matrix[left_out] = -1.0
        return matrix, [levels[k] for k in others]
    if kind == "helmert":
        matrix = np.zeros((count, count - 1))
        for k in range(1, count):
            matrix[:k, k - 1], matrix[k, k - 1] = -1.0, k
        return matrix, list(levels[1:])
    if kind == "diff":
        matrix = np.array([[(k + 1) / count - (i <= k) for k in range(count - 1)] for i in range(count)])
        return matrix.reshape(count, count - 1), [f"{b}-{a}" for a, b in pairwise(levels)]
    scores = np.linspace(-1.0, 1.0, count)
    powers = np.vander(scores, count, increasing=True)
    q, r = np.linalg.qr(powers)
    matrix = (q * np.sign(np.diag(r)))[:, 1:]
    return matrix, ["L", "Q", "C", *map(str, range(4, count))][: count - 1]
