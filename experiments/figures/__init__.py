"""Figures of simulation studies, made from `experiments.results.Results`; each shows its Monte Carlo error."""

from experiments.figures.coverage_map import coverage_map, coverage_numbers
from experiments.figures.deficit_cost import cost_numbers, deficit_cost
from experiments.figures.lolly import lolly, lolly_numbers
from experiments.figures.saving import save
from experiments.figures.zip_plot import zip_numbers, zip_plot

__all__ = [
    "lolly",
    "lolly_numbers",
    "zip_plot",
    "zip_numbers",
    "coverage_map",
    "coverage_numbers",
    "deficit_cost",
    "cost_numbers",
    "save",
]
