"""The functions of the study `calibration_slopes`."""

from .own_rule import estimate, generate, performance, truth

__all__ = ["estimate", "generate", "performance", "truth"]
