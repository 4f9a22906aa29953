"""Fixtures of the contract tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from commandline import MODEL, replace
from stubfit import stub_fit, stub_table


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
    """`saem.fitting.fit.fit` takes no time."""
    replace(monkeypatch, "fitting.fit", fit=stub_fit)
    replace(monkeypatch, "fitting.warmup", ensure=lambda methods, family: None)


@pytest.fixture
def no_pictures(monkeypatch):
    """Reports of studies without their figures, which take longer than all the rest of them."""
    monkeypatch.setattr("experiments.harness.report.page.draw", lambda results, replay: ([], {}))


@pytest.fixture
def undrawn():
    """Figures of fits that are written take longer than the fits, and are not what a test looks at."""
    with pytest.MonkeyPatch.context() as patch:
        replace(patch, "cli.write", _figures=lambda fit: {})
        yield
