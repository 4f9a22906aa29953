"""Where each parameter of a model with several grouping factors acts: names, domains, and positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from saem.errors import ModelError
from saem.specification.domains import CORRELATION, REAL, SD
from saem.specification.grouping import GroupingFactor, check_apart
from saem.specification.layout import check_distinct, told_apart
from saem.specification.parameters import Parameters

ABSENT = -1  # in place of a parameter: a term that a factor has not, or two terms that are not correlated


class Block(NamedTuple):
    """The levels of a grouping factor that have one covariance: those of one variance group.

    Attributes
    ----------
    factor : GroupingFactor
    level : str
        Of the factor's `by`; ``""`` without.
    """

    factor: GroupingFactor
    level: str

    @property
    def label(self) -> str:
        """In words."""
        return (
            self.factor.name if self.factor.by is None else f"{self.factor.name} where {self.factor.by} is {self.level}"
        )


class Layout:
    """The parameters of a model for given blocks, and their positions.

    Parameters
    ----------
    means : tuple of str
        (p,) names of the mean parameters.
    blocks : sequence of Block
        (B,) those of one factor one after the other.
    residual_sds : sequence of str
        (H,) names of the residual SDs.
    fixed : mapping of str to float
        Values of the fixed parameters.

    Attributes
    ----------
    sds : list of tuple of str
        (B,) names of the SDs of each block, in the order of the factor's terms.
    residual_sds : list of str
        (H,) names of the residual SDs.
    parameters : Parameters
    sd_index : (B, q) ndarray of int64
        Of the terms of all factors; `ABSENT` for those that a factor has not.
    corr_index : (B, q, q) ndarray of int64
        Symmetric; `ABSENT` where there is no correlation.
    residual_index : (H,) ndarray of int64

    Raises
    ------
    ModelError
        If two levels get the same automatic name, a name has two meanings, or a fixed value is impossible.
    """

    def __init__(
        self, means: tuple[str, ...], blocks: Sequence[Block], residual_sds: Sequence[str], fixed: Mapping[str, float]
    ) -> None:
        self.sds: list[tuple[str, ...]] = []
        corrs: list[dict[tuple[str, str], str]] = []
        automatic: dict[str, set[str]] = {}
        for factor in dict.fromkeys(block.factor.name for block in blocks):
            own = [block for block in blocks if block.factor.name == factor]
            named, correlated = _names(own)
            automatic[factor] = {name for each in correlated for name in each.values()}
            automatic[factor] |= {name for names in named for name in names} if own[0].factor.sd is None else set()
            self.sds += named
            corrs += correlated
        check_apart(automatic)
        slots = [(name, REAL) for name in means]
        slots += [(name, SD) for names in self.sds for name in names]
        slots += [(name, CORRELATION) for pairs in corrs for name in pairs.values()]
        slots += [(name, SD) for name in residual_sds]
        self.parameters = Parameters.build(slots, fixed)
        for name in residual_sds:
            if fixed.get(name) == 0.0:
                raise ModelError(f"[fixed] {name}: a residual SD must be positive; got 0")
        for names, pairs in zip(self.sds, corrs, strict=True):
            zero = [name for name in names if pairs and fixed.get(name) == 0.0]
            if zero:
                raise ModelError(
                    f"[fixed] {zero[0]} = 0 leaves its correlations without a meaning; remove the term, or use "
                    "covariance = 'diagonal'"
                )
        position = {name: index for index, name in enumerate(self.parameters.names)}
        terms = list(dict.fromkeys(term for block in blocks for term in block.factor.terms))
        q = len(terms)
        self.residual_sds = list(residual_sds)
        self.sd_index = np.full((len(blocks), q), ABSENT, dtype=np.int64)
        self.corr_index = np.full((len(blocks), q, q), ABSENT, dtype=np.int64)
        for b, block in enumerate(blocks):
            for term, name in zip(block.factor.terms, self.sds[b], strict=True):
                self.sd_index[b, terms.index(term)] = position[name]
            for (first, second), name in corrs[b].items():
                j, k = terms.index(first), terms.index(second)
                self.corr_index[b, j, k] = self.corr_index[b, k, j] = position[name]
        self.residual_index = np.array([position[name] for name in residual_sds], dtype=np.int64)


def _names(blocks: Sequence[Block]) -> tuple[list[tuple[str, ...]], list[dict[tuple[str, str], str]]]:
    """Names of the SDs and of the correlations of the blocks of one factor."""
    factor = blocks[0].factor
    levels = [block.level for block in blocks]
    told: Sequence[str | None] = [None] * len(blocks) if factor.by is None else told_apart(levels)
    said: Sequence[str | None] = [None] * len(blocks) if factor.by is None else levels
    terms = list(factor.terms)
    pairs = [(a, b) for k, b in enumerate(terms) for a in terms[:k]] if factor.covariance == "full" else []
    sds = [factor.sd_names(level) for level in (told if factor.sd is None else said)]
    corrs = [{pair: factor.corr_name(*pair, level) for pair in pairs} for level in told]
    if factor.sd is None:
        check_distinct([name for names in sds for name in names], factor.by)
    check_distinct([name for own in corrs for name in own.values()], factor.by)
    return sds, corrs


def automatic_names(factors: Mapping[str, GroupingFactor], levels: Mapping[str, Sequence[str]]) -> set[str]:
    """The names that random effects get by themselves, which nothing else may have."""
    found: set[str] = set()
    for name, factor in factors.items():
        sds, corrs = _names([Block(factor, level) for level in levels[name]])
        found |= {each for own in corrs for each in own.values()}
        found |= {each for own in sds for each in own} if factor.sd is None else set()
    return found
