"""A fit that goes on is bit for bit the fit that was never interrupted: in this process, or saved and loaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from linear_family import PEPTIDE, examples, peptide_design
from selecting import few
from tampering import tamper

import saem
from saem import recipes
from saem.algorithms.annealed_saem import AnnealedSAEM
from saem.algorithms.booth_hobert import BoothHobert
from saem.algorithms.course.outcome import Outcome
from saem.algorithms.engine import checkpoint
from saem.algorithms.engine.truncation import Truncation
from saem.algorithms.independent_chains import IndependentChains
from saem.algorithms.minibatch_saem import MiniBatchSAEM
from saem.algorithms.monte_carlo_em import MonteCarloEM
from saem.algorithms.px_saem import PXSAEM
from saem.algorithms.saem import SAEM
from saem.algorithms.stochastic_newton import StochasticNewton
from saem.errors import ModelError, SaemError, StorageError
from saem.families import Model
from saem.schedules import AveragedSchedule
from saem.stopping import Status, Target

MODEL = Model.from_text(recipes.text("peptide"))
GOAL = Target(mcse=0.02)
METHODS: dict[str, Any] = {
    "saem": SAEM(target=GOAL),
    "mcem": MonteCarloEM(target=GOAL),
    "stochastic_newton": StochasticNewton(target=GOAL),
    "minibatch_saem": MiniBatchSAEM(target=replace(GOAL, max_iterations=4000)),
    "booth_hobert": BoothHobert(target=GOAL),
    "annealed_saem": AnnealedSAEM(target=GOAL, truncation=Truncation(radius=0.5, ratio=2.0)),
    "chains": IndependentChains(SAEM(target=GOAL), 3),
}
EXACTLY = ("values", "path", "mcse", "covariance", "solutions", "random_effects", "chains")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return saem.simulate(MODEL, PEPTIDE, peptide_design(60), 4)


def with_target(method: Any, **target: Any) -> Any:
    if isinstance(method, IndependentChains):
        return replace(method, method=with_target(method.method, **target))
    return replace(method, target=replace(method.target, **target))


def differences(first: saem.Fit, second: saem.Fit) -> list[str]:
    """What is not the same to the last bit, the seconds aside."""
    arrays = [(name, getattr(first, name), getattr(second, name)) for name in EXACTLY]
    timeless = (first.history.drop(columns="seconds"), second.history.drop(columns="seconds"))
    arrays += [("history", *(part.to_numpy() for part in timeless))]
    found = [name for name, a, b in arrays if a.shape != b.shape or a.tobytes() != b.tobytes()]
    plain = ("loglik", "status", "message", "drawn", "burn_in", "averaging_from", "at_boundary", "warnings", "seed")
    return found + [name for name in plain if getattr(first, name) != getattr(second, name)]


def test_a_nonlinear_fit_goes_on_with_its_kernel_and_what_its_chain_remembers(tmp_path):
    """Ended after its schedule, and after some looks: its memory has the noise of its score and the maximum beside."""
    model, table = nonlinear_family.counts().model, nonlinear_family.counts().table
    goal = Target(mcse=0.005)
    whole = saem.fit(model, table, SAEM(target=goal), seed=3)
    lengths = set()
    for i, mcse in enumerate((0.1, 0.012)):
        first = saem.fit(model, table, SAEM(target=Target(mcse=mcse)), seed=3)
        lengths.add(len(first.path))
        assert differences(first.resume(goal), whole) == []
        first.save(tmp_path / str(i))
        assert differences(saem.load(tmp_path / str(i)).resume(goal), whole) == []
    assert len(lengths | {len(whole.path)}) == 3, "they ended in different places"


@pytest.mark.parametrize("every_end", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", few(METHODS, ["saem", "chains"]))
def test_a_fit_that_goes_on_is_the_one_that_was_never_interrupted(table, tmp_path, name, every_end):
    """Ended by a larger target, by a budget of draws in the schedule and after it, and by one of iterations.

    The fast test has the ends that differ most, and goes on from the saved fit alone.
    """
    method = METHODS[name]
    goal = method.target
    whole = saem.fit(MODEL, table, method, seed=3)
    per_chain = whole.drawn // getattr(method, "chains", 1)
    ends: list[dict[str, Any]] = [{"mcse": 0.05}, {"max_iterations": 1400}]
    early = 0.3 if name == "annealed_saem" else 0.03  # its first block is undone: less would leave nothing
    ends += [{"max_draws": int(part * per_chain)} for part in (early, 0.35, 0.85)]
    if not every_end:
        ends = [ends[0], *ends[2::2]]
    lengths = set()
    for i, end in enumerate(ends):
        first = saem.fit(MODEL, table, with_target(method, **end), seed=3)
        lengths.add(len(first.path))
        if every_end or name == "saem":
            assert differences(first.resume(goal), whole) == [], end
        first.save(tmp_path / str(i))
        assert differences(saem.load(tmp_path / str(i)).resume(goal), whole) == [], end
    assert len(lengths) >= (3 if every_end else 2), "they ended in different places"


def test_twice_is_as_good_as_once(table):
    for method in (METHODS["saem"], METHODS["chains"]):
        whole = saem.fit(MODEL, table, method, seed=5)
        fit = saem.fit(MODEL, table, with_target(method, mcse=0.05), seed=5)
        assert differences(fit.resume(replace(GOAL, mcse=0.035)).resume(GOAL), whole) == []
        assert differences(whole.resume(GOAL), whole) == [], "a target that was reached changes nothing"
        assert differences(whole.resume(), whole) == []


def test_a_zero_variance_is_found_all_the_same(table):
    """The passes that settle it are made again where a budget ended one of them."""
    flat = table.assign(
        log2_intensity=table["log2_intensity"]
        - table.groupby(["treatment", "replicate"])["log2_intensity"].transform("mean")
    )
    model = Model.from_text(recipes.text("peptide_unconstrained"))
    whole = saem.fit(model, flat, SAEM(target=GOAL), seed=1)
    assert whole.status == "boundary"
    for part in (0.1, 0.4, 0.6, 0.9):
        first = saem.fit(model, flat, SAEM(target=Target(max_draws=int(part * whole.drawn))), seed=1)
        assert differences(first.resume(GOAL), whole) == []


def test_a_fit_that_was_handed_over_goes_on_as_such(tmp_path):
    """Ended before parameter expansion took over, in its pass, and after it."""
    slow = saem.simulate(MODEL, PEPTIDE | {"sigma1": 0.3}, peptide_design(6), 14)
    whole = saem.fit(MODEL, slow, SAEM(target=GOAL), seed=1)
    assert "parameter expansion" in whole.augmentation
    ends: list[dict[str, Any]] = [{"max_draws": int(part * whole.drawn)} for part in (0.2, 0.6, 0.9)]
    for i, end in enumerate([*ends, {"mcse": 0.05}]):
        first = saem.fit(MODEL, slow, with_target(SAEM(target=GOAL), **end), seed=1)
        first.save(tmp_path / str(i))
        assert differences(saem.load(tmp_path / str(i)).resume(GOAL), whole) == [], end


def test_parameter_expansion_and_dropped_rows():
    example = examples()["unbalanced"]
    gaps = example.table.assign(note="not read")
    gaps.loc[gaps.index[3], example.model.response] = np.nan
    whole = saem.fit(example.model, gaps, PXSAEM(target=GOAL), drop_missing=True)
    first = saem.fit(example.model, gaps, PXSAEM(), drop_missing=True)
    assert first.continuation is not None and first.table is not None
    assert "note" not in first.table.columns and len(first.table) == len(gaps) - 1
    assert differences(first.resume(GOAL), whole) == []
    assert any("1 row left out" in text for text in first.resume(GOAL).warnings)


def test_the_table_is_not_copied_and_not_changed_by_others(table):
    own = table.copy()
    fit = saem.fit(MODEL, own, "saem", seed=1)
    assert fit.table is not None
    kept = fit.table["log2_intensity"]
    assert np.shares_memory(kept.to_numpy(), own["log2_intensity"].to_numpy())
    expected = fit.resume(GOAL)
    own["log2_intensity"] = 0.0
    own.loc[0, "treatment"] = "other"
    assert differences(fit.resume(GOAL), expected) == []


CODE = """
import sys
import saem
fit = saem.load(sys.argv[1]).resume(saem.Target(mcse=0.02))
fit.save(sys.argv[2])
"""


@pytest.mark.parametrize("name", ["saem", pytest.param("chains", marks=pytest.mark.slow)])
def test_another_process_goes_on(table, tmp_path, name):
    method = METHODS[name]
    whole = saem.fit(MODEL, table, method, seed=8)
    saem.fit(MODEL, table, with_target(method, max_draws=700_000), seed=8).save(tmp_path / "first")
    other = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE, str(tmp_path / "first"), str(tmp_path / "second")]
    result = subprocess.run(command, env=os.environ | other, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-800:]
    second = saem.load(tmp_path / "second")
    for key in ("values", "path", "mcse"):
        assert np.array_equal(getattr(second, key), getattr(whole, key))
    assert second.drawn == whole.drawn


# Mutants: each forgets something


@pytest.mark.parametrize("forgotten", ["stream", "average", "statistics", "looks"])
def test_who_forgets_something_is_noticed(table, monkeypatch, forgotten):
    whole = saem.fit(MODEL, table, SAEM(target=GOAL), seed=3)
    first = saem.fit(MODEL, table, SAEM(), seed=3)
    true = checkpoint.restore

    def forgetful(engine, kept):
        fresh = engine.iteration.rng.bit_generator.state["state"]["state"]
        other = fresh if forgotten == "stream" else 1.001 * kept.arrays[forgotten]
        return true(engine, replace(kept, arrays=kept.arrays | {forgotten: np.array(other)}))

    monkeypatch.setattr(checkpoint, "restore", forgetful)
    assert differences(first.resume(GOAL), whole) != []


def test_a_block_that_a_budget_cut_is_gone_through_again(table):
    method = METHODS["stochastic_newton"]
    whole = saem.fit(MODEL, table, method, seed=3)
    end = with_target(method, max_draws=int(0.1 * whole.drawn))
    assert differences(saem.fit(MODEL, table, end, seed=3).resume(GOAL), whole) == []


# What cannot go on


@dataclass(frozen=True)
class Mine(SAEM):
    """A method from outside of the package."""

    name: ClassVar[str] = "mine"


@dataclass(frozen=True)
class Plain:
    """One that gives no checkpoint."""

    name: ClassVar[str] = "plain"

    def run(self, problem, seed=0):
        x = problem.starts.first
        return Outcome(x, np.zeros(len(x), dtype=bool), Status.NOT_CONVERGED, "", x[None])


def test_methods_from_outside(table, tmp_path):
    whole = saem.fit(MODEL, table, Mine(target=GOAL), seed=2)
    fit = saem.fit(MODEL, table, Mine(), seed=2)
    assert differences(fit.resume(GOAL), whole) == []
    fit.save(tmp_path)
    loaded = saem.load(tmp_path)
    with pytest.raises(ModelError, match="'mine' is not one of this package"):
        loaded.resume(GOAL)
    assert differences(loaded.resume(GOAL, method=Mine()), whole) == []
    for other in (SAEM(), Plain()):
        with pytest.raises(ModelError, match=f"a fit by 'mine' cannot go on by '{other.name}'"):
            loaded.resume(GOAL, method=other)
    with pytest.raises(ModelError, match="takes no 'resume'"):
        replace(loaded, method="plain").resume(GOAL, method=Plain())
    with pytest.raises(ModelError, match="does not know where it stopped"):
        saem.fit(MODEL, table, Plain()).resume(GOAL)


@pytest.mark.parametrize("method", ["ml", "em"])
def test_exact_methods_have_nothing_to_go_on_with(table, method):
    with pytest.raises(ModelError, match="is exact"):
        saem.fit(MODEL, table, method).resume(GOAL)


def test_what_is_no_target(table):
    fit = saem.fit(MODEL, table)
    with pytest.raises(ModelError, match=r"must be a saem.Target.*got 0.01"):
        fit.resume(0.01)


# Saved fits


def test_a_fit_of_an_earlier_saem_is_read_and_cannot_go_on(table, tmp_path):
    saem.fit(MODEL, table).save(tmp_path)

    def without(content):
        for name in ("continuation", "table_sha256", "drawn", "augmentation", "unclear"):
            del content[name]

    def fewer(arrays):
        for name in [*(name for name in arrays if name.startswith("checkpoint/")), "looks", "chains", "inner"]:
            del arrays[name]

    tamper(tmp_path, without, fewer)
    (tmp_path / "table.parquet").unlink()
    with pytest.raises(ModelError, match="does not know where it stopped"):
        saem.load(tmp_path).resume(GOAL)


def test_settings_survive(table, tmp_path):
    schedule = AveragedSchedule(burn_in=100, iterations=400, transient=60)
    target = Target(mcse=float("inf"), max_draws=300_000)
    method = SAEM(schedule=schedule, target=target, truncation=Truncation(), tolerance=1e-7)
    saem.fit(MODEL, table, method).save(tmp_path)
    from saem.fitting.resuming import method_of

    assert method_of(saem.load(tmp_path)) == method


def spoil(folder: Path, **changes: Any) -> None:
    tamper(folder, lambda content: content["continuation"]["method"].update(changes))


def test_a_file_names_no_code(table, tmp_path):
    saem.fit(MODEL, table).save(tmp_path)
    spoil(tmp_path, schedule={"class": "Popen", "args": ["true"]})
    with pytest.raises(ModelError, match="part 'Popen' that this saem does not know"):
        saem.load(tmp_path).resume(GOAL)
    spoil(tmp_path, schedule={"class": "AveragedSchedule", "speed": 3})
    with pytest.raises(ModelError, match="settings of AveragedSchedule do not fit"):
        saem.load(tmp_path).resume(GOAL)


@pytest.fixture(scope="module")
def stopped(table, tmp_path_factory):
    """A saved fit by SAEM that can go on."""
    folder = tmp_path_factory.mktemp("stopped") / "fit"
    saem.fit(MODEL, table, seed=1).save(folder)
    return folder


def in_schedule(**changes: Any) -> Any:
    return lambda content: content["continuation"]["method"]["schedule"].update(changes)


def in_numbers(**changes: Any) -> Any:
    return lambda content: content["continuation"]["numbers"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_schedule(iterations=10**12), "iterations = 1000000000000, and the largest is 10,000,000"),
        (in_schedule(iterations=1e3), "iterations must be int; got 1000.0"),
        (in_schedule(iterations="many"), "iterations must be int; got 'many'"),
        (in_schedule(iterations=-5), "cannot go on|iterations"),
        (lambda content: content["continuation"]["method"].update(tolerance="small"), "tolerance must be float"),
        (lambda content: content["continuation"]["method"].update(target=3), "target must be Target; got 3"),
        (
            lambda content: content["continuation"]["method"].update(schedule=[1]),
            r"schedule must be Schedule; got \[1\]",
        ),
        (
            lambda content: content["continuation"]["method"].update(schedule={"class": "Target"}),
            "its method or its state was changed",
        ),
        (lambda content: content["continuation"].update(method=[1]), r"has the settings of \[1\]"),
        (lambda content: content["continuation"]["texts"].update(stage="x"), "at which stage it stopped"),
        (in_numbers(slowed=1e9), "'slowed' is 1e.09"),
        (in_numbers(until=1e12), "'until' is 1e.12"),
        (in_numbers(done=5e4), "50000 iterations are not those of its path"),
        (in_numbers(done="nan"), "'done' must be a count; got nan"),
        (in_numbers(half=1e15), "its random stream has no such state"),
        (lambda content: content["continuation"]["numbers"].pop("drawn"), "'drawn' must be a count; got None"),
    ],
)
def test_a_method_or_a_state_that_no_fit_has(stopped, tmp_path, change, message):
    shutil.copytree(stopped, tmp_path / "fit")
    tamper(tmp_path / "fit", change)
    with pytest.raises(SaemError, match=message):
        saem.load(tmp_path / "fit").resume(GOAL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update({"checkpoint/x": a["checkpoint/x"][:-1]}), "'x' has the type float64 and the shape"),
        (lambda a: a.update({"checkpoint/statistics": np.zeros(10**6)}), "'statistics' has the type"),
        (
            lambda a: a.update({"checkpoint/pinned": a["checkpoint/pinned"].astype(float)}),
            "'pinned' has the type float64",
        ),
        (lambda a: a.update({"checkpoint/memory_placement": np.zeros(99, bool)}), "'memory_placement' has the type"),
        (lambda a: a.update({"checkpoint/draws": a["checkpoint/draws"] * np.inf}), "'draws' are not finite"),
        (lambda a: a.update({"checkpoint/path_rows": np.array(10**9)}), "path_rows is not a number of rows"),
        (lambda a: a.update({"checkpoint/path_rows": np.array([3])}), "path_rows is not a number of rows"),
        (lambda a: a.update({"checkpoint/more": np.zeros(3)}), "'more' is unknown"),
        (lambda a: a.pop("checkpoint/stream"), "'stream' is missing"),
    ],
)
def test_arrays_of_a_state_that_no_fit_has(stopped, tmp_path, change, message):
    """They would be read by compiled code, which does not look at lengths."""
    shutil.copytree(stopped, tmp_path / "fit")
    tamper(tmp_path / "fit", arrays=change)
    with pytest.raises(StorageError, match=message):
        saem.load(tmp_path / "fit").resume(GOAL)


def test_a_table_of_another_model_is_noticed(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "fit")
    rows = pd.read_parquet(tmp_path / "fit" / "table.parquet")
    rows.assign(treatment="Ctrl").to_parquet(tmp_path / "fit" / "table.parquet")
    digest = hashlib.sha256((tmp_path / "fit" / "table.parquet").read_bytes()).hexdigest()
    tamper(tmp_path / "fit", lambda content: content.update(table_sha256=digest))
    with pytest.raises(StorageError, match="the table does not fit the model"):
        saem.load(tmp_path / "fit")


def test_a_table_that_was_changed_is_noticed(table, tmp_path):
    saem.fit(MODEL, table).save(tmp_path)
    table.iloc[:-1].to_parquet(tmp_path / "table.parquet")
    with pytest.raises(StorageError, match=r"table.parquet was changed"):
        saem.load(tmp_path)


def test_a_table_that_parquet_cannot_hold_is_left_out(table, tmp_path):
    mixed = table.assign(replicate=[i if i % 2 else str(i) for i in table["replicate"]])
    mixed["replicate"] = mixed["replicate"].astype(object)
    fit = saem.fit(MODEL, mixed)
    fit.save(tmp_path)
    with pytest.raises(ModelError, match="could not be saved"):
        saem.load(tmp_path).resume(GOAL)
    assert fit.resume(GOAL).converged
