"""Extended linear mixed models: residual variance functions, serial correlation, Student-t residuals."""

from __future__ import annotations

from saem.families.extended.family import ExtendedFamily

__all__ = ["FAMILY", "ExtendedFamily"]

FAMILY = ExtendedFamily()
