"""
Equal mean clearances
=====================

Two groups of patients whose clearances spread differently and have the same mean: a tie of a median to a variance in a nonlinear model, and the test of it.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates

tied = saem.Model.from_text(recipes.text("clearance_equal_means"))
table = datasets.load("clearance")
fits = {
    "equal means": saem.fit(tied, table, method="ml"),
    "free": saem.fit(tied.replace(constraints={}), table, method="ml"),
}
print(saem.likelihood_ratio(fits["equal means"], fits["free"]))

# %%

# sphinx_gallery_alt = "Estimates with intervals of the median clearances and their spreads, with equal means and without."
plot_estimates(fits, ["CL_control", "CL_ill", "omega_control", "omega_ill"])
