"""The study `constraints`: its truths, its test of a link, its comparison with no link, and a replicate of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_study import study_rows

import experiments
import saem
from experiments.harness.performance import COLUMNS
from experiments.harness.running import job_of
from experiments.harness.study import Cell, load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import Task, run_task
from experiments.studies.constraints import as_interval, performance, total_effect
from experiments.studies.links import (
    BORDER,
    NO_LINK,
    SCENES,
    c2_of,
    design_of,
    generating_model,
    model_of,
    scene_named,
    solutions_of_posted,
    true_parameters,
)
from saem.errors import ModelError
from saem.expressions.constraint import compile_constraints
from saem.inference.likelihood_ratio import LikelihoodRatio

PATH = Path(experiments.__file__).parent / "studies" / "constraints.toml"
STUDY = load_study(PATH)
QUICK = load_study(PATH, quick=True)
TRUTH = functions_in(PATH.with_suffix(".py")).truth
CELLS = {cell.name: cell for cell in [*STUDY.design.all(), *QUICK.design.all()]}
KINDS = {(cell["scene"], cell["link"], cell["sigma2"], cell["departure"]): cell for cell in CELLS.values()}


def residual(cell: Cell, x: dict[str, float]) -> float:
    """Left side less right side of the cell's link, by the compiled text that the fits use."""
    model = model_of(str(cell["scene"]), str(cell["link"]))
    names = model.parameter_names
    assert names is not None and len(model.constraints) == 1
    assert all(x[name] == value for name, value in model.fixed.items())
    value, _, _ = compile_constraints(model.constraints, names).evaluate(np.array([x[name] for name in names]))
    return float(value[0])


# Truths


@pytest.mark.parametrize("cell", KINDS.values(), ids=lambda cell: cell.name)
def test_truths_satisfy_the_link_that_generates_the_data(cell: Cell) -> None:
    """By as much as they depart from it; those of another link do not (mutant)."""
    x = dict(TRUTH(cell))
    assert residual(cell, x) == pytest.approx(float(cell["departure"]), abs=1e-12)
    other = next(link for link in scene_named(str(cell["scene"])).links if link != cell["link"])
    wrong = x | {"c2": c2_of(other, x) + float(cell["departure"])}
    assert abs(residual(cell, wrong) - float(cell["departure"])) > 0.05
    assert x["effect1"] == x["c2"] + x["b21"] and x["effect2"] == x["c2"] + x["b22"]


def test_the_null_has_no_effect() -> None:
    for scene, link in (("null", "posted"), ("additive", "log2")):
        x = true_parameters(scene, link, sigma2=0.4)
        assert x["sigma1"] == x["sigma2"] and x["c2"] + x["b21"] == x["c2"] + x["b22"] == 0.0


def by_scanning(x: dict[str, float]) -> int:
    """Roots of h(b) = c2 + b21, by its changes of sign on a fine grid."""
    b = np.linspace(-60.0, 60.0, 40_001) + 1e-5 * math.sqrt(2.0)
    d, c = x["b22"] - x["b21"], math.exp(math.log(2.0) ** 2 / 2.0 * (x["sigma2"] ** 2 - x["sigma1"] ** 2))
    h = b + c * (1.0 + 2.0 ** (b + d)) / (1.0 + 2.0**b) - (x["c2"] + x["b21"])
    return int(np.sum(h[1:] * h[:-1] < 0.0))


def test_how_many_solutions_there_are() -> None:
    """Across the border, within and outside the range of three; a rule of the border alone fails (mutant)."""
    sigma2 = math.sqrt(0.16 + 2.0 * math.log(6.0) / math.log(2.0) ** 2)  # C = 6
    example = {"b21": 0.0, "b22": -5.0, "sigma1": 0.4, "sigma2": sigma2, "c2": 3.09375}
    assert solutions_of_posted(example) == by_scanning(example) == 3  # DESIGN.md, section 1
    found, mutant = [], []
    for sigma2 in (0.7, 2.4, 2.7, 2.8, 3.0, 3.5):
        for b21 in (-4.0, -1.0, 0.0, 0.5, 3.0, 9.0):
            x = example | {"b21": b21, "b22": b21 - 5.0, "sigma2": sigma2}
            x["c2"] = c2_of("posted", x)
            found.append(solutions_of_posted(x) == by_scanning(x))
            steepness = math.exp(math.log(2.0) ** 2 / 2.0 * (sigma2**2 - 0.16)) * (1.0 - 2.0**-5)
            mutant.append((3 if steepness > BORDER else 1) == by_scanning(x))
    assert all(found) and not all(mutant)
    border = {cell["sigma2"]: TRUTH(cell)["solutions"] for cell in KINDS.values() if cell["scene"] == "border"}
    assert border == {2.0: 1.0, 2.4: 1.0, 2.7547: 1.0, 3.0: 3.0, 3.5: 3.0}


SOUND = [
    *(("interaction", "posted", 0.7), ("interaction", "conservation", 0.7), ("additive", "posted", 2.0)),
    *(("three_forms", "conservation", 0.7), ("saturated", "log2", 0.7), ("null", "posted", 0.4)),
]


@pytest.mark.parametrize(("scene", "link", "sigma2"), SOUND)
def test_large_data_lead_to_the_truth(scene: str, link: str, sigma2: float) -> None:
    """ML of 20 000 clusters is within 4 standard errors of it.

    The false-alarm rate is below 0.4 % over some 50 parameters; the truth of another link (mutant) is further away.
    """
    x = true_parameters(scene, link, sigma2)
    table = saem.simulate(generating_model(scene), x, design_of(scene, 10_000), 5)
    fit = saem.fit(model_of(scene, link), table, "ml")
    other = true_parameters(scene, next(own for own in scene_named(scene).links if own != link), sigma2)

    def furthest(truth: dict[str, float]) -> float:
        away = [abs(e - truth[n]) / se for n, e, se in zip(fit.parameters.names, fit.values, fit.se, strict=True) if se]
        return float(max(away))

    assert fit.status == "converged" and furthest(x) < 4.0 < furthest(other)
    effect, se, lower, upper, _ = total_effect(fit, "b22")
    derived = saem.derive(fit, {"effect": "c2 + b22"}).loc["effect"]
    assert derived.tolist() == pytest.approx([effect, se, lower, upper], rel=1e-9)


def test_links_that_determine_nothing_are_refused() -> None:
    with pytest.raises(ModelError, match="the links of the scene 'saturated' are"):
        model_of("saturated", "conservation")
    with pytest.raises(ModelError, match="did you mean 'additive'"):
        model_of("aditive", "posted")
    with pytest.raises(ModelError, match="link must be one of"):
        c2_of("log10", true_parameters("additive", "posted", 0.7))
    with pytest.raises(ModelError, match="departure must be 0 in the scene 'null'"):
        true_parameters("null", "posted", 0.4, departure=0.5)
    assert all(model_of(scene, NO_LINK).constraints == {} for scene in SCENES)


# The test of a link


def test_the_interval_rejects_exactly_when_the_test_does() -> None:
    """On fits, and on statistics about the critical value; that of two degrees of freedom differs (mutant)."""
    from scipy.stats import chi2

    x = true_parameters("additive", "posted", 0.7, departure=0.5)
    decisions = []
    for seed in range(12):
        table = saem.simulate(generating_model("additive"), x, design_of("additive", 12), seed)
        fits = [saem.fit(model_of("additive", link), table, "ml") for link in ("posted", NO_LINK)]
        test = saem.likelihood_ratio(*fits)
        assert test.df == 1 and test.statistic == pytest.approx(2.0 * (fits[1].loglik - fits[0].loglik), abs=1e-12)
        decisions.append(test)
    decisions += [LikelihoodRatio(s, 1, float(chi2.sf(s, 1)), {1: 1.0}) for s in np.linspace(3.8, 3.9, 101)]
    rejected = [test.p < 0.05 for test in decisions]
    assert len(set(rejected[:12])) == 2
    assert [as_interval(test)[2] > 0.0 for test in decisions] == rejected
    mutant = [as_interval(LikelihoodRatio(test.statistic, 2, test.p, {2: 1.0}))[2] > 0.0 for test in decisions]
    assert mutant != rejected


# The comparison with no link


def test_the_comparison_with_no_link() -> None:
    """By hand; the variances exchanged (mutant) give another gain."""
    rng = np.random.default_rng(3)
    shared = rng.standard_normal(40)
    by_method = {"free": 2.0 * shared, "linked": shared + 0.1 * rng.standard_normal(40)}
    rows = pd.concat(
        study_rows(40, method=method, estimate=t, lower=t - width, upper=t + width, truth=0.0)
        for (method, t), width in zip(by_method.items(), (4.0, 1.0), strict=True)
    )
    found = performance(rows).set_index("measure")
    gain = 100.0 * (np.var(by_method["free"]) / np.var(by_method["linked"]) - 1.0)
    assert found.loc["precision_gain_to_free", "value"] == pytest.approx(gain)
    assert gain > 100.0 > 100.0 * (np.var(by_method["linked"]) / np.var(by_method["free"]) - 1.0)
    assert found.loc["width_ratio_to_free", "value"] == pytest.approx(0.25)
    ratio = np.mean(by_method["linked"] ** 2) / np.mean(by_method["free"] ** 2)
    assert found.loc["mse_ratio_to_free", "value"] == pytest.approx(ratio)
    assert set(found["method"]) == {"linked"} and (found["n"] == 40).all() and (found["mcse"] > 0.0).sum() >= 3
    alone = performance(rows[rows["method"] == "linked"][list(COLUMNS)])
    assert len(alone) == 0 and list(alone.columns)[:4] == ["cell", "method", "estimand", "measure"]


# A replicate


def test_a_replicate_has_what_its_scene_has() -> None:
    """Every estimand is finite where the model has it, and nan where not."""
    job = job_of(QUICK, PATH)
    place = {name: k for k, name in enumerate(QUICK.estimands)}
    for scene, link, absent in (
        ("additive", "posted", {"b21", "b22", "b21_nearest"}),
        ("saturated", "posted", {"lr"}),
        ("three_forms", "conservation", {"b21", "b21_nearest"}),
    ):
        cell = next(c for c in QUICK.design.all() if (c["scene"], c["link"]) == (scene, link))
        for record in run_task(job, Task(cell, 0, tuple(QUICK.methods))).records:
            assert record["status"] == "ok" and record["warnings"] == [] and math.isfinite(record["loglik"])
            unknown = {name for name, k in place.items() if math.isnan(record["numbers"][k][0])}
            if record["method"] == "free":
                own = {"c2", "b21", "b22"} if scene == "saturated" else {"b21"}
                assert unknown == absent | own | {"b21_nearest", "solutions", "lr"}
            else:
                lacks = {"linked": set(), "saem": {"lr"}, "wrong": {"solutions", "b21_nearest"}}
                assert unknown == absent | lacks[record["method"]]
