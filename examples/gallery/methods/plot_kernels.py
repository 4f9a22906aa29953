"""
Markov kernels: are the random effects drawn well?
==================================================

Where there are no exact draws each cluster has Markov kernels that adapt in the burn-in. Their acceptance rates tell of clusters that move too little.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_acceptance, plot_cluster_acceptance

fit = saem.fit(
    saem.Model.from_text(recipes.text("theophylline")),
    datasets.load("theophylline").query("Time > 0"),
    seed=1,
)

# sphinx_gallery_alt = "Acceptance rate of the kernels against the iteration, level after the burn-in."
plot_acceptance(fit)

# %%

# sphinx_gallery_alt = "Acceptance rate of the kernels of each of twelve subjects, in increasing order."
plot_cluster_acceptance(fit)
