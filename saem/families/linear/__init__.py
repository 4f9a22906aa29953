"""The linear family: Gaussian mixed models with a random intercept or several random effects for each cluster."""

from __future__ import annotations

from saem.families.linear.family import LinearFamily

__all__ = ["FAMILY", "LinearFamily"]

FAMILY = LinearFamily()
