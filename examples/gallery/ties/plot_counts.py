"""
Counts with equal means
=======================

Two groups of counts with unequal spread. Their means are equal, so the median is lower where the spread is larger: a mean tied to a variance on the scale of a logarithm.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates

tied = saem.Model.from_text(recipes.text("poisson_equal_means"))
table = datasets.load("counts")
fits = {
    "tied": saem.fit(tied, table, method="ml"),
    "free": saem.fit(tied.replace(constraints={}), table, method="ml"),
}
print(saem.likelihood_ratio(fits["tied"], fits["free"]))

# %%

# sphinx_gallery_alt = "Estimates with intervals of both intercepts and standard deviations, with equal means and with free means; the intervals under the tie are shorter."
plot_estimates(fits)
