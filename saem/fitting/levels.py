"""The random effects of a fit by the levels of the factors that they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saem.families import family_of
from saem.fitting.kept import arranged

if TYPE_CHECKING:
    from saem.families.levels import LevelEffects
    from saem.fitting.result import Fit


def level_effects(fit: Fit) -> LevelEffects | None:
    """Which level each random effect is of, where clusters are components of crossed factors; else None.

    None, too, where the fit has no table, which has the levels: effects are told by their positions, then.
    """
    if fit.table is None:
        return None
    return family_of(fit.model).level_effects(fit.model, arranged(fit), fit.table)


def effect_terms(fit: Fit) -> tuple[str, ...]:
    """The terms of the random effects: those of factors, where levels within clusters have effects."""
    levels = level_effects(fit)
    return fit.term_names if levels is None else levels.terms
