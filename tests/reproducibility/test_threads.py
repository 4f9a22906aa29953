"""Threads that share the clusters of a large problem change no bit, and what they draw is right.

Problems are small here: blocks are made of three clusters.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Any

import nonlinear_family
import numpy as np
import pandas as pd
import pytest
from test_resume import differences

import saem
from saem.algorithms.minibatch_saem import MiniBatchSAEM
from saem.algorithms.saem import SAEM
from saem.errors import SaemError
from saem.estep import blocks
from saem.estep.integration import marginal_blocks
from saem.estep.integration.marginal_blocks import shared_objective
from saem.estep.integration.settling import objective_of
from saem.estep.samplers import drawing_of
from saem.estep.score_noise import cluster_scores, draw_means
from saem.mstep.solver import Solver
from saem.schedules import AveragedSchedule
from saem.stopping import Target
from saem.system.sharing import callable_by_address, share, share_slices, sharing

SIZE = 3  # clusters of a block
SHORT = AveragedSchedule(burn_in=30, iterations=40, transient=10, draws=2)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", SIZE)
    monkeypatch.setattr(marginal_blocks, "BLOCK", SIZE)


def fit(threads: int, method: Any = None) -> saem.Fit:
    example = nonlinear_family.counts()
    method = SAEM(schedule=SHORT, target=Target(mcse=0.05)) if method is None else method
    return saem.fit(example.model, example.table, method, seed=5, threads=threads)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    alone = fit(1)
    assert np.isfinite(alone.loglik)
    for threads in (2, 3):
        assert differences(fit(threads), alone) == []


def test_so_do_mini_batches() -> None:
    method = MiniBatchSAEM(schedule=SHORT, target=Target(max_iterations=60), share=0.6)
    assert differences(fit(2, method), fit(1, method)) == []


def test_a_saved_fit_goes_on_with_another_number_of_threads(tmp_path: Any) -> None:
    goal = Target(mcse=0.01)
    whole = fit(2, SAEM(schedule=SHORT, target=goal))
    first = fit(3)
    assert len(first.path) < len(whole.path)
    first.save(tmp_path / "fit")
    assert differences(saem.load(tmp_path / "fit").resume(goal, threads=1), whole) == []
    assert differences(first.resume(goal, threads=3), whole) == []


def test_the_likelihood_is_the_sum_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = nonlinear_family.counts().problem
    objective, x, solver = objective_of(problem), problem.starts.first, Solver(problem)
    in_blocks = solver.maximise(objective, x.copy(), solver.free, max_iterations=0)
    derivatives = [solver.constrained.gradient[0].copy(), solver.constrained.hessian[0].copy()]
    with shared_objective(objective, len(x)) as shared:
        assert isinstance(shared, marginal_blocks.SharedQuadrature), "else nothing is tested"
    monkeypatch.setattr(marginal_blocks, "BLOCK", problem.clusters.count)
    at_once = solver.maximise(objective, x.copy(), solver.free, max_iterations=0)
    assert in_blocks.value == pytest.approx(at_once.value, rel=1e-13)
    np.testing.assert_allclose(derivatives[0], solver.constrained.gradient[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(derivatives[1], solver.constrained.hessian[0], rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(marginal_blocks, "BLOCK", SIZE)
    outside = np.where(problem.parameters.domains.is_positive, -1.0, x)
    assert solver.maximise(objective, outside, solver.free, max_iterations=0).value == -np.inf


def drawn(m: int = 1) -> tuple[Any, Any, np.ndarray]:
    """An example, arrays that drew, and their statistics (s,); kernels do not adapt any more."""
    example = nonlinear_family.counts()
    drawing, rng = drawing_of(example.problem), np.random.Generator(np.random.SFC64(2))
    statistics = np.empty((1, nonlinear_family.n_statistics(example)))
    draw_means(drawing, example.x, rng, 1, statistics)
    drawing.adapt(False)
    draw_means(drawing, example.x, rng, m, statistics)
    return example, drawing, statistics[0]


def test_statistics_are_those_of_all_clusters_and_moves_are_counted() -> None:
    example, drawing, statistics = drawn()
    effects = drawing.latent[:, None].copy()
    np.testing.assert_allclose(
        statistics, nonlinear_family.statistics_of(example, drawing.arrays, example.x, effects), rtol=1e-12
    )
    drawing.adapt(True)
    drawing.adapt(False)  # counts begin at zero
    before = drawing.acceptance.copy()
    draw_means(drawing, example.x, np.random.Generator(np.random.SFC64(3)), 4, statistics[None].copy())
    counted = drawing.kernel.counts.sum(axis=(0, 1))
    assert np.array_equal(drawing.acceptance - before, counted) and counted[1] >= 4 * len(drawing.latent)


def test_single_clusters_may_be_drawn_in_any_order() -> None:
    """Every row belongs to its cluster: in another order of clusters, but the same within blocks, it is the same."""
    every = np.arange(12)
    rows, latent = [], []
    for clusters in (every, every.reshape(-1, SIZE).T.ravel()):
        example, drawing, _ = drawn()
        n, s = len(example.x), nonlinear_family.n_statistics(example)
        found, rng = np.empty((len(clusters), s)), np.random.Generator(np.random.SFC64(3))
        scores, values, hessian = np.empty((len(clusters), n)), np.empty(len(clusters)), np.empty((n, n))
        cluster_scores(drawing, example.x, rng, 1, clusters, found, scores, values, hessian)
        rows.append(found[np.argsort(clusters)])
        latent.append(drawing.latent.copy())
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(latent[0], latent[1])
    expected = nonlinear_family.statistics_of(example, drawing.arrays, example.x, latent[0][:, None])
    np.testing.assert_allclose(rows[0].sum(axis=0), expected, rtol=1e-12)


def test_clusters_that_are_not_drawn_stay() -> None:
    example, drawing, _ = drawn()
    n, s, some, before = len(example.x), nonlinear_family.n_statistics(example), np.array([1, 7]), drawing.latent.copy()
    rng = np.random.Generator(np.random.SFC64(3))
    rooms = np.empty((2, s)), np.empty((2, n)), np.empty(2), np.empty((n, n))
    cluster_scores(drawing, example.x, rng, 20, some, *rooms)
    assert np.flatnonzero((drawing.latent != before).any(axis=1)).tolist() == some.tolist()


def copies() -> nonlinear_family.Example:
    """Copies of two clusters by turns, in four blocks of three."""
    example = nonlinear_family.counts()
    pair = [example.table[example.table["id"] == i] for i in (0, 1)]
    return nonlinear_family.posed(example.model, pd.concat([pair[i % 2].assign(id=i) for i in range(4 * SIZE)]))


def distinct(example: nonlinear_family.Example) -> bool:
    """Whether copies of a cluster have random effects of their own after a draw."""
    drawing, rng = drawing_of(example.problem), np.random.Generator(np.random.SFC64(2))
    draw_means(drawing, example.x, rng, 1, np.empty((1, nonlinear_family.n_statistics(example))))
    return len(np.unique(drawing.latent[:, 0])) == len(drawing.latent)


def one_seed(self: Any, words: np.ndarray) -> None:
    """A mutant: all blocks have the same stream."""
    seed(self, np.broadcast_to(words[:1], words.shape))


seed = blocks.Drawer.seed


def test_blocks_have_streams_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    example = copies()
    assert distinct(example)
    monkeypatch.setattr(blocks.Drawer, "seed", one_seed)
    assert not distinct(example), "the mutant is to be seen"


def test_threads_work_at_the_same_time() -> None:
    """Each of two pieces waits until the other has begun."""
    both, names = threading.Barrier(2), set()

    def meet(_: int) -> None:
        both.wait(30.0)
        names.add(threading.current_thread().name)

    with sharing(2):
        share(2, meet)
    assert len(names) == 2


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_piece_is_done_once(threads: int) -> None:
    done: list[int] = []
    with sharing(threads):
        share(40, done.append)
        share_slices(600, lambda own: done.extend(range(1000 + own.start, 1000 + own.stop)))
    assert sorted(done) == [*range(40), *range(1000, 1600)]


@pytest.mark.parametrize("threads", [1, 2])
def test_what_goes_wrong_in_a_thread_is_raised(threads: int) -> None:
    with sharing(threads), pytest.raises(ZeroDivisionError):
        share(8, lambda piece: [1 // (5 - piece)] and None)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("module", ["draws", "likelihood"])
def test_ctrl_c_ends_a_fit(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, threads: int, module: str
) -> None:
    """It comes while a block is drawn or integrated, below compiled code; the next fit is what it would have been."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    where, name = (blocks, "draw_block") if module == "draws" else (marginal_blocks, "integrate_block")
    block, calls = getattr(where, name), []

    def interrupted(*arguments: Any) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        calls.append(is_main)
        if len(calls) > 20 and is_main:
            os.kill(os.getpid(), signal.SIGINT)
        block(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(threads)
    assert len(calls) < 300, "it ended soon"  # on a busy machine the other thread may have many pieces first
    assert differences(fit(threads), fit(1)) == []


def test_after_an_exception_compiled_code_calls_no_more() -> None:
    calls: list[int] = []

    def fail(*_: int) -> None:
        calls.append(1)
        raise RuntimeError("of the user")

    with pytest.raises(RuntimeError, match="of the user"), callable_by_address(fail) as address:
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(address)
        function(None, None, None, None)
        function(None, None, None, None)
    assert calls == [1]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, None])
def test_what_is_no_number_of_threads(threads: Any) -> None:
    with pytest.raises(SaemError, match="threads must be a whole number, 1 or larger; got"):
        fit(threads)
