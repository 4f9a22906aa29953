"""Errors that say where more is told."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from commandline import invoke

import saem
from saem import datasets, recipes
from saem.errors import PAGES, ConstraintError, DataError, SaemError

ROOT = Path(__file__).parents[2]
PEPTIDE = recipes.text("peptide")
SLEEP = recipes.text("random_slopes")


def fit(text, change=lambda table: table, name="peptide", method="ml"):
    return saem.fit(saem.Model.from_text(text), change(datasets.load(name)), method)


def one_value(column, value):
    """A table with another value in its fourth row."""

    def changed(table):
        table[column] = table[column].astype(object)
        table.loc[3, column] = value
        return table

    return changed


MISTAKES = {
    "a missing value": (lambda: fit(PEPTIDE, one_value("log2_intensity", None)), "model-file.md#tables"),
    "a text": (lambda: fit(PEPTIDE, one_value("log2_intensity", "n.d.")), "model-file.md#tables"),
    "no table": (lambda: fit(PEPTIDE, lambda table: "peptide.csv"), "model-file.md#tables"),
    "no column": (lambda: fit(PEPTIDE.replace('"log2_intensity"', '"intensity"')), "model-file.md#tables"),
    "a level": (lambda: fit(PEPTIDE, one_value("treatment", "CCP")), "model-file.md#random-effects"),
    "a group": (
        lambda: fit(PEPTIDE.replace('by = "treatment"', 'by = "modification"').replace(
            'Ctrl = "sigma1", CCCP', 'modified = "sigma1", unmodified')),
        "model-file.md#random-effects",
    ),
    "an exact fit": (
        lambda: fit(SLEEP, lambda table: table.assign(Reaction=table["Days"] * 10.0), "sleep"),
        "model-file.md#residual-error",
    ),
    "a constraint": (lambda: fit(PEPTIDE.replace("c2 ==", "c3 ==")), "model-file.md#constraints"),
    "a prior": (lambda: fit(PEPTIDE + "\n[priors]\nmu = 'normal(0)'"), "model-file.md#priors"),
    "a start": (
        lambda: fit(recipes.text("logistic_growth").replace(
            "limit * expit", "log(-limit) * expit"), name="growth"),
        "nonlinear.md#domains-and-starts",
    ),
    "a method": (lambda: fit(PEPTIDE, method="mcmc"), "algorithms.md#methods"),
    "REML": (lambda: fit(PEPTIDE, method="reml"), "algorithms.md#methods"),
    "a file": (lambda: fit(PEPTIDE.replace("[mean]", "[means]")), "model-file.md"),
    "TOML": (lambda: fit(PEPTIDE.replace('mu     = "1"', "mu = one")), "model-file.md"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_frequent_errors_name_a_page(name):
    make, page = MISTAKES[name]
    with pytest.raises(SaemError) as caught:
        make()
    assert caught.value.page == f"docs/{page}", caught.value
    assert caught.value.__notes__ == [f"See docs/{page}"] and "docs/" not in str(caught.value)


def test_every_page_is_the_page_of_a_mistake():
    assert {f"docs/{page}" for _, page in MISTAKES.values()} == set(PAGES.values())


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_the_pages_are_there(page):
    path, _, anchor = page.partition("#")
    text = (ROOT / path).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    slugs = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert not anchor or anchor in slugs


def test_other_errors_name_none():
    error = SaemError("saem is not amused")
    assert error.page == "" and not hasattr(error, "__notes__")


def test_the_page_travels_with_the_error():
    error = pickle.loads(pickle.dumps(ConstraintError("constraint 'g' is odd", ["g is odd"])))
    assert error.page == "docs/model-file.md#constraints" and error.__notes__ == ["See docs/model-file.md#constraints"]
    assert error.problems == ("g is odd",)
    again = pickle.loads(pickle.dumps(DataError("missing or infinite values in column 'y'")))
    assert again.__notes__ == ["See docs/model-file.md#tables"]


def test_the_command_names_the_page(files):
    shown = invoke("fit", "model.toml", "data.csv", "--method", "reml", code=2).stderr
    assert shown.endswith("\nSee docs/algorithms.md#methods\n")
