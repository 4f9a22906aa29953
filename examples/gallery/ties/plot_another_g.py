"""
Another g
=========

The same table under the posted link, under its version on the log2 scale, and without c2: three recipes that differ in a line. Four cells have four means under each of them, so that all fit equally well; g decides what b21 and b22 mean.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates

table = datasets.load("peptide")
models = {
    "posted": saem.Model.from_text(recipes.text("peptide")),
    "on the log2 scale": saem.Model.from_text(recipes.text("peptide_log2")),
    "without c2": saem.Model.from_text(recipes.text("peptide_unconstrained")),
}
for label, model in models.items():
    print(f"{label}: {', '.join(model.constraints.values())}")

fits = {label: saem.fit(model, table, method="ml") for label, model in models.items()}
print(saem.compare_models(fits).to_string())

# sphinx_gallery_alt = "Estimates with intervals of b21, b22, sigma1 and sigma2 under the posted link, its log2 version and without c2; b21 and b22 differ."
plot_estimates(fits, ["b21", "b22", "sigma1", "sigma2"])
