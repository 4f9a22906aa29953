"""
Outcomes of 0 and 1
===================

Infected or not, at several times, under two treatments: a random intercept and a random slope on the logit.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates, plot_visual_check

model = saem.Model.from_text(recipes.text("logistic"))
fit = saem.fit(model, datasets.load("binary"), method="ml")
print(fit.summary())

# %%
# Shares of infected subjects over time, observed and drawn.

# sphinx_gallery_alt = "Observed shares of the outcomes 0 and 1 against time, as points, within the bands of simulated data."
plot_visual_check(saem.visual_check(fit, "time", draws=200, seed=1))

# %%

# sphinx_gallery_alt = "Estimates of the fixed effects with 95 % intervals, one panel each."
plot_estimates(fit, [name for name in fit.parameters.names if name.startswith("eta")])
