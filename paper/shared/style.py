"""Widths of figures in print."""

from __future__ import annotations

COLUMN, WIDE = 3.3, 6.3  # inches: a column of a journal, and the whole width; figures are printed at their size
