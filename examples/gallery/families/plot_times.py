"""
Times to an event
=================

Weibull times in centres, some subjects without an event when watching ended.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_random_effects, plot_visual_check

model = saem.Model.from_text(recipes.text("weibull"))
fit = saem.fit(model, datasets.load("times"), method="ml")
print(fit.summary())

# %%
# The share without an event, by Kaplan and Meier, beside that of drawn data.

# sphinx_gallery_alt = "The observed share without an event against time, a falling step curve within the band of simulated data."
plot_visual_check(saem.visual_check(fit, draws=200, seed=1))

# %%

# sphinx_gallery_alt = "Caterpillar plot of the random effects of the centres with intervals."
plot_random_effects(fit)
