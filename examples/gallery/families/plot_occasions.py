"""
Visits of the same subject
==========================

Concentrations at two visits, simulated: the clearance of a subject differs from visit to visit, and its mean in the population is known, which ties the median to both variances.
"""

import numpy as np
import pandas as pd

import saem
from saem.plotting import plot_random_effects

model = saem.Model.from_text("""
family = "nonlinear"
response = "y"
cluster = "subject"
occasion = "visit"
columns = ["time"]
[individual]
V = "lognormal(V_pop, omega_V)"
CL = "lognormal(CL_pop, omega_CL, occasion_sd=gamma_CL)"
[outcome]
distribution = "lognormal"
median = "100 / V * exp(-CL / V * time)"
sd = "a"
[constraints]
known_mean = "log(CL_pop) + (omega_CL**2 + gamma_CL**2) / 2 == log(4)"
""")
design = pd.DataFrame(
    [(s, v, t) for s in range(30) for v in ("first", "second") for t in (1.0, 4.0, 8.0, 16.0)],
    columns=["subject", "visit", "time"],
)
truth = {"V_pop": 30.0, "omega_V": 0.2, "omega_CL": 0.3, "gamma_CL": 0.2, "a": 0.1}
truth["CL_pop"] = 4.0 * np.exp(-(0.3**2 + 0.2**2) / 2.0)
table = saem.simulate(model, truth, design, seed=1)

fit = saem.fit(model, table, method="saem", seed=1)
print(fit)
print(saem.individual_parameters(fit).head(3).round(2))

# %%
# A third visit is predicted with the variance of visits.

new = pd.DataFrame({"subject": 0, "visit": ["first", "third"], "time": 4.0})
print(saem.predict(fit, new)[["predicted", "se", "lower", "upper"]].round(2))

# %%

# sphinx_gallery_alt = "What each visit of thirty subjects adds to the logarithm of their clearance, in order of size, with intervals."
plot_random_effects(fit, term="CL[visit]")
