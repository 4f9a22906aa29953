"""Generalised linear mixed models: Bernoulli, binomial and Poisson outcomes with normal random effects."""

from __future__ import annotations

from saem.families.glmm.family import GlmmFamily

__all__ = ["FAMILY", "GlmmFamily"]

FAMILY = GlmmFamily()
