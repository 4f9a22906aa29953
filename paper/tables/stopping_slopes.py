"""The rule to stop without constraints: who claims to have converged, who has, and the cost."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.shared.stopping_table import stopping_table

STUDIES = ("calibration_slopes",)


def table(digests: Mapping[str, Digest]) -> str:
    """A LaTeX tabular."""
    return stopping_table(digests["calibration_slopes"])
