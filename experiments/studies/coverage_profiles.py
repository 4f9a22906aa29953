"""The functions of the study `coverage_profiles`."""

from .coverage import estimate, generate, truth

__all__ = ["estimate", "generate", "truth"]
