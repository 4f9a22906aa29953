"""Problems and maximisers of the studies of algorithms, as they are printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PROBLEMS = {
    "few": "posted, 6 an arm",
    "small": "posted, 10 an arm",
    "posted": "posted, 30 an arm",
    "many": "posted, 300 an arm",
    "over": "over-identified",
    "missing": "missing rows",
}
SUBJECTS = "{} subjects, slopes"
MAXIMISERS = {
    "sqp": "Lagrange–Newton",
    "elimination": "elimination",
    "quadratic_penalty": "quadratic penalty",
    "l1_penalty": r"$\ell_1$ penalty",
    "augmented_lagrangian": "augmented Lagrangian",
    "slsqp": "SLSQP (SciPy)",
    "trust_constr": "trust region (SciPy)",
    "newton_step": "single Newton steps",
    "gradient_step": "single gradient steps",
}


def problem_name(level: Any) -> str:
    """A level of the factor `problem` or `subjects`."""
    return PROBLEMS.get(level, str(level)) if isinstance(level, str) else SUBJECTS.format(level)


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names in the order in which they are known, others behind."""
    order = {name: k for k, name in enumerate(known)}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))
