"""
Sixty sites at once
===================

A table in the manner of a ubiquitin experiment, as a spreadsheet exports it: one row a site, one column a sample, blanks. One fit for each site, under conservation and without it.
"""

import matplotlib.pyplot as plt
import numpy as np

import saem
from saem import datasets, recipes
from saem.batch import fit_by

wide = datasets.load("peptides_wide")
long = wide.melt(
    id_vars=["Protein", "Peptide", "Site"], var_name="sample", value_name="intensity"
)
long[["treatment", "replicate", "form"]] = long["sample"].str.split("_", expand=True)
long["modification"] = long["form"].map({"unmod": "unmodified", "mod": "modified"})
long["site"] = long["Protein"] + " " + long["Site"]
long["log2_intensity"] = np.log2(long["intensity"])

conserved = saem.Model.from_text(recipes.text("peptide_conservation"))
batches = {
    name: fit_by(model, long, "site", ["ml"], drop_missing=True, workers=1)
    for name, model in {
        "conserved": conserved,
        "free": conserved.replace(constraints={}),
    }.items()
}
print(batches["conserved"].fits["status"].value_counts().to_string())

# %%
# The shift of the modified form, and how much the data object to conservation: twice the difference of the log-likelihoods, with the 5 % point of the chi-square.

good = {
    name: batch.fits.query("status in ['converged', 'boundary']").set_index("site")["loglik"]
    for name, batch in batches.items()
}
ratio = 2 * (good["free"] - good["conserved"]).dropna()
b22 = (
    batches["conserved"]
    .estimates.query("parameter == 'b22'")
    .set_index("site")["estimate"]
    .reindex(ratio.index)
)
# sphinx_gallery_alt = "Scatter of sites: the interaction b22 against the likelihood ratio of conservation. Most sites lie below the dashed line, a group of them far above."
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.scatter(b22, ratio, s=18)
axes.axhline(3.84, linestyle="--", color="grey")
axes.set(
    xlabel="b22: shift of the modified form (log2)",
    ylabel="likelihood ratio of conservation",
    yscale="symlog",
)
