"""Figures of fits and comparisons. Each function returns matplotlib Axes; nothing else is touched."""

from saem.plotting.bootstrap import plot_bootstrap
from saem.plotting.comparison import plot_comparison, plot_cost
from saem.plotting.cost import plot_acceptance, plot_cluster_acceptance, plot_deficit, plot_error
from saem.plotting.effects import plot_random_effects
from saem.plotting.estimates import plot_estimates
from saem.plotting.individual import plot_individual
from saem.plotting.influence import plot_influence
from saem.plotting.posterior import marginal_densities, plot_posterior
from saem.plotting.prediction_errors import plot_npde
from saem.plotting.prior_predictive import plot_prior_predictive
from saem.plotting.profiles import plot_profile
from saem.plotting.quantiles import plot_effect_quantiles, plot_quantiles
from saem.plotting.ratio import plot_ratio
from saem.plotting.residuals import plot_observed, plot_residuals
from saem.plotting.solutions import plot_solutions
from saem.plotting.style import SHADE
from saem.plotting.trace import plot_trace
from saem.plotting.visual_check import plot_visual_check

__all__ = [
    "SHADE",
    "marginal_densities",
    "plot_acceptance",
    "plot_bootstrap",
    "plot_cluster_acceptance",
    "plot_comparison",
    "plot_cost",
    "plot_deficit",
    "plot_effect_quantiles",
    "plot_error",
    "plot_estimates",
    "plot_individual",
    "plot_influence",
    "plot_npde",
    "plot_observed",
    "plot_posterior",
    "plot_prior_predictive",
    "plot_profile",
    "plot_quantiles",
    "plot_random_effects",
    "plot_ratio",
    "plot_residuals",
    "plot_solutions",
    "plot_trace",
    "plot_visual_check",
]
