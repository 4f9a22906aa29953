"""Formulas as lme4 writes them, as model files."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commandline import invoke

import saem
from saem.errors import ModelError, SaemError
from saem.expressions.columns import column_of
from saem.expressions.rows import row_expression
from saem.specification.formula.bars import model_of_formula

PLAIN = {
    "Reaction ~ Days + (Days | Subject)": {
        "response": "Reaction",
        "cluster": "Subject",
        "mean": "Reaction ~ Days",
        "random": {"terms": {"intercept": "1", "Days": "Days"}},
    },
    "y ~ (1|g) + x": {"response": "y", "cluster": "g", "mean": "y ~ x"},
    "y ~ (1 | g)": {"response": "y", "cluster": "g", "mean": "y ~ 1"},
    "y ~ (1 | g) - 1 + x": {"response": "y", "cluster": "g", "mean": "y ~ - 1 + x"},
    "y ~ x + (1 | factor(g))": {"response": "y", "cluster": "g", "mean": "y ~ x"},
    "y ~ 1 + (1 | g:h) + (0 + x | h:g)": {
        "response": "y",
        "cluster": ["g", "h"],
        "mean": "y ~ 1",
        "random": {"terms": {"intercept": "1", "x": "x"}, "covariance": "diagonal"},
    },
    "log(y) ~ a*b + (0 + I(x^2) + log(z) || g:h)": {
        "response": "log(y)",
        "cluster": ["g", "h"],
        "mean": "log(y) ~ a*b",
        "random": {"terms": {"x_2": "x ** 2", "log_z": "log(z)"}, "covariance": "diagonal"},
    },
    "y ~ x + (1|g) + (0+x|g)": {
        "response": "y",
        "cluster": "g",
        "mean": "y ~ x",
        "random": {"terms": {"intercept": "1", "x": "x"}, "covariance": "diagonal"},
    },
    "y ~ `a|b` + (1 | `my group`)": {"response": "y", "cluster": "my group", "mean": "y ~ `a|b`"},
    "strength ~ 1 + (1 | batch/cask)": {
        "response": "strength",
        "mean": "strength ~ 1",
        "random": {"batch": {"cluster": "batch"}, "batch_cask": {"cluster": ["batch", "cask"]}},
    },
    "y ~ x + (1 | plate) + (x | sample)": {
        "response": "y",
        "mean": "y ~ x",
        "random": {
            "plate": {"cluster": "plate"},
            "sample": {"cluster": "sample", "terms": {"intercept": "1", "x": "x"}},
        },
    },
    "y ~ 1 + (1 + x | g) + (0 + z | g)": {
        "response": "y",
        "mean": "y ~ 1",
        "random": {
            "g": {"cluster": "g", "terms": {"intercept": "1", "x": "x"}},
            "g_2": {"cluster": "g", "terms": {"z": "z"}},
        },
    },
}


@pytest.mark.parametrize("formula", PLAIN)
def test_what_a_formula_says(formula: str) -> None:
    assert model_of_formula(formula) == PLAIN[formula]


def test_text_as_a_random_term_stands_for_its_levels() -> None:
    levels = {"m": ("A", "B", "C")}
    with_intercept = model_of_formula("y ~ 1 + (m | g)", levels=levels)["random"]["terms"]
    assert with_intercept == {"intercept": "1", "m_B": "m == 'B'", "m_C": "m == 'C'"}
    without = model_of_formula("y ~ 1 + (0 + m:x | g)", levels=levels)["random"]["terms"]
    assert without == {f"m_{a}_x": f"(m == '{a}') * x" for a in "ABC"}
    table = pd.DataFrame({"y": [1.0, 2.0], "m": ["A", "B"], "g": [1, 2]})
    twice = pd.concat([table, table[["g"]]], axis=1)
    assert saem.Model.from_formula("y ~ 1 + (1 | g)", twice) == saem.Model.from_formula("y ~ 1 + (1 | g)")
    with pytest.raises(SaemError, match="must be a pandas DataFrame; got dict"):
        saem.Model.from_formula("y ~ 1 + (1 | g)", {"y": [1.0]})
    model: Any = saem.Model.from_formula("y ~ 1 + (m | g)", table)
    assert model.random.terms == {"intercept": "1", "m_B": "m == 'B'"}


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("y ~ x + (1 | `é`) + (1 | `è`)", ["g_", "g__2"]),
        ("y ~ x + (1 | a:b) + (1 | a_b) + (1 | `a.b`)", ["a_b", "a_b_2", "a_b_3"]),
        ("y ~ x + (1 | g_2) + (1 + x | g) + (0 + z | g)", ["g_2", "g", "g_3"]),
        ("y ~ x + (1 | `2nd`) + (1 | g)", ["g2nd", "g"]),
        (f"y ~ x + (1 | {'q' * 70}a) + (1 | {'q' * 70}b)", ["q" * 64, "q" * 60 + "_2"]),
    ],
)
def test_factors_that_are_alike_in_plain_letters_are_two(formula: str, names: list[str]) -> None:
    blocks = model_of_formula(formula)["random"]
    assert list(blocks) == names
    assert len({str(block) for block in blocks.values()}) == len(names)
    saem.Model.from_formula(formula)


RANKS = {  # as R's model.matrix has them: of two factors with 3 and 2 levels
    "1 + m": (3, ["intercept", "m_B", "m_C"]),
    "0 + m": (3, ["m_A", "m_B", "m_C"]),
    "0 + m + n": (4, ["m_A", "m_B", "m_C", "n_q"]),
    "m:x": (4, ["intercept", "m_A_x", "m_B_x", "m_C_x"]),
    "m * x": (6, ["intercept", "m_B", "m_C", "x", "m_B_x", "m_C_x"]),
    "m * n": (6, ["intercept", "m_B", "m_C", "n_q", "m_B_n_q", "m_C_n_q"]),
    "m / n": (6, ["intercept", "m_B", "m_C", "m_A_n_q", "m_B_n_q", "m_C_n_q"]),
    "0 + m:n": (6, ["m_A_n_p", "m_A_n_q", "m_B_n_p", "m_B_n_q", "m_C_n_p", "m_C_n_q"]),
}


@pytest.mark.parametrize("terms", RANKS)
def test_levels_of_random_terms_are_coded_as_those_of_means(terms: str) -> None:
    rank, names = RANKS[terms]
    levels = {"m": ("A", "B", "C"), "n": ("p", "q")}
    said = model_of_formula(f"y ~ 1 + ({terms} | g)", levels=levels)["random"]["terms"]
    assert list(said) == names
    rows = pd.DataFrame(product("ABC", "pq", (0.5, 2.0, 3.0)), columns=["m", "n", "x"])
    columns = {name: column_of(rows, name) for name in rows}
    made = np.stack([row_expression(text).evaluate(columns, len(rows)) for text in said.values()], axis=1)
    assert np.linalg.matrix_rank(made) == len(names) == rank


def test_other_distributions() -> None:
    found = model_of_formula("use ~ age + (1 | district)", "bernoulli")
    assert found["predictor"] == "use ~ age" and found["outcome"] == {"distribution": "bernoulli"}
    model = saem.Model.from_formula("k ~ p + (1 | herd) + (1 | obs)", distribution="binomial", trials="n")
    assert model.family == "crossed_glmm"
    assert saem.Model.from_text(model.to_toml()) == model
    assert "\nresponse" in model.to_toml() and "cluster" not in model.to_toml().split("[random")[0]
    assert "aligned" in model._repr_html_()


WRONG = {
    "y ~ x": "no random effects",
    "y ~ x | g": "not within brackets",
    "~ (1 | g)": "no response",
    "y ~ (1 | g | h)": "more than one bar",
    "y ~ x * (1 | g)": "added to a formula",
    "y ~ x - (1 | g)": "added to a formula",
    "y ~ (poly(x, 2) | g)": "cannot be a random term",
    "y ~ (1 | g + h)": "right of a bar",
    "y ~ (offset(x) | g)": "an offset has no place",
    "y ~ (1 | g) + (1 | g)": "a random term twice",
    "y ~ (1 | g:h) + (1 | h:g)": "a random term twice",
    "y ~ x + (1 | g):z": "added to a formula",
    "y ~ x + (1 | g) * z": "added to a formula",
    "y ~ x + (0 | g)": r"left of the bar of \(0 \| ..\)",
    "y ~ x + (| g)": "nothing stands left of a bar",
    "y ~ x + (1 |)": "nothing stands right of a bar",
    "y ~ (I(x + z) + I(x * z) | g)": "would be called 'x_z'",
}


@pytest.mark.parametrize("formula", WRONG)
def test_what_is_no_such_formula_is_refused_in_words(formula: str) -> None:
    with pytest.raises(SaemError, match=WRONG[formula]):
        model_of_formula(formula)


def test_distributions_and_trials_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="the distribution must be"):
        model_of_formula("y ~ (1 | g)", "gamma")
    with pytest.raises(ModelError, match="needs trials"):
        model_of_formula("y ~ (1 | g)", "binomial")
    with pytest.raises(ModelError, match="has no trials"):
        model_of_formula("y ~ (1 | g)", "poisson", 3)


def test_the_command(tmp_path: Any) -> None:
    shown = invoke("formula", "y ~ x + (1 | batch/cask)").output
    assert 'cluster = "batch"' in shown and "[random.batch_cask]" in shown and "terms" not in shown
    path = tmp_path / "model.toml"
    invoke("formula", "y ~ x + (x | g)", "-o", path)
    assert saem.Model.from_toml(path) == saem.Model.from_formula("y ~ x + (x | g)")
    assert "exists already" in invoke("formula", "y ~ x + (x | g)", "-o", path, code=2).output
    assert "no random effects" in invoke("formula", "y ~ x", code=2).output
