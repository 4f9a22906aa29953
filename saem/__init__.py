"""Mixed-effects models whose means are tied to their variances, fitted by SAEM and by direct maximum likelihood.

Names are imported when they are first used, so that ``import saem`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from saem.cache import configure

if TYPE_CHECKING:
    from saem.algorithms.bayes.algorithm import Bayes
    from saem.comparison import compare
    from saem.errors import SaemError
    from saem.fitting import fit
    from saem.inference.bootstrap import bootstrap
    from saem.inference.derived import derive
    from saem.inference.identifiability import identifiability
    from saem.inference.likelihood_ratio import compare_models, likelihood_ratio
    from saem.inference.profile_likelihood import profile
    from saem.inference.residuals import residuals
    from saem.result import Fit
    from saem.simulation import simulate
    from saem.specification import Model
    from saem.stopping import Target
    from saem.storage import load

__version__ = "0.1.0"

_MODULES = {
    "Bayes": "saem.algorithms.bayes.algorithm",
    "Fit": "saem.result",
    "Model": "saem.specification",
    "SaemError": "saem.errors",
    "Target": "saem.stopping",
    "bootstrap": "saem.inference.bootstrap",
    "compare": "saem.comparison",
    "compare_models": "saem.inference.likelihood_ratio",
    "derive": "saem.inference.derived",
    "fit": "saem.fitting",
    "identifiability": "saem.inference.identifiability",
    "likelihood_ratio": "saem.inference.likelihood_ratio",
    "load": "saem.storage",
    "profile": "saem.inference.profile_likelihood",
    "residuals": "saem.inference.residuals",
    "simulate": "saem.simulation",
}

__all__ = [
    "Bayes",
    "Fit",
    "Model",
    "SaemError",
    "Target",
    "__version__",
    "bootstrap",
    "compare",
    "compare_models",
    "derive",
    "fit",
    "identifiability",
    "likelihood_ratio",
    "load",
    "profile",
    "residuals",
    "simulate",
]

configure()


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'saem' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
