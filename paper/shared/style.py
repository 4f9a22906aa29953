"""What the figures and tables of the paper share: widths in print, names of methods and parameters."""

from __future__ import annotations

COLUMN, WIDE = 3.3, 6.3  # inches: a column of a journal, and the whole width; figures are printed at their size
METHODS = {
    "ml": "direct ML",
    "em": "exact EM",
    "saem": "SAEM",
    "saem_once": "SAEM, one pass",
    "textbook": "SAEM, textbook",
    "textbook_chains": "textbook, chains",
    "textbook_annealed": "textbook, chains, annealed",
    "px_saem": "PX-SAEM",
    "annealed_saem": "annealed SAEM",
    "minibatch_saem": "mini-batch SAEM",
    "minibatch_once": "mini-batch SAEM, one pass",
    "mcem": "MCEM",
    "booth_hobert": "MCEM, Booth–Hobert",
    "ascent_mcem": "MCEM, ascent-based",
    "stochastic_em": "stochastic EM",
    "stochastic_newton": "stochastic Newton",
    "fisher_gradient": "Fisher gradient",
    "chains": "four chains of SAEM",
}
