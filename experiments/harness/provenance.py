"""Where results come from: code, versions, machine, settings."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..names import COMMAND
from .study.functions import ARGUMENTS
from .study.identity import reach_of
from .study.sources import packages_of

if TYPE_CHECKING:
    from .study import Study

PACKAGES = ("saem", "numpy", "scipy", "numba", "pandas", "joblib", "distributed")
NO_VERSIONS = {  # what is known of a run beside versions
    *("began", "ended", "end", "study", "configuration", "settings", "seed", "executor", "workers", "shard"),
    *("commit", "dirty", "study_commit", "study_dirty", "system", "processor", "cores", "threads", "command"),
    *("replicates", "replicates_before", "seconds", "accepted changes"),
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def provenance(study: Study, path: Path, engine: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader needs to run a study again, as far as it is known before it runs.

    Parameters
    ----------
    study : Study
    path : Path
        Of its TOML file.
    engine : mapping
        Which engine, how many workers, which shard.
    """
    return {
        "began": now(),
        "study": path.stem,
        "configuration": configuration_hash(study, path),
        "settings": settings_hash(study),
        "seed": study.run.seed,
        **engine,
        **code_of(path),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := version_of(name))},
        **versions_of(name for name in packages_of(path.with_suffix(".py")) if name not in PACKAGES),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "threads": {name: os.environ.get(name, "") for name in THREADS if name in os.environ},
        "command": " ".join([COMMAND, *sys.argv[1:]]),
    }


def now() -> str:
    """The time, in seconds, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def configuration_hash(study: Study, path: Path) -> str:
    """16 hexadecimal digits of all that a study is, settings and functions, but for how much of it is run."""
    functions = path.with_suffix(".py").resolve()
    reached = (reach_of(functions, name).digest for name in ARGUMENTS)
    return hashlib.sha256("".join([settings_of(study), *reached]).encode()).hexdigest()[:16]


def settings_of(study: Study) -> str:
    """The settings of a study as text, but for how much of it is run."""
    return study.model_dump_json(exclude={"run": {"replicates", "timeout", "minimum", "budget", "memory", "patience"}})


def settings_hash(study: Study) -> str:
    """16 hexadecimal digits of these."""
    return hashlib.sha256(settings_of(study).encode()).hexdigest()[:16]


def code_of(path: Path) -> dict[str, Any]:
    """The commit of the project, and that of the study where it is in another repository."""
    ours, theirs = git(Path(__file__).parent), git(path.resolve().parent)
    apart = theirs.get("commit") not in (None, ours.get("commit"))
    return ours | ({f"study_{key}": value for key, value in theirs.items()} if apart else {})


def git(folder: Path) -> dict[str, Any]:
    """The commit, and whether files differ from it; nothing outside of a repository."""

    def asked(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        return {"commit": asked("rev-parse", "HEAD"), "dirty": bool(asked("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def version_of(package: str) -> str:
    """Of an installed package; empty if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """The versions of what modules belong to, by distribution; a module that belongs to none has no version."""
    modules, found = list(modules), {}
    owners = packages_distributions() if modules else {}
    for name in modules:
        for owner in owners.get(name, [name]):
            found[owner] = version_of(owner) or "not known"
    return found


def processor() -> str:
    """The model of the CPU, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
