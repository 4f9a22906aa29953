"""The command `saem`: what it writes, what it prints, and what it says to bad input."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types

import numpy as np
import pandas as pd
import pytest
from stubfit import stub_fit, stub_table
from typer.testing import CliRunner

import saem
from saem.cli import app
from saem.cli.check import mean_words
from saem.cli.simulate import full_factorial, parse_cross

HEAVY = ("numpy", "pandas", "scipy", "numba", "sympy", "matplotlib", "pydantic", "joblib", "pyarrow", "formulae")

MODEL = """
response = "y"
cluster  = ["arm", "subject"]
[mean]
mu = "1"
effect = "arm == 'b'"
[random]
by = "arm"
sd = { a = "sigma1", b = "sigma2" }
[constraints]
g = "effect == sigma2**2 - sigma1**2"
"""


def invoke(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a model and a table in it, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.toml").write_text(MODEL)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"arm": np.repeat(["a", "b"], 8), "subject": np.tile(np.repeat(range(4), 2), 2)})
    table["time"] = np.tile([0, 1], 8)
    table["y"] = rng.normal(size=16).round(3)
    table.to_csv(tmp_path / "data.csv", index=False)
    stub_table(5, {2: "error", 3: "error"}).to_csv(tmp_path / "sites.csv", index=False)
    return tmp_path


@pytest.fixture
def stubbed(monkeypatch):
    """`saem.fitting.fit` takes no time."""
    replace(monkeypatch, "fitting", fit=stub_fit)


def replace(monkeypatch, name, **content):
    """Put a module with this content in place of `saem.<name>`."""
    module = types.ModuleType(f"saem.{name}")
    for key, value in content.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, f"saem.{name}", module)
    if "." not in name:
        monkeypatch.setattr(saem, name, module, raising=False)


# The command as a whole


def test_help_imports_nothing_heavy():
    code = f"import sys, saem.cli; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_help_takes_less_than_half_a_second():
    def once():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "from saem.cli import main; main()", "--help"], check=True, stdout=-3)
        return time.perf_counter() - start

    assert min(once() for _ in range(5)) < 0.5


@pytest.mark.parametrize("command", [(), ("fit",), ("simulate",), ("check",), ("recipe",)])
def test_every_command_has_help(command):
    assert "Usage: " in invoke(*command, "--help").stdout


def test_version():
    assert invoke("--version").stdout == f"saem {saem.__version__}\n"


def test_an_unknown_option_or_command_exits_with_2(files):
    invoke("fit", "model.toml", "data.csv", "--sed", "1", code=2)
    invoke("fti", code=2)
    assert "both" in invoke("fit", "model.toml", "data.csv", "--method", "mcmc", code=2).stderr


# recipe


def test_recipe_writes_a_model_file_that_can_be_read(files):
    result = invoke("recipe", "peptide")
    assert result.stdout == "peptide.toml written\n" and "saem check peptide.toml" in result.stderr
    assert saem.Model.from_toml(files / "peptide.toml").response == "log2_intensity"


def test_recipe_does_not_overwrite_unless_told_to(files):
    (files / "peptide.toml").write_text("my work")
    assert "exists already" in invoke("recipe", "peptide", code=2).stderr
    assert (files / "peptide.toml").read_text() == "my work"
    invoke("recipe", "peptide", "--force")
    invoke("recipe", "peptide", "--output", "mine.toml")
    assert (files / "mine.toml").read_text() == (files / "peptide.toml").read_text() != "my work"


def test_recipe_lists_what_there_is(files):
    lines = invoke("recipe", "--list").stdout.splitlines()
    assert {"peptide", "peptide_log2", "peptide_conservation", "peptide_unconstrained"} <= {
        line.split()[0] for line in lines
    }


def test_recipe_of_an_unknown_name(files):
    assert "did you mean 'peptide'" in invoke("recipe", "peptid", code=2).stderr
    assert "peptide_log2" in invoke("recipe", code=2).stderr
    assert "no folder" in invoke("recipe", "peptide", "-o", "nowhere/p.toml", code=2).stderr


# simulate

SETTINGS = ("--set", "mu=1", "--set", "sigma1=0.5", "--set", "sigma2 = 1", "--set", "sigma=0.2")
CROSSES = ("--cross", "arm=a,b", "--cross", "subject=1..3", "--cross", "time=0,0.5")


def test_simulate_prints_a_csv(files):
    result = invoke("simulate", "model.toml", *SETTINGS, *CROSSES)
    (files / "sim.csv").write_text(result.stdout)
    table = pd.read_csv(files / "sim.csv")
    assert list(table.columns) == ["arm", "subject", "time", "y"] and len(table) == 12
    assert result.stderr == ""
    assert invoke("simulate", "model.toml", *SETTINGS, *CROSSES).stdout == result.stdout
    assert invoke("simulate", "model.toml", *SETTINGS, *CROSSES, "--seed", 1).stdout != result.stdout


@pytest.mark.parametrize("name", ["sim.csv", "sim.parquet"])
def test_simulate_writes_a_file(files, name):
    printed = invoke("simulate", "model.toml", *SETTINGS, *CROSSES).stdout
    result = invoke("simulate", "model.toml", *SETTINGS, *CROSSES, "--output", name)
    assert result.stdout == "" and f"12 rows written to {name}" in result.stderr
    table = pd.read_csv(name) if name.endswith("csv") else pd.read_parquet(name)
    assert table.to_csv(index=False) == printed


@pytest.mark.parametrize("head", ["", "[parameters]\n"])
def test_simulate_reads_parameters_and_a_design(files, head):
    (files / "p.toml").write_text(f"{head}mu = 1\nsigma1 = 0.5\nsigma2 = 0.7\nsigma = 0.2\n")
    by_file = invoke("simulate", "model.toml", "--parameters", "p.toml", "--design", "data.csv", "--set", "sigma2=1")
    table = saem.data.read_table("data.csv")
    values = {"mu": 1, "sigma1": 0.5, "sigma2": 1.0, "sigma": 0.2}
    assert by_file.stdout == saem.simulate(saem.Model.from_toml("model.toml"), values, table).to_csv(index=False)


def test_simulate_warns_of_a_violated_constraint_and_goes_on(files):
    result = invoke("simulate", "model.toml", *SETTINGS, "--set", "effect=0", *CROSSES)
    assert len(result.stdout.splitlines()) == 13
    assert result.stderr.startswith("Warning: the values violate the constraint 'g'") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--cross arm=1..20"),
        ((*CROSSES, "--design", "data.csv"), "got both"),
        (("--design", "nowhere.csv"), "there is no data file 'nowhere.csv'"),
        ((*CROSSES, "--set", "mu"), "--set must be NAME=VALUE"),
        ((*CROSSES, "--set", "mu=high"), "--set must be NAME=VALUE"),
        ((*CROSSES, "--set", "mu=nan"), "--set must be NAME=VALUE"),
        ((*CROSSES, "--set", "mu=2"), "'mu' twice"),
        ((*CROSSES, "--set", "sgima=2"), "did you mean 'sigma'"),
        ((*CROSSES, "--parameters", "nowhere.toml"), "no file of parameters 'nowhere.toml'"),
        ((*CROSSES, "--parameters", "model.toml"), "must be a number"),
        (("--cross", "arm"), "--cross must be COLUMN=LEVELS"),
        (("--cross", "arm=a,a"), "different and not empty"),
        (("--cross", "arm=a,,b"), "different and not empty"),
        (("--cross", "subject=3..1"), "must go upwards"),
        ((*CROSSES, "--cross", "arm=c"), "'arm' twice"),
        (("--cross", "arm=1..100000", "--cross", "subject=1..100000"), "at most 50,000,000"),
        (("--cross", "arm=a,b"), "needs column"),
        ((*CROSSES, "--output", "nowhere/sim.csv"), "no folder nowhere"),
    ],
)
def test_simulate_says_what_is_wrong(files, arguments, message):
    result = invoke("simulate", "model.toml", *SETTINGS, *arguments, code=2)
    assert message in result.stderr and result.stdout == ""


def test_levels_of_a_cross():
    assert parse_cross("t=Ctrl, CCCP") == ("t", ["Ctrl", "CCCP"])
    assert parse_cross("r=-1..2") == ("r", [-1, 0, 1, 2])
    assert parse_cross("r = 1..1") == ("r", [1])
    assert parse_cross("x=0,0.5") == ("x", [0.0, 0.5])
    assert parse_cross("x=1,2") == ("x", [1, 2])
    assert parse_cross("x=1,a") == ("x", ["1", "a"])
    table = full_factorial(["a=x,y", "b=1..2"])
    assert table.to_dict("list") == {"a": ["x", "x", "y", "y"], "b": [1, 2, 1, 2]}


# fit


def test_fit_prints_the_summary(files, stubbed):
    result = invoke("fit", "model.toml", "data.csv", "--seed", 3)
    assert result.stdout.splitlines()[0] == "SAEM fit of a linear model for y"
    assert "status: converged" in result.stdout and result.stderr == ""
    assert not list(files.glob("*.parquet"))


def test_fit_prints_both_methods_side_by_side(files, stubbed):
    result = invoke("fit", "model.toml", "data.csv", "--method", "both")
    lines = result.stdout.splitlines()
    header = next(line for line in lines if line.startswith("parameter"))
    assert header.split() == ["parameter", "SAEM", "se", "mcse", "ML", "se", "(SAEM", "-", "ML)/se", "note"]
    mu = next(line for line in lines if line.startswith("mu ")).split()
    assert float(mu[6]) == pytest.approx((float(mu[1]) - float(mu[4])) / float(mu[5]), abs=0.01)
    fixed = next(line for line in lines if line.startswith("b21")).split()
    assert fixed[2:] == ["-", "-", "0.0000", "-", "-", "fixed"]
    assert any(line.startswith("largest |SAEM - ML|: 0.0") for line in lines)
    assert any(line.startswith("SAEM status: converged") for line in lines)
    assert any(line.startswith("log-likelihood") for line in lines)


def test_fit_writes_tables_the_fits_and_their_figures(files, stubbed):
    result = invoke("fit", "model.toml", "data.csv", "--method", "both", "--output", "out")
    assert "written to out" in result.stderr
    for name in ("estimates", "fits"):
        pd.testing.assert_frame_equal(
            pd.read_csv(f"out/{name}.csv", keep_default_na=False, na_values={"lower": "", "upper": ""}),
            pd.read_parquet(f"out/{name}.parquet"),
            check_dtype=False,
        )
    estimates, fits = pd.read_csv("out/estimates.csv"), pd.read_csv("out/fits.csv")
    assert list(estimates.columns) == ["method", "parameter", "estimate", "se", "mcse", "lower", "upper"]
    assert list(fits.columns) == ["method", "status", "loglik", "n_rows", "n_clusters", "seconds", "message"]
    assert list(fits["method"]) == ["saem", "ml"] and fits["n_rows"].eq(16).all()
    for method in ("saem", "ml"):
        fit = saem.load(files / "out" / method)
        np.testing.assert_array_equal(fit.values, estimates.loc[estimates["method"] == method, "estimate"])
        for figure in ("trace.png", "random_effects.png"):
            assert (files / "out" / method / figure).read_bytes().startswith(b"\x89PNG")


def test_fit_uses_only_the_rows_that_are_asked_for(files, stubbed):
    invoke("fit", "model.toml", "data.csv", "--where", "subject < 2", "--output", "out")
    assert pd.read_csv("out/fits.csv")["n_rows"].tolist() == [8]


def test_fit_shows_the_colour_of_the_status_only_on_a_terminal(files, stubbed):
    assert "\x1b" not in invoke("fit", "model.toml", "data.csv").output


def test_an_interrupted_fit_writes_nothing(files, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    replace(monkeypatch, "fitting", fit=interrupted)
    result = invoke("fit", "model.toml", "data.csv", code=130)
    assert result.stderr == "Interrupted: nothing was written.\n"


# fit --by


def test_fit_by_writes_the_tables_and_sums_up(files, stubbed):
    result = invoke("fit", "model.toml", "sites.csv", "--by", "site", "--method", "both", "-o", "out", "--workers", 1)
    fits = pd.read_csv("out/fits.csv")
    assert list(fits.columns[:3]) == ["site", "method", "status"] and len(fits) == 10
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["5", "levels", "of", "site"] in lines
    assert ["status", "SAEM", "ML"] in lines and ["converged", "3", "3"] in lines and ["error", "2", "2"] in lines
    reason = next(line for line in result.stdout.splitlines() if "the response is constant" in line)
    assert reason.split()[:2] == ["2", "s2:"], "two levels with one reason, though its numbers differ"
    assert "largest |SAEM - ML| where both found a maximum: 0." in result.stdout
    assert "estimates.csv" in result.stderr


def test_fit_by_without_a_folder_prints_the_estimates(files, stubbed):
    result = invoke("fit", "model.toml", "sites.csv", "--by", "site", "--method", "ml", "--workers", 1)
    row = next(line for line in result.stdout.splitlines() if line.startswith("s0")).split()
    assert row[:4] == ["s0", "ml", "converged", "-123.457"] and row[5] == "(0.200)"
    assert next(line for line in result.stdout.splitlines() if line.startswith("s2")).split()[:4] == [
        "s2",
        "ml",
        "error",
        "-",
    ]
    assert "--output FOLDER" in result.stderr


@pytest.mark.parametrize("by", [("--by", "site,arm"), ("--by", "site", "--by", "arm"), ("--by", " site , arm")])
def test_fit_by_several_columns(files, stubbed, by):
    invoke("fit", "model.toml", "sites.csv", *by, "--method", "ml", "-o", "out", "--workers", 1)
    assert list(pd.read_csv("out/fits.csv").columns[:2]) == ["site", "arm"]


def test_fit_by_goes_on_after_ctrl_c(files, monkeypatch):
    calls = []

    def stops(model, table, **options):
        calls.append(table["site"].iloc[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return stub_fit(model, table, **options)

    replace(monkeypatch, "fitting", fit=stops)
    command = ("fit", "model.toml", "sites.csv", "--by", "site", "-o", "out", "--workers", 1)
    result = invoke(*command, code=130)
    assert "2 of 5 levels are done and kept in out; the same command again goes on" in " ".join(result.stderr.split())
    invoke(*command)
    assert calls == ["s0", "s1", "s2", "s2", "s3", "s4"]
    assert "another run" in invoke(*command, "--seed", 1, code=2).stderr
    invoke(*command, "--seed", 1, "--restart")
    assert "run with --by" in invoke("fit", "model.toml", "data.csv", "-o", "out", code=2).stderr


def test_rows_without_a_level_are_counted_on_stderr(files, stubbed):
    table = stub_table(3)
    table.loc[table["site"] == "s1", "site"] = None
    table.to_csv("sites.csv", index=False)
    result = invoke("fit", "model.toml", "sites.csv", "--by", "site", "--method", "ml", "--workers", 1)
    assert result.stderr.startswith("Warning: 4 rows have no value in site")


# Bad input

BAD_MODELS = {
    "a misspelt key": (MODEL.replace("cluster", "clusters"), "did you mean 'cluster'"),
    "no TOML": ("response = y", "not valid TOML"),
    "an unknown parameter": (MODEL.replace("sigma2**2", "sigma3**2"), "did you mean 'sigma"),
    "a constraint that cannot be parsed": (MODEL.replace("effect ==", "effect === "), "constraint 'g'"),
    "a constraint without a parameter": (MODEL.replace("effect == sigma2**2 - sigma1**2", "1 == 2"), "no parameter"),
    "code": (MODEL.replace("arm == 'b'", "__import__('os').system('touch owned')"), "__import__"),
    "an unknown level": (MODEL.replace("arm == 'b'", "arm == 'bb'"), "'bb'"),
    "an empty level": (MODEL.replace('sigma2" }', 'sigma2", c = "sigma3" }'), "'c'"),
}


@pytest.mark.parametrize("command", ["fit", "check"])
@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_models(files, command, case):
    text, message = BAD_MODELS[case]
    (files / "model.toml").write_text(text)
    result = invoke(command, "model.toml", "data.csv", code=2)
    assert result.stderr.startswith("Error: ") and message in result.stderr and "Traceback" not in result.output
    assert not (files / "owned").exists()


def with_value(column, row, value):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


BAD_TABLES = {
    "text in the response": (with_value("y", 4, "n.d."), "data row 5"),
    "a missing response": (with_value("y", 4, np.nan), "--drop-missing"),
    "an infinite response": (with_value("y", 4, np.inf), "--drop-missing"),
    "a missing column": (lambda table: table.rename(columns={"arm": "Arm"}), "did you mean 'Arm'"),
    "a constant response": (lambda table: table.assign(y=2.5), "is constant"),
    "rows that are clusters": (lambda table: table.assign(subject=range(16)), "a cluster of its own"),
    "one cluster per group": (lambda table: table.assign(subject=0), "one cluster"),
    "no rows": (lambda table: table.head(0), "no rows"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(files, case):
    change, message = BAD_TABLES[case]
    change(pd.read_csv("data.csv")).to_csv("data.csv", index=False)
    result = invoke("check", "model.toml", "data.csv", code=2)
    assert result.stderr.startswith("Error: ") and message in result.stderr and result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.toml", "data.csv"), "there is no model file 'nowhere.toml'"),
        (("model.toml", "nowhere.csv"), "there is no data file 'nowhere.csv'"),
        (("data.csv", "data.csv"), "not valid TOML"),
        (("model.toml", "picture.csv"), "not a CSV"),
        (("model.toml", "data.csv", "--where", "arm == 'z'"), "'z'"),
        (("model.toml", "data.csv", "--where", "subject > 100"), "no row"),
        (("model.toml", "data.csv", "--where", "subject"), "must be true or false"),
        (("model.toml", "data.csv", "--where", "import os"), "import os"),
        (("model.toml", "data.csv", "--by", "site"), "--by needs column 'site'"),
        (("model.toml", "data.csv", "--output", "data.csv"), "cannot be made"),
    ],
)
def test_bad_arguments_of_fit(files, stubbed, arguments, message):
    (files / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 50)
    result = invoke("fit", *arguments, code=2)
    assert result.stderr.startswith("Error: ") and message in result.stderr and result.stdout == ""


# check


def found(locally_identified=True, null_directions=(), solutions=()):
    return lambda model, table: types.SimpleNamespace(
        locally_identified=locally_identified, null_directions=null_directions, solutions=solutions
    )


@pytest.fixture
def identified(monkeypatch):
    replace(monkeypatch, "inference.identifiability", identifiability=found())


def test_check_tells_what_is_understood(files, identified):
    text = invoke("check", "model.toml", "data.csv", "--where", "subject < 3").stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "model.toml: a linear model for y",
        "mu mean all rows",
        "effect mean arm == 'b'",
        "sigma2 random-effect SD intercept where arm is b",
        "sigma residual SD all rows",
        "g effect == sigma2**2 - sigma1**2",
        "16 rows in data.csv",
        "12 rows where subject < 3",
        "Clusters (arm × subject)",
        "a sigma1 3 6 2",
        "b sigma2 3 6 2",
        "Cells (2 different means)",
        "a 6 mu",
        "b 6 mu + effect",
        "2 mean parameters, rank of their design 2",
        "Yes, near the estimate: no direction is left free.",
    ):
        assert line in lines, line


def test_check_of_means_that_the_rows_do_not_determine(files, monkeypatch):
    text = MODEL.replace("[mean]", "[mean]\nother = \"arm == 'b'\"")
    (files / "model.toml").write_text(text.replace("[constraints]", "[fixed]\nsigma = 1\n[constraints]"))
    null = ("other up by 1, effect down by 1",)
    solutions = [np.zeros(6), np.arange(6.0)]
    replace(monkeypatch, "inference.identifiability", identifiability=found(False, null, solutions))
    text = invoke("check", "model.toml", "data.csv").stdout
    assert "3 mean parameters, rank of their design 2: the rows alone leave 1 direction of the means" in text
    assert null[0] in text and "2 solutions have the same likelihood" in text
    assert " ".join(next(line for line in text.splitlines() if line.startswith("sigma ")).split()).endswith(
        "all rows 1"
    )


def test_check_counts_what_is_left_out(files, identified):
    table = pd.read_csv("data.csv")
    table.loc[[1, 5], "y"] = [np.nan, np.inf]
    table.to_csv("data.csv", index=False)
    text = invoke("check", "model.toml", "data.csv", "--drop-missing").stdout
    assert "2 rows left out because of missing values" in text and "14 rows used" in text
    assert " ".join(next(line for line in text.splitlines() if line.startswith("a  ")).split()) == "a sigma1 4 6 1 to 2"


def test_check_warns_of_repeated_rows(files, identified):
    table = pd.read_csv("data.csv")
    pd.concat([table, table.iloc[[3]]]).to_csv("data.csv", index=False)
    assert "row 17 (as row 4)" in invoke("check", "model.toml", "data.csv").stderr


def test_check_of_a_formula_and_two_terms(files, identified):
    (files / "model.toml").write_text(
        'mean = "y ~ arm * time"\ncluster = "subject"\n[random]\nterms = { intercept = "1", time = "time" }\n'
        '[residual]\nby = "arm"\n'
    )
    lines = [" ".join(line.split()) for line in invoke("check", "model.toml", "data.csv").stdout.splitlines()]
    assert "corr_intercept_time correlation intercept and time" in lines
    assert "sigma_a residual SD rows where arm is a" in lines and "a sigma_a 8" in lines
    assert "none" in lines and "4 mean parameters, rank of their design 4" in lines


def test_a_mean_in_words():
    names = ["mu", "c2", "slope"]
    assert mean_words(np.array([1.0, 0.0, 2.5]), names) == "mu + 2.5 slope"
    assert mean_words(np.array([-1.0, 1.0, -0.5]), names) == "- mu + c2 - 0.5 slope"
    assert mean_words(np.zeros(3), names) == "0"


# Real processes


def command(*arguments, **options):
    code = "from saem.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def test_a_real_process_exits_with_2_and_one_paragraph(files):
    result = command("fit", "nowhere.toml", "data.csv")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("Error: there is no model file")


def test_a_real_process_writes_plain_csv_to_a_pipe(files):
    result = command(
        "simulate", "model.toml", *SETTINGS, *CROSSES, env=os.environ | {"SAEM_CACHE_DIR": str(files / "c")}
    )
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.splitlines()[0] == "arm,subject,time,y" and len(result.stdout.splitlines()) == 13


def test_what_is_printed_can_be_printed_in_ascii(files):
    result = command("simulate", "--help", env=os.environ | {"PYTHONIOENCODING": "ascii:replace"})
    assert result.returncode == 0
