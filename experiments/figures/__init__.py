"""Figures of simulation studies, made from `experiments.results.Results`; each shows its Monte Carlo error.

A figure has a function that draws it and one that gives its numbers. `draw_all` draws those that apply to a study.
"""

from experiments.figures.bias_variance import bias_variance, bias_variance_numbers
from experiments.figures.coverage_map import coverage_map, coverage_numbers
from experiments.figures.deficit_cost import cost_numbers, deficit_cost
from experiments.figures.gallery import draw, draw_all
from experiments.figures.lolly import lolly, lolly_numbers
from experiments.figures.nested_loop import nested_loop, nested_numbers
from experiments.figures.saving import save
from experiments.figures.traces import paths_of, traces
from experiments.figures.zip_plot import zip_numbers, zip_plot

__all__ = [
    "lolly",
    "lolly_numbers",
    "zip_plot",
    "zip_numbers",
    "nested_loop",
    "nested_numbers",
    "bias_variance",
    "bias_variance_numbers",
    "coverage_map",
    "coverage_numbers",
    "deficit_cost",
    "cost_numbers",
    "traces",
    "paths_of",
    "draw",
    "draw_all",
    "save",
]
