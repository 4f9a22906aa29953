"""
The path over lambda
====================

Between no constraint and the constraint both penalties trace a path. The L1 penalty, like a lasso, becomes exact as soon as lambda exceeds the Lagrange multiplier; the quadratic one only in the limit.
"""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import saem
from saem import recipes
from saem.families import arrange, pose
from saem.mstep.maximisers import L1Penalty, QuadraticPenalty
from saem.mstep.solver import Solver

model = saem.Model.from_text(recipes.text("peptide")).replace(fixed={"b21": 0.0})
design = pd.DataFrame(
    list(product(("Ctrl", "CCCP"), range(12), ("unmodified", "modified"))),
    columns=["treatment", "replicate", "modification"],
)
truth = {"mu": 10.0, "alpha2": -1.0, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}
table = saem.simulate(model, truth, design, seed=1)

ml = saem.fit(model, table, method="ml")
solver = Solver(pose(model, arrange(model, table)))
lambdas = np.logspace(3, -2.5, 45)  # descending: each point starts from the one before
paths = {
    "L1": L1Penalty().path(solver, solver.observed(), ml.values, solver.free, lambdas),
    "quadratic": QuadraticPenalty().path(
        solver, solver.observed(), ml.values, solver.free, lambdas
    ),
}
print(
    f"multiplier {abs(ml.multipliers[0]):.4f}, log-likelihood on the constraint {ml.loglik:.4f}"
)

# %%
# The residual of the constraint. With ``solver.complete(statistics)`` in place of ``solver.observed()`` the path is that of an M-step.

# sphinx_gallery_alt = "Absolute residual of the constraint against lambda: the L1 path is zero to the right of a dashed line at the multiplier, the quadratic path falls slowly."
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for (name, path), style in zip(paths.items(), ("-", "--"), strict=True):
    axes.semilogx(
        [point.weight for point in path],
        [abs(point.residuals[0]) for point in path],
        style,
        label=name,
    )
axes.axvline(abs(ml.multipliers[0]), color="grey", linestyle=":", label="multiplier")
axes.set(xlabel="lambda", ylabel="|residual of the constraint|")
axes.legend(frameon=False)
