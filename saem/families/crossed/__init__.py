"""Linear mixed models with several grouping factors, nested or crossed."""

from __future__ import annotations

from saem.families.crossed.family import CrossedFamily

__all__ = ["FAMILY", "CrossedFamily"]

FAMILY = CrossedFamily()
