"""Ten thousand subjects of ten rows of a nonlinear model: threads, memory, and what the E-step costs.

Times of two threads tell something on an idle machine only: the load is given beside them. Each fit has a process of
its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

import saem
from benchmarks.memory import reset_peak, status
from benchmarks.timing import Row, interleaved, ratio, run_python, timed
from saem.estep.kernel_state import NEXT
from saem.estep.samplers import drawing_of
from saem.estep.score_noise import draw_means
from saem.families import arrange, pose
from saem.system.jit import call_row_sums, entry
from saem.system.sharing import sharing

SUBJECTS, ROWS = 10_000, 10
REPEATS = 15
NAMES = ("A", "t50", "k")
DRAWS = (1, 10)  # of each cluster between two looks at the parameters
TRUTH = {"A_pop": 100.0, "t50_pop": 10.0, "k_pop": 3.0, "omega_A": 0.2, "omega_t50": 0.25, "omega_k": 0.3, "a": 2.0}
MODEL = """
family = "nonlinear"
response = "y"
cluster = "id"
columns = ["time"]
[individual]
A = "lognormal(A_pop, omega_A)"
t50 = "lognormal(t50_pop, omega_t50)"
k = "lognormal(k_pop, omega_k)"
[outcome]
distribution = "normal"
mean = "A / (1 + exp((t50 - time) / k))"
sd = "a"
[start]
A_pop = 90.0
t50_pop = 9.0
k_pop = 2.5
"""


def table(subjects: int) -> pd.DataFrame:
    """Logistic growth at the truth."""
    rng = np.random.default_rng(7)
    height, middle, width = (
        TRUTH[f"{name}_pop"] * np.exp(TRUTH[f"omega_{name}"] * rng.standard_normal((subjects, 1))) for name in NAMES
    )
    times = np.linspace(1.0, 20.0, ROWS)
    y = height / (1.0 + np.exp((middle - times) / width)) + TRUTH["a"] * rng.standard_normal((subjects, ROWS))
    return pd.DataFrame({"id": np.repeat(np.arange(subjects), ROWS), "time": np.tile(times, subjects), "y": y.ravel()})


@entry
def evaluate(
    address: int, columns: np.ndarray, first: np.ndarray, x: np.ndarray, z: np.ndarray, out: np.ndarray
) -> None:
    """A function of the model for the rows of all clusters, at coordinates (C, d)."""
    for cluster in range(z.shape[0]):
        call_row_sums(address, x, z[cluster], columns, first[cluster], first[cluster + 1] - first[cluster], out)


def measure() -> Iterator[Row]:
    """The E-step against the user's function alone, then whole fits by one thread and by two."""
    yield from sweeps()
    found = {threads: json.loads(run_python(["-m", "benchmarks.threads", str(threads)])[1]) for threads in (1, 2)}
    one, two = found[1], found[2]
    same = "the same bits" if one["bits"] == two["bits"] else "OTHER BITS"
    load = f"load {one['load']:.1f} and {two['load']:.1f} on {os.cpu_count()} cores"
    yield Row("fit by one thread", one["seconds"], "s", note=f"{one['status']}, {load}")
    yield Row("two threads against one", two["seconds"] / one["seconds"], "", 1 / 1.7, None, f"{same}, {load}")
    yield Row(
        "processor time of the busier thread of two", two["busier"] / one["busier"], "", None, None, "against one"
    )
    for threads, each in found.items():
        note = f"peak of the fit, times the table of {each['table'] / 1e6:.1f} MB"
        yield Row(
            f"memory, {threads} thread{'s' if threads > 1 else ''}", each["peak"] / each["table"], "", 4.0, None, note
        )


def sweeps() -> Iterator[Row]:
    """The draws of all clusters at given parameters, whose kernel has settled."""
    model = saem.Model.from_text(MODEL)
    problem = pose(model, arrange(model, table(SUBJECTS)))
    augmentation = problem.latent.augmentation
    assert augmentation is not None
    x = np.array([TRUTH[name] for name in problem.parameters.names])
    drawing = drawing_of(problem)._replace(arrays=augmentation.arrays(np.ones(3, dtype=bool)))
    rng, statistics = np.random.Generator(np.random.SFC64(1)), np.empty((20, problem.latent.n_statistics))
    draw_means(drawing, x, rng, 10, statistics)
    drawing.adapt(False)
    drawing.kernel.clock[NEXT] = np.iinfo(np.int64).max  # modes are where they are
    arrays, out = drawing.arrays, np.empty(1 + problem.latent.n_statistics)
    centres = np.log([TRUTH[f"{name}_pop"] for name in NAMES])
    z = np.ascontiguousarray(centres + [TRUTH[f"omega_{name}"] for name in NAMES] * drawing.latent)

    def alone(address: int) -> None:
        evaluate(address, arrays.columns, arrays.first, x, z, out)

    for m in DRAWS:
        before = drawing.acceptance[1]
        draw_means(drawing, x, rng, m, statistics[:1])
        points = 1.0 + (drawing.acceptance[1] - before) / SUBJECTS

        def sweep(threads: int, m: int = m) -> None:
            with sharing(threads):
                draw_means(drawing, x, rng, m, statistics[:1])

        functions = {
            "sweep": lambda: sweep(1),
            "density": lambda: alone(arrays.rows.value),
            "statistics": lambda: alone(arrays.rows.score),
        }
        seconds = interleaved(functions, REPEATS, clock=time.process_time)
        density = [points * value for value in seconds["density"]]
        both = [a + m * b for a, b in zip(density, seconds["statistics"], strict=True)]
        what = f"E-step, {m} draw{'s' if m > 1 else ''}"
        yield timed(what, seconds["sweep"], "ms", note="of processor time")
        yield ratio(what, seconds["sweep"], density, 2.5, f"times the density alone at its {points:.1f} points")
        yield ratio(what, seconds["sweep"], both, None, "times density and what statistics need, alone")
        walls = interleaved({"one": lambda: sweep(1), "two": lambda: sweep(2)}, REPEATS)
        yield ratio(f"{what}, two threads", walls["two"], walls["one"], None, f"load {os.getloadavg()[0]:.1f}")


def child(threads: int) -> None:
    """One fit; prints its seconds and its peak memory as JSON."""
    import warnings

    warnings.simplefilter("ignore")
    model = saem.Model.from_text(MODEL)
    saem.fit(model, table(1_500), seed=1, threads=threads)  # load the code before memory is measured
    data = table(SUBJECTS)
    before, started, busy = reset_peak(), time.perf_counter(), time.thread_time()
    fit = saem.fit(model, data, seed=1, threads=threads)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "busier": time.thread_time() - busy,
                "peak": status("VmHWM") - before,
                "table": int(data.memory_usage(deep=True).sum()),
                "bits": [value.hex() for value in [*fit.values.tolist(), fit.loglik]],
                "status": fit.status,
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    child(int(sys.argv[1]))
