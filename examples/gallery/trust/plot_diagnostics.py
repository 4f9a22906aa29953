"""
Does the model fit?
===================

Residuals, prediction errors and the influence of each cluster: ``saem diagnose`` draws all of these.
"""

import saem
from saem import datasets, recipes
from saem.plotting import (
    plot_influence,
    plot_npde,
    plot_observed,
    plot_quantiles,
    plot_residuals,
)

model = saem.Model.from_text(recipes.text("peptide"))
fit = saem.fit(model, datasets.load("peptide"), method="ml")
residuals = saem.residuals(fit)

# sphinx_gallery_alt = "Standardised residuals against fitted values, with means over bins near zero."
plot_residuals(residuals)

# %%

# sphinx_gallery_alt = "Normal QQ plot of the normalised residuals, on the diagonal within its band."
plot_quantiles(residuals["normalised"])

# %%

# sphinx_gallery_alt = "Observed against fitted values in the colour of their cell, along the diagonal."
plot_observed(fit, residuals)

# %%

# sphinx_gallery_alt = "Three panels of normalised prediction distribution errors: quantiles, histogram, and against the fitted mean."
plot_npde(saem.npde(fit, draws=500, seed=1))

# %%

# sphinx_gallery_alt = "Cook's distance of each replicate; the largest are named with the parameter that they move most."
plot_influence(saem.influence(fit))
