"""The tables that come with saem, and the recipes that read them as they are."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from commandline import invoke
from selecting import few

import saem
from saem import datasets, recipes
from saem.datasets import make
from saem.errors import DataError

MEAN_OF_G = float(np.exp(np.log(2) ** 2 / 2 * (0.7**2 - 0.4**2)) * (1 + 2**1.2) / (1 + 2**0.5))
CONSERVED = float(np.log2(np.exp(np.log(2) ** 2 / 2 * (0.4**2 - 0.7**2)) * (1 + 2**-1) / (1 + 2 ** (-1 + 1.2))))

#: What the simulated tables were made with, under the names of the recipes.
TRUTH = {
    "peptide": "mu 10 alpha2 -1 b21 .5 b22 1.2 sigma1 .4 sigma2 .7 sigma .3 c2 {MEAN_OF_G}",
    "peptide_conservation": "mu 10 alpha2 -1 b22 1.2 sigma1 .4 sigma2 .7 sigma .3 c2 {CONSERVED}",
    "logistic_growth": "limit_pop 180 middle_pop 28 tau_pop 8 a 4 omega_limit .2 omega_middle 4",
    "random_slopes": "intercept 250 Days 10 sd_intercept 24 sd_days 6 corr_intercept_days .2 sigma 25",
    "logistic": "eta_intercept .8 eta_treatment_B 0 eta_time -.3 eta_treatment_B_x_time -.4 sd_b 1.2 sd_s .4 "
    "corr_b_s .15",
    "binomial": "intercept -1 C_period_2 -.8 C_period_3 -1 C_period_4 -1.4 sd_intercept .8",
    "poisson_equal_means": "beta1 1.4718 beta2 1.7468 sigma1 .8 sigma2 .3",
    "poisson_lognormal": "rate_pop 2.0882 omega .6",
    "weibull": "scale_pop 10 effect .5 shape_pop 1.5 omega .4",
    "ordinal": "slope -.25 effect -.9 c1 -2 c2 -.5 c3 .8 c4 2.2 omega 1.3",
    "emax": "E0_pop 5 Emax_pop 30 ED50_pop 200 gamma_pop 1.6 b .1 omega_E0 .2 omega_Emax .25 omega_ED50 .5 "
    "corr_Emax_ED50 .3",
    "crossed_equal_means": "mean_old 2.9507 mean_new 2.7507 sd_old .3 sd_new .7 sd_plate .2 sigma .1",
    "clearance_equal_means": "V_pop 40 CL_control 3.9208 CL_ill 3.3411 a .1 omega_V .15 omega_control .2 omega_ill .6",
}


def truth(recipe: str) -> dict[str, float]:
    words = TRUTH[recipe].format(MEAN_OF_G=MEAN_OF_G, CONSERVED=CONSERVED).split()
    return dict(zip(words[::2], map(float, words[1::2]), strict=True))


@pytest.mark.parametrize("name", datasets.names())
def test_every_table_is_described(name):
    table = datasets.load(name)
    assert set(table.attrs) == {"description", "source", "licence"} and all(table.attrs.values())
    told = datasets.describe(name)
    columns = datasets._source(name).columns
    assert [column for column in columns if column not in table.columns] == []
    if name != "peptides_wide":  # of its samples two stand for all
        assert list(columns) == list(table.columns) or set(columns) == set(table.columns)
    for words in (*columns.values(), *table.attrs.values()):
        assert words in told
    assert len(table) >= 60 and (table.isna().to_numpy().any() == (name == "peptides_wide"))


def test_a_table_is_a_new_one_at_every_call():
    table = datasets.load("sleep")
    table["Reaction"] = 0.0
    assert saem.datasets.load("sleep")["Reaction"].min() > 100.0


def test_an_unknown_table():
    with pytest.raises(DataError, match=r"no table 'peptids' \(did you mean 'peptide'\?\); the tables are assays, "):
        datasets.load("peptids")
    with pytest.raises(DataError, match="no table"):
        datasets.describe("../recipes/peptide")


def test_tables_are_small():
    assert sum(len(datasets.text(name)) for name in datasets.names()) < 150_000


@pytest.mark.parametrize("name", make.SIMULATED)
def test_the_script_makes_the_tables(name, monkeypatch):
    assert make.made(name).to_csv(index=False, lineterminator="\n") == datasets.text(name)
    monkeypatch.setattr(make, "SEED", make.SEED + 1)
    assert make.made(name).to_csv(index=False, lineterminator="\n") != datasets.text(name)


def test_what_is_not_simulated_says_where_it_is_from():
    real = set(datasets.names()) - set(make.SIMULATED)
    assert real == {"theophylline"}
    assert "Boeckmann" in datasets.load("theophylline").attrs["source"]
    for name in make.SIMULATED:
        assert "simulated by saem/datasets/make.py" in datasets.load(name).attrs["source"]
    assert {entry.name for entry in files(datasets).iterdir() if entry.name.endswith(".csv")} == {
        f"{name}.csv" for name in datasets.names()
    }


def test_every_recipe_has_a_table():
    assert tuple(sorted(recipes.DATA)) == recipes.names()
    assert set(recipes.DATA.values()) == set(datasets.names()) - {"peptides_wide"}


@pytest.mark.parametrize("recipe", few(recipes.names(), ("peptide", "random_slopes")))
def test_recipes_fit_their_table_as_they_are_written(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = invoke("recipe", recipe, "--with-data")
    model, data = f"{recipe}.toml", f"{recipes.DATA[recipe]}.csv"
    assert written.stdout.split() == [model, "written", data, "written"]
    assert f"saem fit {model} {data}" in written.stderr
    invoke("check", model, data)
    shown = invoke("fit", model, data, "--method", "ml")
    assert "status: converged" in shown.stdout and "warning" not in shown.stdout.lower()


def test_data_are_not_overwritten_unless_told_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sleep.csv").write_text("mine")
    assert "sleep.csv exists already" in invoke("recipe", "random_slopes", "--with-data", code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sleep.csv"]
    invoke("recipe", "random_slopes", "--with-data", "--force")
    assert (tmp_path / "sleep.csv").read_text(encoding="utf-8") == datasets.text("sleep")
    invoke("recipe", "random_slopes", "--with-data", "-o", "mine/m.toml", code=2)


def distance(recipe: str, table: pd.DataFrame) -> float:
    """The largest difference between estimates and the truth, in standard errors."""
    fit = saem.fit(saem.Model.from_text(recipes.text(recipe)), table, "ml")
    found = fit.estimates.loc[list(truth(recipe))]
    return float((abs(found["estimate"] - list(truth(recipe).values())) / found["se"]).max())


@pytest.mark.parametrize("recipe", few(TRUTH, ("random_slopes",)))
def test_the_truth_is_found(recipe):
    """Tables are as committed, so there is no false alarm; of another seed some of the 70 would be further away."""
    assert distance(recipe, datasets.load(recipes.DATA[recipe])) < 2.5


def test_another_truth_is_not_found():
    """The mutant of the test before: times that double the slope of one day."""
    table = datasets.load("sleep")
    assert distance("random_slopes", table.assign(Reaction=table["Reaction"] + 10.0 * table["Days"])) > 4.0


def test_the_values_of_theophylline():
    """Those of the published table: of another copy the exact maximum, -2 log L = 345.435, is known by quadrature."""
    table = datasets.load("theophylline")
    assert len(table) == 132 and list(table.groupby("Id").size().unique()) == [11]
    assert table["Concentration"].mean() == pytest.approx(4.960455, abs=1e-6)  # as R has it
    assert table["Dose"].iloc[0] == pytest.approx(4.02 * 79.6)
    model = saem.Model.from_text(recipes.text("theophylline") + "\n[fixed]\nbeta = 0.0\n")
    fit = saem.fit(model, table[table["Time"] > 0.0], "ml")
    assert -2.0 * fit.loglik == pytest.approx(345.435, abs=2e-3)
