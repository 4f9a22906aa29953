"""
Growth to a limit
=================

A logistic curve for each of 24 plants: limit and middle vary between plants, the pace does not.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates, plot_individual

model = saem.Model.from_text(recipes.text("logistic_growth"))
table = datasets.load("growth")
by_saem, by_ml = saem.fit(model, table, seed=1), saem.fit(model, table, method="ml")

# sphinx_gallery_alt = "Size against time for single plants: points, the fitted logistic curve of each, and that of a typical plant."
plot_individual(by_ml, "time")

# %%

# sphinx_gallery_alt = "Estimates with intervals by SAEM and by maximum likelihood, one panel a parameter; they coincide."
plot_estimates({"SAEM": by_saem, "ML": by_ml})
