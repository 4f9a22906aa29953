"""The report of a study: one page with its frame, tables, figures, failures and provenance."""

from .page import write_report

__all__ = ["write_report"]
