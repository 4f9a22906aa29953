"""What is handed down to this folder when the package is imported: inference that a method of a fit shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

t_tests: Callable[[Any], pd.DataFrame]  # of a fit; `saem/__init__.py` sets it
