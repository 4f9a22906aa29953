"""Model files to copy and edit."""

from __future__ import annotations

from importlib.resources import files

from saem.errors import ModelError, nearest


def names() -> tuple[str, ...]:
    """Names of the recipes.

    Returns
    -------
    tuple of str
        In alphabetical order.
    """
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


DATA = {
    "binomial": "herds",
    "clearance_equal_means": "clearance",
    "crossed_equal_means": "assays",
    "emax": "emax",
    "logistic": "binary",
    "logistic_growth": "growth",
    "ordinal": "ordinal",
    "peptide": "peptide",
    "peptide_conservation": "peptide_conserved",
    "peptide_log2": "peptide",
    "peptide_unconstrained": "peptide",
    "poisson_equal_means": "counts",
    "poisson_lognormal": "rates",
    "random_slopes": "sleep",
    "theophylline": "theophylline",
    "weibull": "times",
}  # recipe -> the table of `saem.datasets` that it reads as it is written


def text(name: str) -> str:
    """Text of the model file of a recipe.

    Parameters
    ----------
    name : str
        One of `names`.

    Raises
    ------
    ModelError
        If there is no such recipe.
    """
    known = names()
    if name not in known:
        raise ModelError(f"there is no recipe {name!r}{nearest(name, known)}; the recipes are {', '.join(known)}")
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
