"""Figures of fits and comparisons. Each function returns matplotlib Axes; nothing else is touched."""

from saem.plotting.comparison import plot_comparison, plot_cost
from saem.plotting.cost import plot_acceptance, plot_deficit, plot_error
from saem.plotting.effects import plot_random_effects
from saem.plotting.estimates import plot_estimates
from saem.plotting.posterior import marginal_densities, plot_posterior
from saem.plotting.profiles import plot_profile
from saem.plotting.style import SHADE
from saem.plotting.trace import plot_trace

__all__ = [
    "SHADE",
    "marginal_densities",
    "plot_acceptance",
    "plot_comparison",
    "plot_cost",
    "plot_deficit",
    "plot_error",
    "plot_estimates",
    "plot_posterior",
    "plot_profile",
    "plot_random_effects",
    "plot_trace",
]
