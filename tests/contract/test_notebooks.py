"""What objects show of themselves in a notebook, and their tables for other programs."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from handmade import handmade_fit
from simulated_results import results_in

import saem
from saem import datasets, recipes
from saem.expressions.latex import latex, symbol
from saem.fitting.roles import on_the_left

FORMULA = re.compile(r"\$\$(.*?)\$\$", re.S)


class Checked(HTMLParser):
    """Every element is closed, and nothing is fetched, run or coloured."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in "div p b br table thead tbody tr th td details summary pre span".split()
        for name, value in attrs:
            assert name in ("class", "style") and not re.search(r"url|color:|#", value)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data + " "


def sleep_model(**changes):
    return saem.Model.from_text(recipes.text("random_slopes")).replace(**changes)


@pytest.fixture(scope="module")
def compared():
    return saem.compare(sleep_model(), datasets.load("sleep"), ("ml", "em", "reml"))


def test_a_fit_shows_its_summary():
    fit = handmade_fit()
    words = " ".join(Checked(fit._repr_html_()).words.split())
    for line in fit.summary().splitlines():
        if line.strip("- "):
            assert " ".join(line.split()) in words, line


def test_a_comparison_shows_its_methods(compared):
    words = Checked(compared._repr_html_()).words
    for part in ("ml, em", "reml", "converged", f"{compared.maximum:.4f}", "distances are to ml"):
        assert part in words


def test_results_of_a_study_show_themselves(tmp_path):
    results = results_in(tmp_path)
    words = Checked(results._repr_html_()).words
    first = results.complete.iloc[0]
    assert "cells" in words and str(first["measure"]) in words
    assert f"{len(results.complete) - 60:,} more rows" in words


def test_what_a_table_holds_is_no_order_for_a_browser():
    fit = handmade_fit()
    fit = dataclasses.replace(fit, warnings=("<img src=x onerror=alert(1)> $$x$$ & \x1b[2J",))
    shown = fit._repr_html_()
    assert "<img" not in shown and "&lt;img" in shown and "$$" not in shown and "\x1b" not in shown
    Checked(shown)
    model = sleep_model(cluster="<b>$$")
    assert "<b>$$" not in model._repr_html_().replace("$$\\begin", "").replace("{aligned}$$", "")


# Models


@pytest.mark.parametrize("name", recipes.names())
def test_a_model_shows_its_formula(name):
    model = saem.Model.from_text(recipes.text(name))
    shown = model._repr_html_()
    words = Checked(shown).words
    (formula,) = FORMULA.findall(words)
    assert formula == model.latex()
    bare = formula.replace(r"\{", "").replace(r"\}", "")
    for opened, closed in (("{", "}"), (r"\left", r"\right"), (r"\begin{", r"\end{")):
        assert bare.count(opened) == bare.count(closed) > 0
    assert saem.Model.from_text(words[words.index("family =") :]) == model
    for line in formula.split("\n")[1:-1]:
        assert line.replace(r"\begin{cases}", "").count("&") >= 1
    for parameter in model.parameter_names or ():
        assert symbol(parameter) in formula, parameter


def test_the_formula_of_the_posed_problem():
    assert saem.Model.from_text(recipes.text("peptide")).latex().splitlines()[-2] == (
        r"c_{2} &= \frac{\exp\left(\frac{\log\left(2\right)^{2}}{2}\,"
        r"\left(\sigma_{2}^{2} - \sigma_{1}^{2}\right)\right)\,\left(1 + 2^{b_{22}}\right)}{1 + 2^{b_{21}}}"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a - (b - c)", r"a - \left(b - c\right)"),
        ("a - (b + c) * 2", r"a - \left(b + c\right) \cdot 2"),
        ("-a**2", "-a^{2}"),
        ("(-a)**2", r"\left(-a\right)^{2}"),
        ("(a * b)**c", r"\left(a\,b\right)^{c}"),
        ("a / (b / c)", r"\frac{a}{\frac{b}{c}}"),
        ("a + -b", r"a + \left(-b\right)"),
        ("1e-7 * a", r"1 \cdot 10^{-7}\,a"),
        ("sqrt(x_1) + abs(beta)", r"\sqrt{x_{1}} + \left|\beta\right|"),
        ("a == 1 and (b > 2 or not c)", r"a = 1 \wedge \left(b > 2 \vee \neg c\right)"),
        ("(dose > 1) * a", r"\left[\mathrm{dose} > 1\right]\,a"),
        ("`my dose` in ['a b', 'c_d']", r"\mathrm{my\ dose} \in \{\mathrm{a\ b}, \mathrm{c\_d}\}"),
        ("expit(omega_CL + sd10)", r"\operatorname{expit}\left(\omega_{\mathrm{CL}} + \mathrm{sd}_{10}\right)"),
    ],
)
def test_expressions_as_mathematics(text, written):
    assert latex(text, frozenset({"dose"})) == written


def test_groups_and_weights_of_a_linear_model():
    model = saem.Model(
        mean="y ~ x",
        cluster="c",
        random={"by": "arm"},
        residual={"by": "kind", "sd": {"a": "s1", "b": "s2"}, "weights": "w"},
        fixed={"s1": 0.5},
    )
    shown = model.latex()
    assert r"\quad \text{for each } \mathrm{arm}" in shown
    assert r"s_{2}^{2} / \mathrm{w}\right)\quad \text{where } \mathrm{kind} = \mathrm{b}" in shown
    assert r"\underbrace{x^{\top}\beta}_{\texttt{x}}" in shown and shown.splitlines()[-2] == "s_{1} &= 0.5"


# Tables


def test_to_frame_says_what_each_parameter_is():
    fit = handmade_fit()
    roles = dict(zip(fit.parameters.names, fit.to_frame()["role"], strict=True))
    for name in fit.at_boundary:
        assert roles[name] == "at the boundary"
    fixed = {name for name, is_fixed in zip(fit.parameters.names, fit.parameters.fixed, strict=True) if is_fixed}
    assert {name for name, role in roles.items() if role == "fixed"} == fixed
    assert roles["c2"] == "determined" and roles["mu"] == "free"


def test_what_is_determined():
    constraints = {"a": "x == y**2", "b": "u == u**2 + v", "c": "z + 1 == y", "d": "1 == w"}
    assert on_the_left(constraints) == {"x"}


def test_glance_is_one_row():
    fit = handmade_fit()
    row = fit.glance()
    assert len(row) == 1
    first = row.iloc[0]
    assert first["method"] == fit.method and first["status"] == str(fit.status)
    for name in "loglik loglik_mcse aic bic n_free n_rows n_clusters iterations seconds".split():
        assert first[name] == getattr(fit, name), name
    assert math.isnan(first["deficit"])  # it has no looks


def test_tables_of_a_comparison(compared):
    rows = compared.glance()
    assert list(rows["method"]) == ["ml", "em", "reml"] and list(rows["seed"]) == [0, 0, 0]
    assert rows["deficit"].iloc[0] == pytest.approx(0.0, abs=1e-8) and math.isnan(rows["deficit"].iloc[2])
    long = compared.to_frame()
    assert list(long.columns[:3]) == ["method", "seed", "parameter"] and len(long) == 3 * 6
    assert compared.fits["ml"].deficit == 0.0


def test_the_deficit_of_a_simulated_fit():
    fit = saem.fit(sleep_model(), datasets.load("sleep"), "saem")
    assert fit.glance()["deficit"].iloc[0] == fit.history["deficit"].iloc[-1]


# Progress bars


class Drawn:
    """A display that keeps what it is shown."""

    def __init__(self):
        self.shown, self.closed = [], False

    def show(self, share, words):
        self.shown.append((share, words))

    def close(self):
        self.closed = True


def test_a_bar_shows_how_far_fits_are(monkeypatch):
    drawn = Drawn()
    monkeypatch.setattr("saem.fitting.bar.display_for", lambda title: drawn)
    with saem.progress_bar("x") as shown:
        fit = saem.fit(sleep_model(), datasets.load("sleep"), callback=shown)
        shown(3, 12)
    assert np.array_equal(fit.values, saem.fit(sleep_model(), datasets.load("sleep")).values)
    *_, (share, words), last = drawn.shown
    assert last == (0.25, "3 of 12") and drawn.closed
    assert share is None or 0.0 < share <= 1.0
    assert words.startswith(("burn-in", "transient", "averaging")) or "MCSE/SE" in words
    with pytest.raises(ZeroDivisionError), saem.progress_bar():
        drawn.closed = False
        raise ZeroDivisionError
    assert drawn.closed


def test_a_bar_is_silent_where_nobody_looks(capfd):
    with saem.progress_bar() as shown:
        shown(1, 2)
    assert capfd.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch, capfd):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with saem.progress_bar("counting") as shown:
        shown(1, 2)
        shown.display.bar.refresh()
    assert "counting" in capfd.readouterr().err


CELLS = (
    "import saem\nfrom saem import datasets, recipes\n"
    "model = saem.Model.from_text(recipes.text('random_slopes'))\nmodel",
    "with saem.progress_bar('fitting it') as bar:\n"
    "    fit = saem.fit(model, datasets.load('sleep'), callback=bar)\n"
    "fit",
)


@pytest.mark.slow
def test_in_a_real_notebook():
    client = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    shown = [[each.get("data", {}).get("text/html", "") for each in cell.outputs] for cell in book.cells]
    assert "$$\\begin{aligned}" in shown[0][-1]
    assert re.search(r'fitting it <progress value="1.000"></progress> \d+\.\d s', shown[1][0])
    assert "log-likelihood" in shown[1][-1] and "<table" in shown[1][-1]
    assert all(each.output_type != "error" for cell in book.cells for each in cell.outputs)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"correlation": "ar1(phi, t)"}, r"\operatorname{corr}(\varepsilon_j, \varepsilon_k) &= \phi^{|\mathrm{t}_j"),
        ({"correlation": "compound(rho)"}, r"\varepsilon_k) &= \rho"),
        ({"df": "nu"}, r"\varepsilon &\sim t_{\nu}"),
        ({"sd": "sigma * abs(mean)**delta"}, r"\left(\sigma\,\left|\mathrm{mean}\right|^{\delta}\right)^{2}"),
    ],
)
def test_residuals_are_written_as_they_are_said(said: dict[str, str], found: str) -> None:
    model = saem.Model(response="y", cluster="id", mean={"a": "1"}, random={"terms": {"u": "1"}}, residual=said)
    assert found in model.latex()


def test_several_factors_of_a_glmm_are_written() -> None:
    model = saem.Model.from_formula("y ~ x + (1 | female) + (x | male)", distribution="poisson")
    shown = model.latex()
    assert r"\operatorname{log} \lambda &=" in shown and r"\theta_{\mathrm{female}}" in shown
    assert r"\operatorname{corr}(" in shown and "logit" not in shown
