"""
Correlated residuals and a variance function
============================================

Reaction times on ten days, with residuals that resemble those of the day before, or that spread more where the mean is higher: three models by one likelihood.
"""

import saem
from saem import datasets
from saem.plotting import plot_visual_check

TEXT = """
cluster = "Subject"
mean = "Reaction ~ Days"
[random]
terms = { intercept = "1", days = "Days" }
[residual]
"""
table = datasets.load("sleep")
models = {
    "independent": 'sd = "sigma"',
    "AR(1)": 'correlation = "ar1(phi)"',
    "power of the mean": 'sd = "sigma * (mean / 300)**delta"',
}
fits = {
    name: saem.fit(saem.Model.from_text(TEXT + more), table, method="ml")
    for name, more in models.items()
}
for name, each in fits.items():
    print(f"{name}: log-likelihood {each.loglik:.2f}")
    print(each.to_frame()[["parameter", "estimate", "se"]].round(3))

# %%
# SAEM fits the same models.

print(saem.fit(fits["AR(1)"].model, table, method="saem", seed=1))

# %%

# sphinx_gallery_alt = "Quantiles of reaction times over ten days with bands of what the model with AR(1) residuals draws."
plot_visual_check(saem.visual_check(fits["AR(1)"], "Days", draws=200, seed=1))
