"""
Theophylline
============

Concentrations in twelve subjects after one oral dose: first-order absorption, one compartment, the clearance by weight. The curve is written down in the model file.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_individual, plot_visual_check

model = saem.Model.from_text(recipes.text("theophylline"))
fit = saem.fit(model, datasets.load("theophylline").query("Time > 0"), seed=1)
print(fit.summary())

# %%

# sphinx_gallery_alt = "Concentration against time for single subjects: points, the fitted curve of each, and that of a typical subject of the same weight."
plot_individual(fit, "Time")

# %%
# The visual predictive check: percentiles of the data, over bands of those of data that the fit draws.

# sphinx_gallery_alt = "The 10th, 50th and 90th percentile of the concentrations against time, as points, lie within the bands of simulated data."
plot_visual_check(saem.visual_check(fit, "Time", draws=200, seed=1))
