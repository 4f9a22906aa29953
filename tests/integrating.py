"""The joint density of clusters through the contract alone, and `saem.estep.integration.quadrature` as plain Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from saem.estep.integration import quadrature as integration
from saem.families import contract
from saem.families.problem import Problem
from saem.system import linalg
from saem.system.jit import entry


@entry
def log_joint(arrays, x, cluster, effects, values):
    """`saem.families.contract.log_joint`, for Python."""
    contract.log_joint(arrays, x, cluster, effects, values)


@entry
def n_effects(arrays, x, cluster):
    """`saem.families.contract.n_effects`, for Python."""
    return contract.n_effects(arrays, x, cluster)


def joint_at(problem: Problem, x: np.ndarray, cluster: int, effects: np.ndarray) -> np.ndarray:
    """``log p(y_c, u; x)`` (k,) at effects (k, d)."""
    values = np.empty(len(effects))
    log_joint(problem.clusters.joint(), np.array(x, dtype=float), cluster, np.array(effects, dtype=float), values)
    return values


def dimension(problem: Problem, x: np.ndarray, cluster: int = 0) -> int:
    """Number of random effects of a cluster."""
    return n_effects(problem.clusters.joint(), np.array(x, dtype=float), cluster)


def interpreted(right: str = "", wrong: str = "") -> Callable[..., Any]:
    """`integrate` without Numba; as a mutant, with one piece of its text replaced by another."""
    text = Path(integration.__file__).read_text()
    assert right in text, f"{right!r} is not there any more: mend the mutant"
    text = text.replace(right, wrong) if right else text
    for line in ("from saem.system.jit", "from saem.system.linalg", "from saem.families"):
        text = text.replace(line, f"# {line}")

    def same(function: Any) -> Any:
        return function

    names: dict[str, Any] = {"entry": same, "kernel": same, "log_joint": log_joint, "n_effects": n_effects}
    names |= {name: getattr(linalg, name).py_func for name in ("cholesky", "cholesky_solve")}
    exec(compile(text, "mutant", "exec"), names)
    found: Callable[..., Any] = names["integrate"]
    return found
