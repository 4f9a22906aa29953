"""Figures of simulation studies, made from `experiments.results.Results`; each shows its Monte Carlo error.

A figure has a function that draws it and one that gives its numbers. `draw_all` draws those that apply to a study.
"""

from .bias_variance import bias_variance, bias_variance_numbers
from .choosing import Choice
from .coverage_map import coverage_map, coverage_numbers
from .deficit_cost import cost_numbers, deficit_cost
from .gallery import draw, draw_all
from .lolly import lolly, lolly_numbers
from .nested_loop import nested_loop, nested_numbers
from .saving import save
from .traces import paths_of, traces
from .zip_plot import zip_numbers, zip_plot

__all__ = [
    "Choice",
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
