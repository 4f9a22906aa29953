"""What studies and the demonstration compile beforehand is asked for as `saem.fitting.warmup` has it."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

from experiments.harness.commands import options
from experiments.harness.study import Study
from saem.fitting import warmup

ROOT = Path(__file__).parents[2]


def test_a_study_of_fits_asks_for_the_kernels_of_its_methods(monkeypatch) -> None:
    ensure = create_autospec(warmup.ensure)  # with its signature
    monkeypatch.setattr(warmup, "ensure", ensure)
    monkeypatch.setattr("experiments.harness.running.identity_of", lambda job: {"the code of saem": "as it is"})
    monkeypatch.setattr("experiments.harness.running.job_of", lambda *_: None)
    options.warm_up(create_autospec(Study), ROOT)
    ensure.assert_called_once_with(["saem", "ml"], "linear")
