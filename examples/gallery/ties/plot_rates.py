"""
Counts whose mean rate is known
===============================

Each unit has a log-normal rate, whose mean is known from elsewhere: the median is tied to the spread.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates, plot_visual_check

model = saem.Model.from_text(recipes.text("poisson_lognormal"))
table = datasets.load("rates")
fits = {
    "mean known": saem.fit(model, table, method="ml"),
    "free": saem.fit(model.replace(constraints={}), table, method="ml"),
}

# sphinx_gallery_alt = "Estimates of the median rate and its spread with intervals, with a known mean and without."
plot_estimates(fits)

# %%

# sphinx_gallery_alt = "Percentiles of the counts against exposure, as points, within the bands of simulated data."
plot_visual_check(saem.visual_check(fits["mean known"], "exposure", draws=200, seed=1))
