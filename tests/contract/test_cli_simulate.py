"""`saem simulate`: designs, parameters and files."""

from __future__ import annotations

import pandas as pd
import pytest
from commandline import CROSSES, SETTINGS, invoke

import saem
from saem.cli.simulate import full_factorial, parse_cross

# simulate


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
        (("--cross", "subject=1..1e9"), "whole numbers written in digits"),
        (("--cross", "subject=1..inf"), "whole numbers written in digits"),
        (("--cross", "subject=0.5..3"), "whole numbers written in digits"),
        (("--cross", "subject=1..ten"), "whole numbers written in digits"),
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
