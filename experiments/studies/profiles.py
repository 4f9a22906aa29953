"""The functions of the study `profiles`."""

from .intervals import estimate, generate, truth

__all__ = ["estimate", "generate", "truth"]
