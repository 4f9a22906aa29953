"""The functions of the study `algorithms`."""

from .equal_cost import estimate, generate, performance, truth

__all__ = ["estimate", "generate", "performance", "truth"]
