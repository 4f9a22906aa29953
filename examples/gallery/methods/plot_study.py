"""
A simulation study
==================

How good are intervals of the peptide model with few replicates, and what does simulation add to it? A study is two files, written here to a folder; ``python -m experiments run peptides.toml --report`` is the command.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from experiments.figures import Choice, coverage_map, lolly, zip_plot
from experiments.harness.study import load_study
from experiments.results import Results

folder = Path(mkdtemp())
(folder / "peptides.toml").write_text("""
title = "Intervals with few replicates"
aims  = "Coverage of Wald intervals at the maximum, and at SAEM's estimate."
data  = "The peptide model with the posted link, replicates an arm as the cell says."
reference = "ml"

[design]
factors = { replicates = [4, 8, 16] }

[estimands]
c2     = { what = "effect of the treatment" }
b22    = { what = "interaction on the modified form" }
sigma1 = { what = "SD of replicates of the control" }

[methods]
ml   = { what = "direct maximum likelihood", method = "ml" }
saem = { what = "SAEM", method = "saem" }

[run]
replicates = 100
seed       = 1
""")
(folder / "peptides.py").write_text("""
from itertools import product

import pandas as pd

import saem
from experiments.study.functions import Outcome
from saem import recipes

MODEL = saem.Model.from_text(recipes.text("peptide"))
TRUTH = {"mu": 10.0, "alpha2": -1.0, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}


def truth(cell):
    d = TRUTH["sigma2"] ** 2 - TRUTH["sigma1"] ** 2
    c2 = 2.0 ** (0.5 * 0.6931471805599453 * d) * (1 + 2 ** TRUTH["b22"]) / (1 + 2 ** TRUTH["b21"])
    return {"c2": c2, "b22": TRUTH["b22"], "sigma1": TRUTH["sigma1"]}


def generate(cell, seed):
    rows = product(("Ctrl", "CCCP"), range(cell["replicates"]), ("unmodified", "modified"))
    design = pd.DataFrame(list(rows), columns=["treatment", "replicate", "modification"])
    return saem.simulate(MODEL, TRUTH, design, seed=seed)


def estimate(data, cell, options, seed):
    return Outcome.of(saem.fit(MODEL, data, method=options["method"], seed=seed))
""")
command = [
    sys.executable,
    "-m",
    "experiments",
    "run",
    "peptides.toml",
    "--output",
    "results",
    "--workers",
    "1",
]
subprocess.run(command, cwd=folder, check=True, capture_output=True)
results = Results.read(
    load_study(folder / "peptides.toml"), folder / "peptides.toml", folder / "results"
)

# %%
# Coverage of 95 % intervals in per cent, with its Monte Carlo error; triangles are more than two of these from 95 %.

# sphinx_gallery_alt = "A table in colours: coverage of each estimand by replicates and method; lowest with four replicates, the same by both methods."
figure = coverage_map(results)

# %%
# Bias, with brackets of 1.96 Monte Carlo errors.

# sphinx_gallery_alt = "Bias of each method for c2 and sigma1 by replicates; sigma1 is too small with four replicates."
figure = lolly(results, "bias", Choice(estimands=["c2", "sigma1"]))

# %%
# All intervals of c2, the worst on top.

# sphinx_gallery_alt = "Zip plot: intervals of c2 in each cell and method, ordered by how far they are from the truth; those that miss it are coloured."
figure = zip_plot(results, "c2")
