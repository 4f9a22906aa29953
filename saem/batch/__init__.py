"""One model fitted to every level of a column: thousands of fits in parallel, none of which can stop the others."""

from saem.batch.driver import Batch, Interrupted, fit_by

__all__ = ["Batch", "Interrupted", "fit_by"]
