"""
A dose-response curve
=====================

Sigmoid Emax with errors that grow with the mean; Emax and ED50 are correlated between subjects.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_individual, plot_residuals

model = saem.Model.from_text(recipes.text("emax"))
fit = saem.fit(model, datasets.load("emax"), method="ml")
print(fit.summary())

# %%

# sphinx_gallery_alt = "Response against dose for single subjects: points, the fitted curve of each, and that of a typical subject."
plot_individual(fit, "dose")

# %%

# sphinx_gallery_alt = "Standardised residuals against fitted values, without a trend."
plot_residuals(saem.residuals(fit))
