"""`saem fit`: what it prints and writes, for one fit and for many."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from commandline import invoke, replace
from stubfit import stub_fit, stub_table

import saem
from saem.cli.fit import Method
from saem.fitting.fit import METHODS
from saem.mstep.maximisers import SLSQP
from saem.system.display import method_name

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


def test_fit_uses_only_the_rows_that_are_asked_for(files, stubbed, undrawn):
    invoke("fit", "model.toml", "data.csv", "--where", "subject < 2", "--output", "out")
    assert pd.read_csv("out/fits.csv")["n_rows"].tolist() == [8]


def test_fit_shows_the_colour_of_the_status_only_on_a_terminal(files, stubbed):
    assert "\x1b" not in invoke("fit", "model.toml", "data.csv").output


def test_an_interrupted_fit_writes_nothing(files, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    replace(monkeypatch, "fitting.fit", fit=interrupted)
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
    assert reason.split()[:4] == ["2", "SAEM,", "ML", "s2:"], "two levels with one reason, though its numbers differ"
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

    replace(monkeypatch, "fitting.fit", fit=stops)
    command = ("fit", "model.toml", "sites.csv", "--by", "site", "-o", "out", "--workers", 1)
    result = invoke(*command, code=130)
    assert "2 of 5 are done and kept in out; the same command again goes on" in " ".join(result.stderr.split())
    invoke(*command)
    assert calls == ["s0", "s1", "s2", "s2", "s3", "s4"]
    assert "another run" in invoke(*command, "--seed", 1, code=2).stderr
    invoke(*command, "--seed", 1, "--restart")
    assert "run with --by" in invoke("fit", "model.toml", "data.csv", "-o", "out", code=2).stderr


def test_options_of_by_are_refused_without_it(files, stubbed):
    assert "--workers belongs to --by" in invoke("fit", "model.toml", "data.csv", "--workers", 2, code=2).stderr
    assert "--restart belongs to --by" in invoke("fit", "model.toml", "data.csv", "--restart", code=2).stderr


def test_threads_are_handed_on_to_a_single_fit(files, monkeypatch):
    seen = []

    def noting(*arguments, threads=1, **options):
        seen.append(threads)
        return stub_fit(*arguments, **options)

    replace(monkeypatch, "fitting.fit", fit=noting)
    invoke("fit", "model.toml", "data.csv", "--threads", 2)
    invoke("fit", "model.toml", "data.csv")
    assert seen == [2, 1]
    by = ("fit", "model.toml", "sites.csv", "--by", "site")
    assert "--threads belongs to a single fit" in invoke(*by, "--threads", 2, code=2).stderr
    assert "--threads" in invoke("fit", "model.toml", "data.csv", "--threads", 0, code=2).stderr


def test_targets_of_saem_are_handed_on(files, monkeypatch):
    seen = []

    def noting(model, table, method, **options):
        seen.append(method)
        return stub_fit(model, table, method_name(method), **options)

    replace(monkeypatch, "fitting.fit", fit=noting, METHODS=METHODS)
    invoke("fit", "model.toml", "data.csv", "--method", "both", "--mcse", 0.02, "--max-iterations", 5000)
    assert (seen[0].target.mcse, seen[0].target.max_iterations, seen[1]) == (0.02, 5000, "ml")
    invoke("fit", "model.toml", "data.csv", "--method", "both", "--mstep", "slsqp", "--sampler", "metropolis")
    assert seen[2].mstep == seen[3].mstep == SLSQP() and seen[2].sampler == "metropolis"
    assert "did you mean 'slsqp'" in invoke("fit", "model.toml", "data.csv", "--mstep", "slsq", code=2).stderr
    assert (
        "--mcse is for SAEM" in invoke("fit", "model.toml", "data.csv", "--method", "ml", "--mcse", 0.1, code=2).stderr
    )
    assert "must be positive" in invoke("fit", "model.toml", "data.csv", "--mcse", 0, code=2).stderr


def test_every_method_has_its_name_on_the_command_line():
    assert {method.value for method in Method} == {*METHODS, "both"}


def test_by_does_not_overwrite_a_single_fit(files, stubbed, undrawn):
    invoke("fit", "model.toml", "data.csv", "-o", "out")
    command = ("fit", "model.toml", "sites.csv", "--by", "site", "-o", "out", "--workers", 1)
    assert "holds the tables of a single fit" in invoke(*command, code=2).stderr
    invoke(*command, "--restart")


def test_rows_without_a_level_are_counted_on_stderr(files, stubbed):
    table = stub_table(3)
    table.loc[table["site"] == "s1", "site"] = None
    table.to_csv("sites.csv", index=False)
    result = invoke("fit", "model.toml", "sites.csv", "--by", "site", "--method", "ml", "--workers", 1)
    assert result.stderr.startswith("Warning: 4 rows have no value in site")
