"""
Equal means with crossed effects
================================

Samples of two kinds on common plates: samples and plates are crossed, and the means are tied to the variances of the samples.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_random_effects

tied = saem.Model.from_text(recipes.text("crossed_equal_means"))
table = datasets.load("assays")
fits = {
    "equal means": saem.fit(tied, table, method="ml"),
    "free": saem.fit(tied.replace(constraints={}), table, method="ml"),
}
for name, each in fits.items():
    print(name, each.to_frame()[["parameter", "estimate", "se"]].round(3), sep="\n")

print(saem.likelihood_ratio(fits["equal means"], fits["free"]))

# %%
# SAEM draws all random effects at once, exactly. lme4's formulas are read, too.

print(saem.fit(tied, table, method="saem", seed=1))
print(saem.Model.from_formula("log_amount ~ kind + (1 | sample) + (1 | plate)").to_toml())

# %%

# sphinx_gallery_alt = "Conditional means of the effects of samples and plates, with intervals, in order of their size."
plot_random_effects(fits["equal means"])
