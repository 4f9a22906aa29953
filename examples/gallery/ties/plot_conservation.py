"""
Is the total amount conserved?
==============================

If the treatment only moves amounts from one form to the other, the expected total is the same under both: an equation between means and variances that restricts what the data may show. So it can be tested.
"""

# sphinx_gallery_thumbnail_number = 2
import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates, plot_ratio

table = datasets.load("peptide_conserved")
conserved = saem.Model.from_text(recipes.text("peptide_conservation"))
free = conserved.replace(constraints={})
fits = {
    "conserved": saem.fit(conserved, table, method="ml"),
    "free": saem.fit(free, table, method="ml"),
}
print(saem.compare_models(fits).to_string())

# %%
# What the constraint is worth: c2 has a shorter interval with it.

# sphinx_gallery_alt = "Estimates with intervals under conservation and without it; the interval of c2 is shorter under conservation."
plot_estimates(fits, ["c2", "b22", "sigma1", "sigma2"])

# %%
# The likelihood ratio by bootstrap, which assumes no law, beside the chi-square.

test = saem.bootstrap_test(fits["conserved"], fits["free"], 99, seed=1)
print(f"p by bootstrap {test.p:.2f}, Monte Carlo error {test.p_mcse:.2f}")
# sphinx_gallery_alt = "The share of bootstrap replicates beyond each value of the likelihood-ratio statistic, near the chi-square curve; a line marks the observed ratio."
plot_ratio(test)
