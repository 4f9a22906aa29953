"""Methods: how they are printed, and which of them simulate nothing."""

from __future__ import annotations

DIRECT = "ml"  # direct maximum likelihood, the maximum that others are held against
EXACT = (DIRECT, "em")  # simulate nothing: no budget, no Monte Carlo error, below the maximum by rounding only
METHODS = dict(
    ml="direct ML",
    em="exact EM",
    saem="SAEM",
    saem_once="SAEM, one pass",
    textbook="textbook, one draw",
    averaged="default steps, one draw",
    several="textbook, chains",
    programs="chains, annealing",
    many="textbook, 600 drawn",
    once="default, one pass",
    px_saem="PX-SAEM",
    annealed_saem="annealed SAEM",
    minibatch_saem="mini-batch SAEM",
    minibatch_once="mini-batch SAEM, one pass",
    mcem="MCEM",
    booth_hobert="MCEM, Booth–Hobert",
    ascent_mcem="MCEM, ascent-based",
    stochastic_em="stochastic EM",
    stochastic_newton="stochastic Newton",
    fisher_gradient="Fisher gradient",
    chains="four chains of SAEM",
)


def method_name(name: str) -> str:
    """A method as it is printed."""
    return METHODS.get(name, name.replace("_", " "))
