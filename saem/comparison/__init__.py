"""Several methods on the same model and table, side by side: at their own targets, or at the same budget."""

from saem.comparison.comparing import compare
from saem.comparison.result import COLUMNS, Comparison

__all__ = ["COLUMNS", "Comparison", "compare"]
