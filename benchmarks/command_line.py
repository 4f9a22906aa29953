"""The command line from a standing start: with an empty cache of compiled code, and warm."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, run_python, timed
from experiments.studies.peptide import peptide_table
from saem import recipes

SAEM = ("-c", "from saem.cli import main; main()")
COLD, WARM = 2, 5


def cpu_seconds_of_children() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure() -> Iterator[Row]:
    """Seconds of whole commands."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "peptide.toml").write_text(recipes.text("peptide"))
        peptide_table(60, seed=1).to_csv(here / "data.csv", index=False)
        fit = (*SAEM, "fit", "peptide.toml", "data.csv")
        for method in ("saem", "ml"):
            what = f"saem fit --method {method}, empty cache"
            before = cpu_seconds_of_children()
            cold = [run_python((*fit, "--method", method), here / f"{method}-{k}", here)[0] for k in range(COLD)]
            processor = (cpu_seconds_of_children() - before) / COLD
            yield timed(what, cold, "s", 20.0, f"{COLD} repeats, {processor:.1f} s of processor time each")
        warm = here / "saem-0"
        run_python((*fit, "--method", "both"), warm, here)
        for what, arguments, target in (
            ("saem fit, warm", fit, 2.0),
            ("saem fit --method ml, warm", (*fit, "--method", "ml"), 2.0),
            ("saem fit --method both, warm", (*fit, "--method", "both"), 2.0),
            ("saem check, warm", (*SAEM, "check", "peptide.toml", "data.csv"), None),
            ("saem --help", (*SAEM, "--help"), 0.5),
            ("python -c pass", ("-c", "pass"), None),
        ):
            run_python(arguments, warm, here)
            yield timed(what, [run_python(arguments, warm, here)[0] for _ in range(WARM)], "s", target)
