"""From a table to validated arrays."""

from __future__ import annotations

from saem.data.intake import needed_columns, text_columns
from saem.data.table import read_table, where
from saem.families.linear.data import ModelData, arrange

__all__ = ["ModelData", "arrange", "needed_columns", "read_table", "text_columns", "where"]
