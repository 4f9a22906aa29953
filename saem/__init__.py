"""Mixed-effects models whose means are tied to their variances, fitted by SAEM and by direct maximum likelihood.

Names are imported when they are first used, so that ``import saem`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from saem.fitting import handed
from saem.system.cache import configure

if TYPE_CHECKING:
    import pandas as pd

    from saem import datasets
    from saem.algorithms.bayes.algorithm import Bayes
    from saem.comparison import compare
    from saem.errors import SaemError
    from saem.families import Model
    from saem.fitting.bar import progress_bar
    from saem.fitting.fit import fit
    from saem.fitting.result import Fit, load
    from saem.fitting.warmup import warmup
    from saem.inference.bootstrap import bootstrap
    from saem.inference.bootstrap_ratio import bootstrap_test
    from saem.inference.derived import derive, variances
    from saem.inference.fisher_information import fisher_information
    from saem.inference.identifiability import identifiability
    from saem.inference.individual_parameters import individual_parameters
    from saem.inference.influence import influence
    from saem.inference.likelihood_ratio import compare_models, likelihood_ratio
    from saem.inference.log_likelihood import log_likelihood
    from saem.inference.prediction import predict
    from saem.inference.prediction_errors import npde
    from saem.inference.prior_predictive import prior_predictive
    from saem.inference.prior_sensitivity import prior_sensitivity
    from saem.inference.profile_likelihood import profile
    from saem.inference.random_effects import random_effects
    from saem.inference.residuals import residuals
    from saem.inference.t_tests import t_tests
    from saem.inference.verification import verify
    from saem.inference.visual_check import visual_check
    from saem.simulation import simulate
    from saem.stopping import Target

__version__ = "0.1.0"

_MODULES = {
    "Bayes": "saem.algorithms.bayes.algorithm",
    "Fit": "saem.fitting.result",
    "Model": "saem.families",
    "SaemError": "saem.errors",
    "Target": "saem.stopping",
    "bootstrap": "saem.inference.bootstrap",
    "bootstrap_test": "saem.inference.bootstrap_ratio",
    "compare": "saem.comparison",
    "compare_models": "saem.inference.likelihood_ratio",
    "derive": "saem.inference.derived",
    "fisher_information": "saem.inference.fisher_information",
    "fit": "saem.fitting.fit",
    "identifiability": "saem.inference.identifiability",
    "individual_parameters": "saem.inference.individual_parameters",
    "influence": "saem.inference.influence",
    "likelihood_ratio": "saem.inference.likelihood_ratio",
    "load": "saem.fitting.result",
    "log_likelihood": "saem.inference.log_likelihood",
    "npde": "saem.inference.prediction_errors",
    "predict": "saem.inference.prediction",
    "prior_predictive": "saem.inference.prior_predictive",
    "prior_sensitivity": "saem.inference.prior_sensitivity",
    "profile": "saem.inference.profile_likelihood",
    "progress_bar": "saem.fitting.bar",
    "random_effects": "saem.inference.random_effects",
    "residuals": "saem.inference.residuals",
    "simulate": "saem.simulation",
    "t_tests": "saem.inference.t_tests",
    "variances": "saem.inference.derived",
    "verify": "saem.inference.verification",
    "visual_check": "saem.inference.visual_check",
    "warmup": "saem.fitting.warmup",
}

__all__ = [
    "Bayes",
    "Fit",
    "Model",
    "SaemError",
    "Target",
    "__version__",
    "bootstrap",
    "bootstrap_test",
    "compare",
    "compare_models",
    "datasets",
    "derive",
    "fisher_information",
    "fit",
    "identifiability",
    "individual_parameters",
    "influence",
    "likelihood_ratio",
    "load",
    "log_likelihood",
    "npde",
    "predict",
    "prior_predictive",
    "prior_sensitivity",
    "profile",
    "progress_bar",
    "random_effects",
    "residuals",
    "simulate",
    "t_tests",
    "variances",
    "verify",
    "visual_check",
    "warmup",
]

configure()


def _t_tests(fit: Fit) -> pd.DataFrame:
    """The t-tests for `Fit.summary`, which is below inference and cannot ask for them itself."""
    from saem.inference.t_tests import t_tests

    return t_tests(fit)


handed.t_tests = _t_tests


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name == "datasets":
        return import_module("saem.datasets")
    if name not in _MODULES:
        raise AttributeError(f"module 'saem' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
