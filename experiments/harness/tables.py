"""Numbers with their Monte Carlo standard errors, as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from .results import Results


def table_of(values: pd.DataFrame, columns: Sequence[str], results: Results) -> tuple[list[str], list[list[str]], str]:
    """Header, rows and alignment of a wide table by cell and method, Monte Carlo standard errors in brackets.

    Parameters
    ----------
    values : DataFrame
        As `experiments.performance.wide` returns it: by column its value and its error.
    columns : sequence of str
        Which, in this order.
    results : Results
        Whose factors take the place of the cell.
    """
    rows = []
    for key, row in values.iterrows():
        named = dict(zip(values.index.names, key, strict=True))
        numbers = [with_error(row[name, "value"], row[name, "mcse"]) for name in columns]
        rows.append([*results.texts_of(str(named["cell"])), str(named["method"]), *numbers])
    header = [*results.headings, "method"]
    return [*header, *columns], rows, "l" * len(header) + "r" * len(columns)


def with_error(value: float, mcse: float) -> str:
    """`0.125 (0.004)`: as many digits as the error has two of."""
    if value != value:
        return "-"
    if not mcse > 0.0 or math.isinf(value):
        text = f"{value:.3g}"
        return f"{float(text):,.0f}" if 1e3 <= abs(value) < 1e12 else text
    places = 1 - math.floor(math.log10(mcse))
    if places < 0:
        value, mcse, places = round(value, places), round(mcse, places), 0
    if places > 6:
        form = ".6f" if abs(value) >= 0.001 else ".1e" if value else ".0f"
        return f"{value:{form}} ({mcse:.0e})"
    return f"{value:,.{places}f} ({mcse:,.{places}f})"
