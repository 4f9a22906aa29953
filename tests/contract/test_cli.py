"""The command `saem`: help, recipes, bad input, and the whole way from a recipe to a fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import CROSSES, MODEL, SETTINGS, invoke
from effort import PATIENCE

import saem

HEAVY = ("numpy", "pandas", "scipy", "numba", "sympy", "matplotlib", "pydantic", "joblib", "pyarrow", "formulae")


# The command as a whole


def test_help_imports_nothing_heavy():
    code = f"import sys, saem.cli; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_fit_imports_what_it_needs():
    """Those take a tenth to a half of a second each, and a fit of a model without formulas uses none of them."""
    unused = ("scipy.stats", "scipy.special", "scipy.optimize", "matplotlib", "formulae", "joblib")
    code = (
        "import sys, saem, pandas as pd; m = saem.Model(response='y', cluster='c', mean={'mu': '1'}, "
        "random={'sd': 's'}, residual={'sd': 'e'}); "
        "t = pd.DataFrame({'c': [1, 1, 2, 2, 3, 3], 'y': [1, 2, 4, 5, 3, 3.5]}); "
        f"saem.fit(m, t); print([name for name in {unused} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_help_imports_little():
    """340 modules when this was written, most of them Python's own and typer's; `make bench` has the time."""
    code = "import sys; from saem.cli import main\ntry: main()\nexcept SystemExit: print('modules', len(sys.modules))"
    shown = subprocess.check_output([sys.executable, "-c", code, "--help"], text=True)
    assert "Usage: " in shown and int(shown.split()[-1]) < 450


@pytest.mark.parametrize("command", [(), ("fit",), ("simulate",), ("check",), ("recipe",)])
def test_every_command_has_help(command):
    assert "Usage: " in invoke(*command, "--help").stdout


def test_exit_codes_are_told():
    assert "Exit codes: 0 done" in " ".join(invoke("--help").stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_writes_what_a_shell_runs(shell):
    script = invoke("completion", shell).stdout
    assert "_SAEM_COMPLETE" in script and "saem" in script


@pytest.mark.parametrize(
    ("typed", "found"),
    [("saem rec", "recipe"), ("saem recipe random", "random_slopes"), ("saem fit --method la", "laplace")],
)
def test_what_a_shell_asks_is_answered(typed, found):
    words = {"_SAEM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    code = "from saem.cli import main; main()"
    answer = subprocess.check_output([sys.executable, "-c", code], env=os.environ | words, text=True)
    assert answer.split() == [found]


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
        (("data.csv", "model.toml"), "the model file (TOML) comes first"),
        (("model.toml", "data.csv", "--where", "arm == a"), "write it in quotes, arm == 'a'"),
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


# The whole way, with nothing replaced


@pytest.fixture
def peptide(files):
    """The recipe of the peptide model, and simulated data of six sites."""
    invoke("recipe", "peptide")
    truth = {"mu": 10, "alpha2": -1, "b21": 0.5, "b22": 1.2, "sigma1": 0.4, "sigma2": 0.7, "sigma": 0.3}
    settings = [part for name, value in truth.items() for part in ("--set", f"{name}={value}")]
    crosses = ["site=1..6", "treatment=Ctrl,CCCP", "replicate=1..12", "modification=unmodified,modified"]
    invoke(
        "simulate", "peptide.toml", *settings, *(part for text in crosses for part in ("--cross", text)), "-o", "p.csv"
    )
    return truth


def test_the_whole_way_for_one_site(peptide):
    text = invoke("check", "peptide.toml", "p.csv", "--where", "site == 1").stdout
    assert "48 rows used" in text and "Yes, near the estimate" in text
    command = ("fit", "peptide.toml", "p.csv", "--where", "site == 1", "--method", "both", "--output", "out")
    text = invoke(*command).stdout
    difference = next(line for line in text.splitlines() if line.startswith("largest |SAEM - ML|"))
    assert float(difference.split()[4]) < 0.3
    estimates = pd.read_csv("out/estimates.csv").set_index(["method", "parameter"])["estimate"]
    saem_fit = saem.load("out/saem")
    np.testing.assert_array_equal(saem_fit.values, estimates["saem"])
    again = saem.fit(saem_fit.model, saem.data.read_table("p.csv").query("site == 1"), "saem")
    np.testing.assert_array_equal(again.values, saem_fit.values)
    assert abs(estimates["ml", "mu"] - peptide["mu"]) < 1


@pytest.mark.slow
def test_the_whole_way_for_every_site_with_one_and_two_workers(peptide):
    for workers in (1, 2):
        command = ("fit", "peptide.toml", "p.csv", "--by", "site", "--method", "both", "--workers", workers)
        text = invoke(*command, "--output", f"out{workers}").stdout
        assert "6 levels of site" in text and "largest |SAEM - ML| where both found a maximum: 0." in text
    assert (Path("out1") / "estimates.csv").read_bytes() == (Path("out2") / "estimates.csv").read_bytes()
    fits = [pd.read_parquet(f"out{workers}/fits.parquet").drop(columns="seconds") for workers in (1, 2)]
    pd.testing.assert_frame_equal(*fits)


def test_reml_of_a_model_with_constraints_on_means_is_refused(peptide):
    said = " ".join(invoke("fit", "peptide.toml", "p.csv", "--method", "reml", code=2).stderr.split())
    assert "no constraint may involve a mean" in said and "involves 'c2', 'b22', 'b21'" in said


def test_repeated_rows_are_named_once(files):
    table = pd.read_csv("data.csv")
    pd.concat([table, table.iloc[[3]]]).to_csv("data.csv", index=False)
    result = invoke("fit", "model.toml", "data.csv", "--method", "ml")
    assert result.output.count("row 17 (as row 4)") == 1


# Real processes


def command(*arguments, **options):
    code = "from saem.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, **options
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
