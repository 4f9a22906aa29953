"""Where each parameter of a model with normal random effects acts: names, domains, and positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from saem.errors import ModelError
from saem.specification.domains import CORRELATION, REAL, SD
from saem.specification.formula.naming import level_names
from saem.specification.parameters import Parameters
from saem.specification.part import automatic_name
from saem.specification.random_effects import RandomEffects

#: The levels without `by`: a single group.
ONE_GROUP = ("",)


class Layout:
    """The parameters of a model for given groups, and their positions.

    Parameters
    ----------
    means : tuple of str
        (p,) names of the mean parameters.
    random : RandomEffects
    group_levels : tuple of str
        (G,) levels of the variance groups; `ONE_GROUP` without `by`.
    residual_sds : sequence of str
        (H,) names of the residual SDs; none where there is no residual error.
    fixed : mapping of str to float
        Values of the fixed parameters.

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
        self,
        means: tuple[str, ...],
        random: RandomEffects,
        group_levels: tuple[str, ...],
        residual_sds: Sequence[str],
        fixed: Mapping[str, float],
    ) -> None:
        groups = [None if random.by is None else level for level in group_levels]
        terms = list(random.terms)
        pairs = [(a, b) for b in range(len(terms)) for a in range(b)] if random.covariance == "full" else []
        told = groups if random.by is None else told_apart(group_levels)
        self.sds = [random.sd_names(level) for level in (told if random.sd is None else groups)]
        corrs = [[random.corr_name(terms[a], terms[b], level) for a, b in pairs] for level in told]
        if random.sd is None:
            check_distinct([name for names in self.sds for name in names], random.by)
        check_distinct([name for names in corrs for name in names], random.by)
        self.residual_sds = list(residual_sds)
        slots = [(name, REAL) for name in means]
        slots += [(name, SD) for names in self.sds for name in names]
        slots += [(name, CORRELATION) for names in corrs for name in names]
        slots += [(name, SD) for name in residual_sds]
        self.parameters = Parameters.build(slots, fixed)
        for name in residual_sds:
            if fixed.get(name) == 0.0:
                raise ModelError(f"[fixed] {name}: a residual SD must be positive; got 0")
        for sds, own in zip(self.sds, corrs, strict=True):
            zero = [name for name in sds if own and fixed.get(name) == 0.0]
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
        self.residual_index = np.array([position[name] for name in residual_sds], dtype=np.int64)


def told_apart(levels: Sequence[str]) -> list[str]:
    """Levels as automatic names have them: with signs in words where their letters and digits alone are alike."""
    if len({automatic_name(level) for level in levels}) == len(levels):
        return list(levels)
    return level_names(levels)


def automatic_names(random: RandomEffects, group_levels: tuple[str, ...]) -> set[str]:
    """The names that random effects get by themselves, which nothing else may have."""
    found: set[str] = set()
    terms = list(random.terms)
    for level in told_apart(group_levels) if random.by is not None else (None,):
        found |= set(random.sd_names(level)) if random.sd is None else set()
        found |= {random.corr_name(a, b, level) for b in terms for a in terms[: terms.index(b)]}
    return found


def check_distinct(names: list[str], by: str | None) -> None:
    """Refuse two levels that share a parameter by accident, since automatic names come from levels.

    Raises
    ------
    ModelError
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(
            f"two levels of {by!r} lead to the same parameter name {twice[0]!r}, for only letters a-z and digits of a "
            "level are kept; name the SDs in sd = { level = 'name' }, or rename a level"
        )
