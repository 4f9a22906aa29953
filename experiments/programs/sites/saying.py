"""The tables of all sites, as the command prints them."""

from __future__ import annotations

import pandas as pd

from saem.cli.console import say, show
from saem.system.display import table

from ...studies.examine import ERROR, METHODS, POSTED
from ...studies.links import RECIPES
from ...studies.peptide import TRUTH
from .drawing import APART


def report(sites: pd.DataFrame, parameters: pd.DataFrame) -> None:
    """Print what can be trusted: statuses, uniqueness, intervals, agreement of the methods, tests of the links."""
    say(f"{sites['site'].nunique()} sites")
    for link in RECIPES:
        for method in METHODS:
            own = sites[(sites["link"] == link) & (sites["method"] == method)]
            counts = ", ".join(f"{n} {status}" for status, n in own["status"].value_counts().items())
            say(f"{link}, {method}: {counts}")
    fitted = sites[(sites["link"] == POSTED) & (sites["method"] == "ml") & (sites["status"] != ERROR)]
    if "unique" in fitted:
        unique = int(fitted["unique"].eq(True).sum())
        say(f"one highest maximum and no free direction: {unique} of {len(fitted)} that were fitted")
        several = int((fitted["n_maxima"] > 1).sum())
        say(f"lower maxima besides: {several}; condition number: median {fitted['condition'].median():.0f}")
    posted = parameters[(parameters["link"] == POSTED) & (parameters["method"] == "ml")]
    header = ["parameter", "SE", "Wald interval", "profile interval", f"ends > {APART} SE apart", "median distance"]
    show(table(header, [intervals_of(posted, name) for name in TRUTH]))
    if "largest_distance" in sites:
        far = sites["largest_distance"].dropna()
        say(f"SAEM and ML: at most {far.max():.3f} SE apart, median {far.median():.3f}")
    for link in RECIPES:
        for law, column in {"chi-square": "p", "bootstrap": "p_bootstrap"}.items():
            p = sites.loc[sites["link"] == link, column].dropna() if column in sites else pd.Series(dtype=float)
            if len(p):
                say(
                    f"link {link}, by {law}: tested on {len(p)} sites, rejected at 5 % on {int((p <= 0.05).sum())}, "
                    f"at 1 % on {int((p <= 0.01).sum())}"
                )


def intervals_of(rows: pd.DataFrame, name: str) -> list[str]:
    """How often a parameter has a standard error and intervals of both kinds, and where these disagree."""
    own = rows[rows["parameter"] == name].reindex(columns=["se", "lower", "upper", "wald_lower", "wald_upper", "apart"])
    both = own["apart"].dropna()
    wald, profile = (
        own[[a, b]].notna().all(axis=1).sum() for a, b in (("wald_lower", "wald_upper"), ("lower", "upper"))
    )
    return [
        name,
        str(own["se"].notna().sum()),
        str(wald),
        str(profile),
        str((both > APART).sum()),
        f"{both.median():.2f}",
    ]
