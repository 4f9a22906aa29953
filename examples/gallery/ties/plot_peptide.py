"""
A peptide: a treatment effect tied to the variances
===================================================

Sixty replicates of each treatment, two forms of a peptide. The treatment effect c2 is a function g of the other parameters, variances among them; SAEM and direct maximum likelihood find the same.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates, plot_random_effects, plot_trace

model = saem.Model.from_text(recipes.text("peptide"))
table = datasets.load("peptide")
by_saem = saem.fit(model, table, method="saem", seed=1)
by_ml = saem.fit(model, table, method="ml")
print(by_saem.summary())

# %%
# SAEM's path. The burn-in is shaded, the dotted line marks where averaging starts, and the horizontal line is the estimate.

# sphinx_gallery_alt = "Eight panels, one a parameter: the path of SAEM over the iterations leaves its start at once and settles on the estimate."
plot_trace(by_saem)

# %%
# Both estimates with 95 % intervals. The thick bar, hardly to be seen, is the Monte Carlo error of SAEM.

# sphinx_gallery_alt = "Estimates with intervals by SAEM and by maximum likelihood, one panel a parameter; they coincide."
plot_estimates({"SAEM": by_saem, "ML": by_ml})

# %%
# The random effects of the replicates: those of the treatment scatter more.

# sphinx_gallery_alt = "Caterpillar plot of the random effects of 120 replicates with intervals, in increasing order."
plot_random_effects(by_ml)
