"""
Three solutions
===============

With the posted g several sets of parameters may have the very same likelihood. Here the design and the variances are such that there are three: c2, b21 and b22 differ, the effects on the two forms do not.
"""

from itertools import product

import pandas as pd

import saem
from saem import recipes
from saem.plotting import plot_solutions

model = saem.Model.from_text(recipes.text("peptide"))
design = pd.DataFrame(
    list(product(("Ctrl", "CCCP"), range(1, 61), ("unmodified", "modified"))),
    columns=["treatment", "replicate", "modification"],
)
truth = {
    "mu": 10.0,
    "alpha2": -1.0,
    "b21": 0.0,
    "b22": -4.0,
    "sigma1": 0.4,
    "sigma2": 3.6,
    "sigma": 0.3,
}
table = saem.simulate(model, truth, design, seed=2)

fit = saem.fit(model, table, method="ml")
print(fit.status, fit.message, sep="\n")
found = saem.identifiability(model, table)

# %%
# The residual of the link along the direction of the means that the data leave free. Its zeros are the solutions.

# sphinx_gallery_alt = "The residual of the link as a curve over the free direction of the means, which crosses zero three times; the crossings are marked."
plot_solutions(found)

# %%
# What is the same in all of them may be reported without a choice.

solutions = pd.DataFrame(fit.solutions, columns=list(fit.parameters.names))
solutions["effect on unmodified"] = solutions["c2"] + solutions["b21"]
solutions["effect on modified"] = solutions["c2"] + solutions["b22"]
print(
    solutions[["c2", "b21", "b22", "effect on unmodified", "effect on modified", "sigma2"]]
    .round(3)
    .to_string()
)
