"""Generalised linear mixed models with several grouping factors, nested or crossed: ``[random.NAME]`` blocks."""

from __future__ import annotations

from saem.families.crossed_glmm.family import CrossedGlmmFamily

__all__ = ["FAMILY", "CrossedGlmmFamily"]

FAMILY = CrossedGlmmFamily()
