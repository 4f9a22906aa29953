"""What a model is: from a TOML file or from Python, checked when it is made."""

from __future__ import annotations

from saem.families.linear.random_parts import RandomEffects, Residual
from saem.specification.model import Model

__all__ = ["Model", "RandomEffects", "Residual"]
