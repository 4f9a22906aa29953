"""The functions of the study `calibration`."""

from .own_rule import estimate, generate, performance, truth

__all__ = ["estimate", "generate", "performance", "truth"]
