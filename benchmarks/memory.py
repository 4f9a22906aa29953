"""Memory at a million clusters of two rows, against the arrays of the data.

Each figure comes from a process of its own: the growth of its peak resident memory while it fits.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, run_python

REPLICATES = 500_000  # in each arm
PARTS = ("arrange", "pose", "run", "fit")


def measure() -> Iterator[Row]:
    """Peaks of the parts of a fit, and of all of it."""
    found = {part: json.loads(run_python(["-m", "benchmarks.memory", part])[1]) for part in PARTS}
    size = found["fit"]["data"]
    yield Row("y, X, Z and cluster codes", size / 1e6, "MB", None, None, "1,000,000 clusters of 2 rows")
    yield Row("the table (pandas)", found["fit"]["table"] / 1e6, "MB")
    notes = {
        "arrange": "peak while the table is read",
        "pose": "peak while the problem is posed",
        "run": "peak while SAEM runs",
        "fit": "peak of the whole saem.fit, data included",
    }
    for part in PARTS:
        growth = found[part]["peak"] / size
        yield Row(part, growth, "", 3.0 if part == "fit" else None, None, f"{notes[part]}, times y, X, Z, codes")


def status(field: str) -> int:
    """A field of the process's status in bytes (Linux only)."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if not found:
        sys.exit("this benchmark needs Linux's /proc")
    return 1024 * int(found.group(1))


def reset_peak() -> int:
    """Forget the peak of resident memory so far; return the resident memory."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def child(part: str) -> None:
    """Measure one part and print it as JSON."""
    import warnings

    import saem
    from benchmarks.problems import large_table
    from experiments.studies.peptide import peptide_model
    from saem.algorithms.saem import SAEM
    from saem.families import arrange, pose
    from saem.schedules import AveragedSchedule
    from saem.stopping import Target

    warnings.simplefilter("ignore")
    model = peptide_model()
    few = SAEM(
        schedule=AveragedSchedule(burn_in=3, iterations=6, transient=2, draws=1), target=Target(max_iterations=0)
    )
    saem.fit(model, large_table(50), method=few)  # load the code before memory is measured
    table = large_table(REPLICATES)
    if part in ("arrange", "fit"):
        before = reset_peak()
        if part == "fit":
            saem.fit(model, table, method=few)
        else:
            arrange(model, table)
        peak = status("VmHWM") - before
        data = arrange(model, table)
    else:
        data = arrange(model, table)
        problem = pose(model, data) if part == "run" else None
        before = reset_peak()
        if problem is None:
            pose(model, data)
        else:
            few.run(problem, 0)
        peak = status("VmHWM") - before
    size = data.response.nbytes + data.mean_design.nbytes + data.random_design.nbytes + data.cluster.nbytes
    print(json.dumps({"peak": peak, "data": size, "table": int(table.memory_usage(deep=True).sum())}))


if __name__ == "__main__":
    child(sys.argv[1])
