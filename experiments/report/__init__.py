"""The report of a study: one page with its frame, tables, figures, failures and provenance."""

from experiments.report.page import write_report

__all__ = ["write_report"]
