"""Nonlinear mixed-effects models: individual parameters with laws, and any density of the rows."""

from __future__ import annotations

from saem.families.nonlinear.family import NonlinearFamily

FAMILY = NonlinearFamily()
