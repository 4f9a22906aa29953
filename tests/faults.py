"""Faulty data sets of the study `faulty`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.harness.running import job_of
from experiments.harness.study import load_study
from experiments.harness.study.functions import functions_in
from experiments.harness.study.tasks import Task, generated


def with_faults(
    monkeypatch: pytest.MonkeyPatch, folder: Path, path: Path, tasks: Sequence[Task], kinds: Sequence[str]
) -> None:
    """Make the data sets of these tasks faulty, each in its way, for this process and those that it starts."""
    module, job = functions_in(path.with_suffix(".py")).estimate.__globals__, job_of(load_study(path), path)
    marks = [module["mark"](generated(job, task.cell, task.replicate)) for task in tasks]
    (folder / "faults.json").write_text(json.dumps(dict(zip(marks, kinds, strict=True))))
    monkeypatch.setenv(module["FAULTS"], str(folder / "faults.json"))
