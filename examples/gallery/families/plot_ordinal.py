"""
Ordered categories
==================

Pain on a scale, over time and under two treatments: proportional odds with a random intercept.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_visual_check

model = saem.Model.from_text(recipes.text("ordinal"))
fit = saem.fit(model, datasets.load("ordinal"), method="ml")
print(fit.summary())

# %%

# sphinx_gallery_alt = "Observed shares of each pain category against time, as points, within the bands of simulated data."
plot_visual_check(saem.visual_check(fit, "time", draws=200, seed=1))
