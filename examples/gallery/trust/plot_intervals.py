"""
Intervals: Wald, profile, bootstrap
===================================

With eight replicates a Wald interval of a standard deviation is a rough guess. The profile likelihood shows how rough, the bootstrap shows the bias.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_bootstrap, plot_profile

model = saem.Model.from_text(recipes.text("peptide"))
fit = saem.fit(model, datasets.load("peptide").query("replicate <= 8"), method="ml")
profile = saem.profile(fit, ["c2", "b21", "sigma1", "sigma2"])
print(profile.intervals.round(3).to_string())

# %%

# sphinx_gallery_alt = "Signed roots of the profile likelihood of four parameters: bent lines where the Wald interval, dashed, is off."
plot_profile(profile)

# %%

boot = saem.bootstrap(fit, replicates=200, seed=1)
# sphinx_gallery_alt = "Histograms of bootstrap replicates of four parameters, with the estimate; those of the standard deviations lie below it, some at zero."
plot_bootstrap(boot, ["c2", "b21", "sigma1", "sigma2"])
