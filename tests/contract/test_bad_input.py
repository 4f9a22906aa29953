"""Bad and strange input, end to end through the command `saem`: understood, or refused in words.

Refused means: exit code 2, nothing on stdout, and one message on stderr without a traceback that names the object, what
is required, and the value found. Nothing is replaced here: every fit is a real one. (`test_cli.py` covers model files
that are wrong in themselves; `test_data.py` the reading of tables.)
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import MODEL, invoke
from selecting import few
from typer.testing import CliRunner

import saem
from saem.cli import app
from saem.errors import SaemWarning

UNCONSTRAINED = MODEL.split("[constraints]")[0]
METHODS = ("saem", "ml")


@pytest.fixture
def table() -> pd.DataFrame:
    """Two arms with 8 subjects each, measured twice."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"arm": np.repeat(["a", "b"], 16), "subject": np.tile(np.repeat(range(8), 2), 2)})
    table["time"] = np.tile([1, 2], 16)
    table["y"] = 1 + np.repeat(rng.normal(scale=0.5, size=16), 2) + rng.normal(scale=0.4, size=32)
    return table.round({"y": 4})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, table):
    """A model and a table in the working directory."""
    monkeypatch.chdir(tmp_path)
    write(table)
    Path("model.toml").write_text(MODEL)
    return tmp_path


def write(table: pd.DataFrame, **options) -> None:
    table.to_csv("data.csv", index=False, **options)


def with_constraint(text: str) -> str:
    return MODEL.replace("effect == sigma2**2 - sigma1**2", text)


def refused(*arguments, parts=(), command="fit") -> str:
    """The message with which a command refuses; it must hold all the parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # NumPy's, which would be seen above the message
        result = invoke(command, "model.toml", "data.csv", *arguments, code=2)
    message = result.stderr
    assert result.stdout == ""
    assert message.startswith("Error: ") and "Traceback" not in message
    for part in parts:
        assert part in message, message
    return message


def outcome(*arguments, command="fit"):
    """The result of a command that ends without a traceback, accepted or refused."""
    result = CliRunner().invoke(app, [command, "model.toml", "data.csv", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 2)
    return result


def fits(*methods: str, options: tuple[str, ...] = ()) -> dict[str, saem.Fit]:
    """Fits that the command accepts, as it makes them."""
    model, table = saem.Model.from_toml("model.toml"), saem.data.read_table("data.csv")
    found = {}
    for method in methods or METHODS:
        shown = invoke("fit", "model.toml", "data.csv", "--method", method, *options).stdout
        found[method] = saem.fit(model, table, method, drop_missing="--drop-missing" in options)
        assert f"log-likelihood {found[method].loglik:.4f}" in shown
    return found


def estimates(*methods: str) -> pd.DataFrame:
    """The estimates of fits that are accepted, one method below the other."""
    return pd.concat([fit.to_frame() for fit in fits(*methods).values()], ignore_index=True)


# Files


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"arm,subject,time,y\n", "has no rows"),
        ("arm,subject,time,y\na,1,0,2.5\n".encode("utf-16"), "UTF-8"),
        (b"PK\x03\x04\xff\xfe\x80" * 99, "not a CSV"),
        (b"arm,subject,time,y\na,1,0,2.5,9\nb,1,0,2.5,9\n", "more fields than its header"),
        (b'arm,subject,time,y\n"a,1,0,2.5\nb,1,0,2.5\n', "cannot be read as a CSV file"),
        (b"arm subject time y\na 1 0 2.5\n", "needs columns 'y', 'arm', 'subject'"),
        (b"# my data\narm,subject,time,y\na,1,0,2.5\n", "more fields than its header"),
    ],
    ids=["empty", "header only", "UTF-16", "zip", "too many fields", "open quote", "blanks between", "comment"],
)
def test_files_that_are_no_tables(content, part):
    Path("data.csv").write_bytes(content)
    refused(parts=["'data.csv'", part] if "needs" not in part else [part])


def test_a_folder_is_neither_a_table_nor_a_model(folder):
    assert "'.' is a folder" in invoke("fit", "model.toml", ".", code=2).stderr
    assert "the model file '.'" in invoke("fit", ".", "data.csv", code=2).stderr


def test_two_columns_of_one_name(table):
    """Which of them is the response? Taking the first in silence would fit the wrong column."""
    write(table.rename(columns={"time": "y"}))
    refused("--method", "ml", parts=["'y'", "data.csv"])


@pytest.mark.parametrize("options", [{"sep": ";"}, {"sep": "\t"}, {"lineterminator": "\r\n", "encoding": "utf-8-sig"}])
def test_tables_as_spreadsheets_save_them(table, options):
    expected = estimates("ml")
    write(table, **options)
    pd.testing.assert_frame_equal(estimates("ml"), expected)


def test_decimal_commas(table):
    """Read where semicolons separate the fields, and refused where commas do."""
    expected = estimates("ml")
    write(table, sep=";", decimal=",")
    with pytest.warns(SaemWarning, match="column 'y' was read with decimal commas"):
        pd.testing.assert_frame_equal(estimates("ml"), expected)
    write(table, decimal=",")
    refused(parts=["response 'y'", "'0,8452'" if table["y"][0] == 0.8452 else "data row 1", "decimal point"])


def test_column_names_with_spaces(table):
    expected = estimates("ml")
    write(table.rename(columns={"y": "log2 intensity", "subject": "my subject"}))
    Path("model.toml").write_text(MODEL.replace('"y"', '"log2 intensity"').replace('"subject"', '"my subject"'))
    pd.testing.assert_frame_equal(estimates("ml"), expected)


# The response


@pytest.mark.parametrize("method", METHODS)
def test_missing_and_infinite_responses_are_refused_then_dropped_and_counted(table, method):
    complete = table.drop(index=[2, 5])
    write(table.assign(y=table["y"].mask(table.index == 2).where(table.index != 5, np.inf)))
    refused("--method", method, parts=["column 'y': 2 of 32 rows", "data row 3", "--drop-missing"])
    dropped = fits(method, options=("--drop-missing",))[method]
    assert dropped.n_rows == 30
    shown = invoke("fit", "model.toml", "data.csv", "--method", method, "--drop-missing").output
    write(complete)
    pd.testing.assert_frame_equal(fits(method)[method].estimates, dropped.estimates)
    assert re.search(r"\b2 rows? (were |are )?(left out|dropped)", shown), "the rows left out are not counted"


def test_nothing_is_left_without_missing_values(table):
    write(table.assign(y=np.nan))
    refused("--drop-missing", parts=["no row is left", "'y'"])


@pytest.mark.parametrize("value", ["n.d.", "2.5 kg", "2020-01-01"])
def test_text_in_the_response(table, value):
    write(table.assign(y=table["y"].astype(object).where(table.index != 4, value)))
    refused(parts=["response 'y' must be a number", repr(value), "data row 5"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e300, 1e200, 1e-200])
def test_responses_beyond_the_range_of_squares(table, method, size):
    write(table.assign(y=table["y"] * size))
    refused("--method", method, parts=["'y'"])


def test_one_response_beyond_the_range_of_squares(table):
    write(table.assign(y=table["y"].where(table.index != 4, 1e300)))
    refused("--method", "ml", parts=["'y'"])


@pytest.mark.parametrize("size", [1e-8, 1e8])
def test_the_unit_of_the_response_does_not_matter(table, size):
    """SAEM draws the same standard normals, so that its estimates scale, too."""
    Path("model.toml").write_text(UNCONSTRAINED)
    expected = estimates()
    write(table.assign(y=table["y"] * size))
    columns = ["estimate", "se"]
    found = estimates()
    np.testing.assert_allclose(found[columns] / size, expected[columns], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["mcse"] / size, expected["mcse"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", [*METHODS, "reml"])
@pytest.mark.parametrize("what", ["arm", "subject", "everything"])
def test_a_response_that_the_model_fits_exactly(table, method, what):
    """Constant in each arm or subject, or but for rounding: the residual SD goes to zero. Not a matter of starts."""
    Path("model.toml").write_text(UNCONSTRAINED)
    if what == "everything":
        write(table.assign(y=1 + 1e-14 * table["y"].rank()), float_format="%.17g")
    else:
        columns = ["arm"] if what == "arm" else ["arm", "subject"]
        write(table.assign(y=table.groupby(columns)["y"].transform("mean")))
    message = refused("--method", method)
    assert "residual" in message or "constant" in message, message


# Clusters, groups and levels


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda t: t.assign(subject=range(32)), ["each of the 32 rows is a cluster", "cluster = ['arm', 'subject']"]),
        (lambda t: t.assign(subject=0), ["'sigma1'", "one cluster", "at least 2"]),
        (lambda t: t[(t["arm"] == "a") | (t["subject"] == 0)], ["'sigma2'", "one cluster"]),
        (lambda t: t.assign(y=2.5), ["'y' is constant", "2.5", "32 rows"]),
        (lambda t: t.assign(arm=t["arm"].str.upper()), ["no level 'b'", "did you mean 'B'", "'A', 'B'"]),
        (lambda t: t[t["arm"] == "a"], ["no level 'b'", "effect"]),
        (lambda t: t.assign(arm=t["arm"].where(t["subject"] > 0, "c")), ["level 'c'", "'a', 'b'"]),
        (lambda t: t.assign(arm=t["arm"].where(t.index != 2)), ["column 'arm': 1 of 32 rows", "data row 3"]),
        (lambda t: t.head(1), ["1 rows"]),
    ],
    ids=["unique clusters", "one per group", "one in b", "constant", "case", "no b", "a third", "missing", "one row"],
)
@pytest.mark.parametrize("method", METHODS)
def test_tables_that_do_not_fit_the_model(table, change, parts, method):
    write(change(table))
    refused("--method", method, parts=parts)


def test_a_level_without_rows_after_the_missing_ones_are_left_out(table):
    write(table.assign(y=table["y"].where(table["arm"] == "a")))
    refused("--drop-missing", parts=["arm == 'b'", "'effect' acts on nothing"])


# Constraints


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", ["sigma1**2 == -1", "exp(mu) == -1", "sigma1 == -1", "log(effect) == log(-sigma2)"])
def test_constraints_that_nothing_satisfies(text, method):
    Path("model.toml").write_text(with_constraint(text))
    refused("--method", method, parts=["'g'"])


def test_check_does_not_call_an_infeasible_constraint_fine():
    Path("model.toml").write_text(with_constraint("exp(mu) == -1"))
    result = outcome(command="check")
    assert "Yes, near the estimate" not in result.stdout


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ('h = "effect == sigma2**2 - sigma1**2 + 1"', ["'g', 'h' contradict each other"]),
        ('h = "sigma1 == 1"\nk = "sigma1 == 2"', ["'h', 'k' contradict each other"]),
        ('h = "sigma2**2 - effect == sigma1**2"', ["'g', 'h' say the same thing"]),
        ('h = "sigma1 == 1"\nk = "sigma2 == 1"\nl = "effect == 3"', ["'g', 'h', 'k', 'l'"]),
        ("[fixed]\neffect = -5.0\nsigma1 = 1.0", ["'g'"]),
        ("[fixed]\neffect = 0.0\nsigma1 = 1.0\nsigma2 = 1.0", ["'g' involves only fixed parameters", "'sigma1'"]),
    ],
    ids=["nonlinear", "values", "twice", "four together", "with a fixed value", "all fixed"],
)
@pytest.mark.parametrize("method", few(METHODS, ["ml"]))
def test_constraints_that_contradict_each_other(lines, parts, method):
    Path("model.toml").write_text(f"{MODEL}{lines}\n")
    refused("--method", method, parts=parts)


@pytest.mark.parametrize("command", few(["fit", "check"], ["fit"]))
def test_constraints_that_determine_everything(command):
    """Five equations for five parameters leave nothing to estimate: said, or done, but not by a traceback."""
    lines = 'h = "sigma1 == 0.3"\nk = "sigma2 == 0.5"\nm = "mu == 1"\ns = "sigma == 0.4"\n'
    Path("model.toml").write_text(MODEL + lines)
    outcome(command=command)


@pytest.mark.parametrize("method", METHODS)
def test_a_constraint_that_puts_an_sd_at_zero(method):
    """Never a silent 1e-15: refused, with the advice to use [fixed], or reported as an estimate at the boundary."""
    Path("model.toml").write_text(with_constraint("sigma1 == 0"))
    result = outcome("--method", method)
    if result.exit_code == 2:
        assert "sigma1" in result.stderr or "'g'" in result.stderr
        assert "M-step" not in result.stderr
    else:
        fit = fits(method)[method]
        assert fit.estimates.loc["sigma1", "estimate"] == 0.0
        assert fit.status == "boundary" and fit.at_boundary == ("sigma1",)


@pytest.mark.parametrize("factor", ["1e12", "1e-12", "1e-100"])
def test_the_unit_of_a_constraint_does_not_matter(factor):
    expected = estimates()
    Path("model.toml").write_text(with_constraint(f"{factor}*effect == {factor}*(sigma2**2 - sigma1**2)"))
    np.testing.assert_allclose(estimates()["estimate"], expected["estimate"], rtol=1e-6)


def test_hostile_constraints_do_nothing():
    for text in ("effect == __import__('os').system('touch owned')", "effect == sigma1.__class__", "effect == 9**9**9"):
        Path("model.toml").write_text(with_constraint(text))
        refused(parts=["constraint 'g'"])
    assert not Path("owned").exists()


# Models


FORMULA = 'mean = "{}"\ncluster = ["arm", "subject"]\n'


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        ("y ~ amr", ["'amr'", "did you mean 'arm'"]),
        ("y ~ 0", ["no term"]),
        ("y ~ arm + (1|subject)", ["[random]"]),
        ("y ~ __import__(os)", ["'__import__'"]),
    ],
)
def test_formulas_that_make_no_sense(table, formula, parts):
    write(table.assign(zero=table["time"] - 1))
    Path("model.toml").write_text(FORMULA.format(formula))
    refused("--method", "ml", parts=parts)


def test_a_model_without_fixed_effects():
    Path("model.toml").write_text('response = "y"\ncluster = ["arm", "subject"]\n[mean]\n[random]\nsd = "omega"\n')
    refused(parts=["mean", "at least one"])


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ("sigma = 0.0", ["sigma", "positive", "0"]),
        ("sigma1 = -1.0", ["sigma1", "must be 0 or larger", "-1"]),
        ("sigma1 = nan", ["sigma1", "finite", "nan"]),
        ("sigma1 = 'a'", ["sigma1", "number", "'a'"]),
        ("sigam1 = 1.0", ["sigam1", "did you mean 'sigma1'"]),
        ("mu = 1.0\neffect = 0.0\nsigma1 = 1.0\nsigma2 = 1.0\nsigma = 1.0", ["every parameter is in [fixed]"]),
    ],
    ids=["residual SD 0", "negative SD", "nan", "text", "misspelt", "everything"],
)
def test_fixed_values_that_make_no_sense(lines, parts):
    Path("model.toml").write_text(f"{UNCONSTRAINED}[fixed]\n{lines}\n")
    refused(parts=parts)


def test_a_random_effect_fixed_at_zero_is_absent(table):
    """Without any random effect it is a linear regression, whatever the method."""
    Path("model.toml").write_text(f"{UNCONSTRAINED}[fixed]\nsigma1 = 0\nsigma2 = 0.0\n")
    means = table.groupby("arm")["y"].mean()
    residual = np.sqrt(((table["y"] - table["arm"].map(means)) ** 2).mean())
    for method in METHODS:
        found = fits(method)[method].values
        np.testing.assert_allclose(found, [means["a"], means["b"] - means["a"], 0, 0, residual], rtol=1e-8)


def test_one_free_parameter_is_enough(table):
    Path("model.toml").write_text(f"{UNCONSTRAINED}[fixed]\nmu = 1.0\nsigma1 = 0\nsigma2 = 0\nsigma = 1.0\n")
    for method in METHODS:
        found = fits(method)[method].estimates
        assert found.loc["effect", "estimate"] == pytest.approx(table["y"][16:].mean() - 1, abs=1e-9)
        assert found.loc["effect", "se"] == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_identified_has_no_errors_of_any_kind(method):
    """Two rows in each cluster cannot tell correlated slopes from the residual: neither SE nor MCSE mean anything."""
    Path("model.toml").write_text(
        'mean = "y ~ arm"\ncluster = ["arm", "subject"]\n[random]\nterms = { intercept = "1", slope = "time" }\n'
    )
    fit = fits(method)[method]
    found = fit.estimates
    assert fit.status == "not_identified"
    loose = found["se"].isna()
    assert loose["sigma"] and loose["sd_slope"]
    assert method == "ml" or found.loc[loose, "mcse"].isna().all()
    assert found.loc[loose, ["lower", "upper"]].isna().all(axis=None)


def test_a_covariate_of_absurd_size(table):
    write(table.assign(dose=table["time"] * 1e300))
    Path("model.toml").write_text(MODEL.replace('mu = "1"', 'mu = "1"\nslope = "dose"'))
    refused("--method", "ml", parts=["slope"])


# Options


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_seeds_that_are_none(seed):
    result = invoke("fit", "model.toml", "data.csv", "--seed", seed, code=2)
    assert "--seed" in result.stderr and "Traceback" not in result.stderr


def test_a_column_with_one_level(table):
    write(table.assign(site="s1"))
    single = fits("ml")["ml"]
    invoke("fit", "model.toml", "data.csv", "--by", "site", "--method", "both", "--workers", "1", "--output", "by")
    by = pd.read_csv("by/estimates.csv")
    assert set(by["site"]) == {"s1"}
    ml = by[by["method"] == "ml"].set_index("parameter")["estimate"]
    np.testing.assert_allclose(ml, single.values, rtol=1e-10)


def test_an_empty_name_of_a_column_is_not_no_column():
    """As in ``--by "$COLUMN"`` with an unset variable: fitting all rows together would answer another question."""
    refused("--by", "", parts=["--by"])


def test_levels_that_all_fail_are_listed_with_their_reason(table):
    write(table.assign(site=range(32)))
    text = invoke(
        "fit", "model.toml", "data.csv", "--by", "site", "--method", "ml", "--workers", "1", "--output", "by", code=1
    ).stdout
    assert re.search(r"error\s+32", text)
    messages = pd.read_csv("by/fits.csv")["message"]
    assert messages.notna().all() and not messages.str.contains("Traceback").any()


# Repeated rows


def test_repeated_rows_are_fitted_with_a_warning_that_names_them(table):
    write(pd.concat([table, table.iloc[[3, 3, 7]]]))
    for method in METHODS:
        text = invoke("fit", "model.toml", "data.csv", "--method", method).output
        for part in ("row 33 (as row 4)", "34 (as row 4)", "35 (as row 8)"):
            assert part in text
        assert "35 rows" in text
    with pytest.warns(saem.errors.SaemWarning, match=r"row 33 \(as row 4\)"):
        saem.fit(saem.Model.from_toml("model.toml"), saem.data.read_table("data.csv"), "ml")
