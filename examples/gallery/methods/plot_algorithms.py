"""
Algorithms side by side
=======================

The same number of random effects drawn, over several seeds: how near each algorithm comes to the maximum, and what it costs.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_comparison, plot_cost, plot_deficit, plot_error

model = saem.Model.from_text(recipes.text("peptide"))
table = datasets.load("peptide").query("replicate <= 12")
found = saem.compare(
    model, table, ("saem", "mcem", "stochastic_newton", "chains", "ml"), budget=1e6, repeats=5
)
print(found.over_seeds.round(5).to_string())

# %%

# sphinx_gallery_alt = "Estimates of each method as differences to direct maximum likelihood in its standard errors, with Monte Carlo errors, near zero."
plot_comparison(found)

# %%

# sphinx_gallery_alt = "Two panels: deficit, and the largest Monte Carlo error over standard error, against random effects drawn; both fall."
plot_cost(found)

# %%
# The same two for fits of one's own.

# sphinx_gallery_alt = "Deficit of two fits of SAEM with different targets against draws, both on logarithmic scales."
fits = {"5 %": saem.fit(model, table, seed=1)}
fits["1 %"] = fits["5 %"].resume(saem.Target(mcse=0.01))
plot_deficit(fits)

# %%

# sphinx_gallery_alt = "The largest Monte Carlo error over standard error of the two fits against draws, falling to their targets."
plot_error(fits)
