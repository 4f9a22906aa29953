"""Numbers with their Monte Carlo standard errors, as they are printed."""

from __future__ import annotations

import math


def with_error(value: float, mcse: float) -> str:
    """`0.125 (0.004)`: as many digits as the error has two of."""
    if value != value:
        return "-"
    if not mcse > 0.0:
        return f"{value:.3g}"
    places = max(0, 1 - math.floor(math.log10(mcse)))
    if places > 6:
        return f"{value:.1e} ({mcse:.0e})"
    return f"{value:.{places}f} ({mcse:.{places}f})"
