"""Where each parameter of a model acts: names of means, SDs and correlations, and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.families.linear.random_parts import automatic_name
from saem.specification.formula.naming import level_names
from saem.specification.parameters import Parameters

if TYPE_CHECKING:
    from saem.specification import Model

#: The levels without `by`: a single group.
ONE_GROUP = ("",)


class Slots:
    """The parameters of a model for given groups, and their positions.

    Parameters
    ----------
    model : Model
    means : tuple of str
        (p,) names of the mean parameters.
    group_levels : tuple of str
        (G,) levels of the variance groups; `ONE_GROUP` without `by`.
    residual_levels : tuple of str
        (H,) levels of the residual groups; `ONE_GROUP` without `by`.

    Attributes
    ----------
    sds : list of tuple of str
        (G, q) names of the random-effect SDs.
    residual_sds : list of str
        (H,) names of the residual SDs.
    parameters : Parameters
    sd_index : (G, q) ndarray of int64
    corr_index : (G, q, q) ndarray of int64
        Symmetric; -1 where there is no correlation.
    residual_index : (H,) ndarray of int64

    Raises
    ------
    ModelError
        If two levels get the same automatic name, a name has two meanings, or a fixed value is impossible.
    """

    def __init__(
        self, model: Model, means: tuple[str, ...], group_levels: tuple[str, ...], residual_levels: tuple[str, ...]
    ) -> None:
        random, residual = model.random, model.residual
        groups = [None if random.by is None else level for level in group_levels]
        terms = list(random.terms)
        pairs = [(a, b) for b in range(len(terms)) for a in range(b)] if random.covariance == "full" else []
        told = groups if random.by is None else told_apart(group_levels)
        self.sds = [random.sd_names(level) for level in (told if random.sd is None else groups)]
        corrs = [[random.corr_name(terms[a], terms[b], level) for a, b in pairs] for level in told]
        levels = residual_levels if residual.sd is not None else told_apart(residual_levels)
        self.residual_sds = [residual.sd_name(None if residual.by is None else level) for level in levels]
        if random.sd is None:
            _check_distinct([name for names in self.sds for name in names], random.by)
        _check_distinct([name for names in corrs for name in names], random.by)
        if residual.sd is None:
            _check_distinct(self.residual_sds, residual.by)
        slots = [(name, "mean") for name in means]
        slots += [(name, "sd") for names in self.sds for name in names]
        slots += [(name, "corr") for names in corrs for name in names]
        slots += [(name, "sd") for name in self.residual_sds]
        self.parameters = Parameters.build(slots, model.fixed)
        for name in self.residual_sds:
            if model.fixed.get(name) == 0.0:
                raise ModelError(f"[fixed] {name}: a residual SD must be positive; got 0")
        for sds, own in zip(self.sds, corrs, strict=True):
            zero = [name for name in sds if own and model.fixed.get(name) == 0.0]
            if zero:
                raise ModelError(
                    f"[fixed] {zero[0]} = 0 leaves its correlations without a meaning; remove the term, or use "
                    "covariance = 'diagonal'"
                )
        position = {name: index for index, name in enumerate(self.parameters.names)}
        self.sd_index = np.array([[position[name] for name in names] for names in self.sds], dtype=np.int64)
        self.corr_index = np.full((len(groups), len(terms), len(terms)), -1, dtype=np.int64)
        for g, names in enumerate(corrs):
            for (a, b), name in zip(pairs, names, strict=True):
                self.corr_index[g, a, b] = self.corr_index[g, b, a] = position[name]
        self.residual_index = np.array([position[name] for name in self.residual_sds], dtype=np.int64)


@lru_cache(maxsize=64)
def slots_of(
    model: Model, means: tuple[str, ...], group_levels: tuple[str, ...], residual_levels: tuple[str, ...]
) -> Slots:
    """The `Slots` of a model, made once for many tables; nobody may change its arrays."""
    return Slots(model, means, group_levels, residual_levels)


def told_apart(levels: Sequence[str]) -> list[str]:
    """Levels as automatic names have them: with signs in words where their letters and digits alone are alike."""
    if len({automatic_name(level) for level in levels}) == len(levels):
        return list(levels)
    return level_names(levels)


def _check_distinct(names: list[str], by: str | None) -> None:
    """Automatic names come from levels: two levels must not share a parameter by accident."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(
            f"two levels of {by!r} lead to the same parameter name {twice[0]!r}, for only letters a-z and digits of a "
            "level are kept; name the SDs in sd = { level = 'name' }, or rename a level"
        )
