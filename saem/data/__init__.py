"""From a table to checked columns; knows no family."""

from __future__ import annotations

from saem.data.table import read_table, where

__all__ = ["read_table", "where"]
