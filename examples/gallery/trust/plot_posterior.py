"""
Priors and the posterior
========================

What the priors expect before the data, and the posterior beside the maximum of the likelihood. The constraint holds in every draw.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_posterior, plot_prior_predictive

model = saem.Model.from_text(recipes.text("peptide")).replace(
    priors={"sigma1": "half_normal(1)", "sigma2": "half_normal(1)"}
)
table = datasets.load("peptide").query("replicate <= 12")
before = saem.prior_predictive(model, table, draws=500, seed=1)

# sphinx_gallery_alt = "Histograms of summaries of data under the prior, one panel a summary, with a line at the observed value."
plot_prior_predictive(before)

# %%

fit = saem.fit(model, table, method="ml")
posterior = saem.fit(model, table, saem.Bayes(draws=500), seed=1)
print(posterior.summary())
# sphinx_gallery_alt = "Marginal posterior densities of eight parameters, one line a chain, with priors and maximum-likelihood estimates."
plot_posterior(posterior, maximum=fit)
