"""A large table in parts of some cells each, so that its measures take no more memory than those of a part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

PART = 100_000  # rows that are judged at a time

Pairs = set[tuple[Any, ...]]  # of a method and an estimand


def parts_of(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of some cells at a time, in the order in which the cells appear."""
    codes, cells = pd.factorize(rows["cell"])
    if len(rows) <= PART or len(cells) < 2 or (codes < 0).any():
        yield rows
        return
    part = np.cumsum(np.bincount(codes)) // PART  # cells one after the other, some `PART` rows together
    for number in np.unique(part):
        yield rows[(part == number)[codes]]


def given_in(rows: pd.DataFrame) -> dict[str, Pairs]:
    """By what a method may give, the methods and estimands for which it does in some cell."""
    known = {name: rows[name].notna().to_numpy() for name in ("estimate", "se", "lower", "upper")}
    there = {"interval": known["lower"] & known["upper"], "se": known["se"], "estimate": known["estimate"]}
    pairs = rows[["method", "estimand"]]
    return {what: combinations(pairs[is_there], "method", "estimand") for what, is_there in there.items()}


def combinations(rows: pd.DataFrame, one: str, other: str) -> Pairs:
    """The values of two columns that occur together."""
    codes, labels = zip(*(pd.factorize(rows[name]) for name in (one, other)), strict=True)
    count = len(labels[1])
    key = codes[0] * np.int32(count) + codes[1] if count else codes[0]
    found = np.flatnonzero(np.bincount(key[(codes[0] >= 0) & (codes[1] >= 0)])) if count else ()
    return {(labels[0][k // count], labels[1][k % count]) for k in found}


def places_of(rows: pd.DataFrame, key: str, table: pd.DataFrame) -> np.ndarray:
    """The place of each row of a table among the values of a key, as these appear in the rows."""
    found: np.ndarray = pd.Index(np.asarray(rows[key].unique())).get_indexer(table[key])
    return found
