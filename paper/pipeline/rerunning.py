"""The studies of the paper run anew, each into a store that goes on where it was, and the digests of what there is."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paper.digest import BORROWED, Digest, Digests
from paper.pipeline.manifest import RESULTS, read_manifest
from paper.real_data import NAME as SITES
from paper.real_data import configuration_now
from saem.errors import ModelError, StorageError, listing, nearest

if TYPE_CHECKING:
    from experiments.harness.running import Executor, Progress

ROOT = Path("results")


def folder_of(quick: bool) -> Path:
    """Where reruns are: stores by study, and `digests`."""
    return ROOT / ("paper-quick" if quick else "paper")


def chosen(names: Sequence[str] | None) -> tuple[str, ...]:
    """The studies that are meant, and the real sites; all where none are named.

    Raises
    ------
    ModelError
        When there is none of a name, the list is empty, or a study of the manifest has no file.
    """
    from experiments.harness.study import STUDIES

    known = read_manifest().sources
    if names is not None and not names:
        raise ModelError(f"a list of studies names none; there are {listing(known, 20)}, or leave it out for all")
    for name in names or ():
        if name not in known:
            raise ModelError(f"the paper has no study {name!r}{nearest(name, known)}; it has {listing(known, 20)}")
    wanted = tuple(name for name in known if not names or name in names)
    lost = [name for name in wanted if name != SITES and not (STUDIES / f"{name}.toml").is_file()]
    if lost:
        raise ModelError(
            f"paper/manifest.toml names {listing(lost, 20)}, and there is no {STUDIES / lost[0]}.toml; mend the name "
            "there, or write the study"
        )
    return wanted


def rerun(name: str, quick: bool, executor: Executor, progress: Callable[[Progress], None] | None = None) -> Progress:
    """Run what is missing of a study, in full or in its quick form, with the replicates of the manifest; digest it.

    Raises
    ------
    SaemError
        As `experiments.running.run_study`.
    """
    from experiments.harness.running import run_study
    from experiments.harness.study import STUDIES, load_study

    path, folder = STUDIES / f"{name}.toml", folder_of(quick) / name
    own = read_manifest().studies[name]
    wanted = own.quick if quick else own.replicates
    changes = {} if wanted is None else {"run": {"replicates": wanted}}
    state = run_study(load_study(path, quick, changes), path, folder, executor=executor, progress=progress)
    digest(name, quick)
    return state


def digest(name: str, quick: bool) -> Digest:
    """The digest of what a study's store holds, written beside the stores."""
    from experiments.harness.results import Results
    from experiments.harness.study import STUDIES, load_study

    path, folder = STUDIES / f"{name}.toml", folder_of(quick)
    made = Digest.of(Results.read(load_study(path, quick), path, folder / name))
    made.save(folder / "digests" / name)
    return made


def data_of(given: Path | None) -> Path | None:
    """The table of the real data, where it is there.

    Raises
    ------
    ModelError
        When a table is given that is not there.
    """
    if given is not None and not given.is_file():
        raise ModelError(f"there is no table {str(given)!r}; give the ubiquitin data as CSV, or leave --data out")
    sites = read_manifest().sites
    if sites is None:
        if given is not None:
            raise ModelError("--data is for the real sites, and paper/manifest.toml has no table [sites]")
        return None
    usual = Path(sites.data)
    return given or (usual if usual.is_file() else None)


def rerun_sites(data: Path, quick: bool, workers: int) -> None:
    """Examine the real data anew, unless that is done; then digest what was found.

    Raises
    ------
    StorageError
        When the program fails.
    """
    from experiments.programs.sites.origin import code_hash
    from paper.real_data import digest_of

    folder = folder_of(quick) / SITES
    mark = folder / "complete.txt"
    sites = read_manifest().sites
    assert sites is not None  # else they are not chosen
    draws = str(sites.draws.quick if quick else sites.draws.full)
    content = hashlib.sha256(data.read_bytes()).hexdigest()
    told = f"{content} {draws} {code_hash()}\n"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != told:
        mark.unlink(missing_ok=True)
        command = [sys.executable, "-m", "experiments.sites", str(data), "--draws", draws]
        command += ["--workers", str(max(1, workers)), "--output", str(folder)]
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
        if ended:
            raise StorageError(f"'{' '.join(command[1:])}' ended with code {ended}; what it says is above")
        mark.write_text(told, encoding="utf-8")
    digest_of(folder).save(folder_of(quick) / "digests" / SITES)


def borrow(name: str, quick: bool) -> str:
    """Take the committed digest where there is none of the rerun; what was done, and nothing where there is neither.

    It is marked as borrowed: held against what is committed it would agree with itself.
    """
    source, target = RESULTS / name, folder_of(quick) / "digests" / name
    if (target / "provenance.json").is_file() and not Digest.read(target).borrowed:
        return f"what an earlier run found of {name!r} is kept"
    if not (source / "provenance.json").is_file():
        return ""
    own = Digest.read(source)
    Digest(name, own.measures, dict(own.provenance) | {BORROWED: True}).save(target)
    return f"the committed results of {name!r} are taken"


def adopt(names: Sequence[str] | None, target: Path = RESULTS) -> list[str]:
    """Copy digests of full reruns to the committed results.

    Returns
    -------
    list of str
        The names of those that were.

    Raises
    ------
    StorageError
        When one has another number of replicates than the manifest says, or another configuration than the study has
        now; none is copied then.
    """
    from experiments.harness.provenance import configuration_hash
    from experiments.harness.study import STUDIES, load_study

    found = Digests(folder_of(quick=False) / "digests")
    wanted = [name for name in chosen(names) if names or (name in found and not found[name].borrowed)]
    if not wanted:
        raise StorageError(f"{found.folder} holds no digest; 'python -m paper run' makes them")
    for name in wanted:
        known = found[name].provenance
        if found[name].borrowed:
            raise StorageError(f"{found.folder / name} was taken from {target / name}: there is nothing to adopt")
        sites = read_manifest().sites
        if name == SITES and sites is not None:
            what, meant, has, now = "draws", sites.draws.full, known.get("draws"), configuration_now(known)
        else:
            path, what = STUDIES / f"{name}.toml", "replicates"
            meant, has = read_manifest().studies[name].replicates, known["replicates"]
            now = configuration_hash(load_study(path), path)
        if meant != has:
            raise StorageError(
                f"{found.folder / name} has {has} {what} of {meant}: run it to its end, or write {has} "
                "for it in paper/manifest.toml"
            )
        if known["configuration"] != now:
            raise StorageError(
                f"{found.folder / name} is of the configuration {known['configuration']}, and the study is {now} now: "
                "run it again"
            )
    for name in wanted:
        shutil.rmtree(target / name, ignore_errors=True)
        found[name].save(target / name)
    return wanted
