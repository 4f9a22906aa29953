"""A fit in a folder: `arrays.npz` (no pickle) and `fit.json` (readable, with a checksum of the arrays).

A fit that can go on has its table beside them, in `table.parquet`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import SaemError, StorageError
from saem.parameters import Parameters
from saem.stopping import Status

if TYPE_CHECKING:
    import pandas as pd

    from saem.continuation import Continuation
    from saem.posterior import Posterior
    from saem.result import Fit

FORMAT = "saem-fit"
VERSION = 1
ARRAYS_FILE = "arrays.npz"
TABLE_FILE = "table.parquet"
FIT_FILE = "fit.json"

_ARRAYS = (
    "values covariance mcse constraint_residuals multipliers path solutions solution_logliks "
    "random_effects random_effect_sds cluster_group"
).split()
_NUMBERS = ("loglik", "seconds", "gradient_norm")
_COUNTS = ("n_rows", "n_clusters", "n_free", "burn_in", "averaging_from", "seed")
_LATER = ("looks", "chains", "inner")  # an earlier saem did not save them
_CHECKPOINT = "checkpoint/"  # before the names of its arrays
_DRAWS, _STATS = "posterior/", "sampler/"  # likewise
_OF_DRAWS = ("draws", "rhat", "ess_bulk", "ess_tail")
_NAMES = ("at_boundary", "constraint_names", "term_names", "warnings", "group_levels")


def save(fit: Fit, folder: str | Path) -> None:
    """Write a fit to a folder, which is made if need be; other files in it are left alone.

    Each file is replaced in one step, the checksum last, so that an interrupted `save` is noticed by `load`.
    """
    folder = Path(folder)
    arrays: dict[str, Any] = {name: getattr(fit, name) for name in _ARRAYS}
    arrays |= {"fixed": fit.parameters.fixed, "fixed_values": fit.parameters.fixed_values}
    arrays |= {name: getattr(fit, name) for name in _LATER} | {f"chain_{i}": p for i, p in enumerate(fit.chain_paths)}
    arrays |= {f"label_{i}": _plain(fit.cluster_labels[name]) for i, name in enumerate(fit.cluster_labels.columns)}
    continuation, table = fit.continuation, _table_bytes(fit.table)
    if continuation is not None:
        kept = dict(continuation.checkpoint.arrays)
        if "path" in kept and np.array_equal(kept["path"], fit.path[: len(kept["path"])], equal_nan=True):
            kept["path_rows"] = np.array(len(kept.pop("path")))  # the largest of them, and not written twice
        arrays |= {_CHECKPOINT + name: value for name, value in kept.items()}
    if fit.posterior is not None:
        arrays |= {_DRAWS + name: getattr(fit.posterior, name) for name in _OF_DRAWS}
        arrays |= {_STATS + name: values for name, values in fit.posterior.stats.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "method": fit.method,
        "status": str(fit.status),
        "message": fit.message,
        "estimates": {
            name: _number(value) for name, value in zip(fit.parameters.names, fit.values.tolist(), strict=True)
        },
        "parameter_kinds": list(fit.parameters.kinds),
        **{name: _number(getattr(fit, name)) for name in _NUMBERS},
        **{name: int(getattr(fit, name)) for name in _COUNTS},
        **{name: list(getattr(fit, name)) for name in _NAMES},
        "cluster_columns": [str(name) for name in fit.cluster_labels.columns],
        "drawn": int(fit.drawn),
        "augmentation": fit.augmentation,
        "provenance": dict(fit.provenance),
        "model": fit.model.to_toml(),
        "formula_state": dict(fit.formula_state),
        "unclear": dict(fit.unclear),
        "table_sha256": None if table is None else hashlib.sha256(table).hexdigest(),
        "arrays_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    if continuation is not None:
        content["continuation"] = {
            "method": continuation.settings,
            "numbers": {name: _number(value) for name, value in continuation.checkpoint.numbers.items()},
            "texts": continuation.checkpoint.texts,
        }
    if fit.posterior is not None:
        content["posterior"] = {
            "priors": dict(fit.posterior.priors),
            "determined": dict(fit.posterior.determined),
            "tune": fit.posterior.tune,
            "target_accept": fit.posterior.target_accept,
            "implied": {name: list(ends) for name, ends in fit.posterior.implied.items()},
        }
    make_folder(folder)
    if table is not None:
        with replacing(folder / TABLE_FILE) as path:
            path.write_bytes(table)
    with replacing(folder / ARRAYS_FILE) as path:
        path.write_bytes(buffer.getvalue())
    with replacing(folder / FIT_FILE) as path:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load(folder: str | Path) -> Fit:
    """Read a fit that `Fit.save` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder that was given to `save`.

    Returns
    -------
    Fit

    Raises
    ------
    StorageError
        If the folder holds no fit, a fit that is not whole, or one of a newer format.
    """
    folder = Path(folder)
    content = _read_json(folder)
    arrays = _read_arrays(folder, content.get("arrays_sha256"))
    try:
        return _build(content, arrays, folder)
    except SaemError as error:
        raise StorageError(f"the fit in {folder} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"the fit in {folder} cannot be read: {FIT_FILE} was changed by hand, or is not a saved fit "
            f"({type(error).__name__}: {error})"
        ) from error


def _build(content: dict[str, Any], arrays: dict[str, np.ndarray], folder: Path) -> Fit:
    import pandas as pd

    from saem.result import Fit
    from saem.specification import Model

    continuation = content.get("continuation") or {}  # where an earlier saem has the table's checksum
    parameters = Parameters(
        names=tuple(content["estimates"]),
        kinds=tuple(content["parameter_kinds"]),
        fixed=arrays["fixed"],
        fixed_values=arrays["fixed_values"],
    )
    labels = {name: arrays[f"label_{i}"] for i, name in enumerate(content["cluster_columns"])}
    rest: dict[str, Any] = {
        **{name: arrays[name] for name in _ARRAYS},
        **{name: arrays[name] for name in _LATER if name in arrays},
        **{name: float(content[name]) for name in _NUMBERS},
        **{name: int(content[name]) for name in _COUNTS},
        **{name: tuple(content[name]) for name in _NAMES},
    }
    return Fit(
        model=Model.from_text(content["model"], source=str(folder / FIT_FILE)),
        method=str(content["method"]),
        parameters=parameters,
        status=Status(content["status"]),
        message=str(content["message"]),
        cluster_labels=pd.DataFrame(labels),
        provenance=dict(content["provenance"]),
        drawn=int(content.get("drawn", 0)),
        augmentation=str(content.get("augmentation", "")),
        formula_state=dict(content.get("formula_state", {})),  # an earlier saem did not save these
        unclear={str(name): str(label) for name, label in dict(content.get("unclear", {})).items()},
        chain_paths=tuple(arrays[f"chain_{i}"] for i in range(len(arrays.get("chains", ())))),
        table=_read_table(folder, content.get("table_sha256") or continuation.get("table_sha256")),
        continuation=_continuation(continuation, arrays),
        posterior=_posterior(content.get("posterior"), arrays),
        **rest,
    )


def _continuation(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> Continuation | None:
    """What the fit goes on from; None where it cannot, as when an earlier saem has saved it."""
    from saem.continuation import Checkpoint, Continuation

    if not content:
        return None
    kept = {name[len(_CHECKPOINT) :]: value for name, value in arrays.items() if name.startswith(_CHECKPOINT)}
    if "path_rows" in kept:
        kept["path"] = arrays["path"][: int(kept.pop("path_rows"))]
    checkpoint = Checkpoint(
        kept,
        {str(name): float(value) for name, value in content["numbers"].items()},
        {str(name): str(text) for name, text in content["texts"].items()},
    )
    return Continuation(checkpoint, content["method"])


def _posterior(content: dict[str, Any] | None, arrays: dict[str, np.ndarray]) -> Posterior | None:
    """The draws of a fit; None where there are none."""
    from saem.posterior import Posterior

    if content is None:
        return None
    return Posterior(
        **{name: arrays[_DRAWS + name] for name in _OF_DRAWS},
        stats={name[len(_STATS) :]: values for name, values in arrays.items() if name.startswith(_STATS)},
        priors={str(name): str(text) for name, text in content["priors"].items()},
        determined={str(name): str(text) for name, text in content["determined"].items()},
        tune=int(content["tune"]),
        target_accept=float(content["target_accept"]),
        implied={str(name): (float(low), float(high)) for name, (low, high) in content.get("implied", {}).items()},
    )


def _table_bytes(table: pd.DataFrame | None) -> bytes | None:
    """A table as the content of a Parquet file; None where its columns mix what Parquet keeps apart."""
    from pyarrow import ArrowException

    if table is None:
        return None
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except (ArrowException, TypeError, ValueError):
        return None
    return buffer.getvalue()


def _read_table(folder: Path, checksum: object) -> pd.DataFrame | None:
    """The table of a fit; None if there is none."""
    import pandas as pd

    if checksum is None:
        return None
    path = folder / TABLE_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"the saved fit in {folder} is not whole: {TABLE_FILE} cannot be read ({error})") from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise StorageError(f"the saved fit in {folder} is not whole: {TABLE_FILE} was changed; save the fit again")
    return pd.read_parquet(io.BytesIO(data))


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / FIT_FILE
    if not path.is_file():
        what = "does not exist" if not folder.exists() else f"holds no {FIT_FILE}"
        raise StorageError(f"no saved fit in {folder}: it {what}; give the folder that was given to Fit.save")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StorageError(f"{path} is not a saved fit: its 'format' must be {FORMAT!r}")
    if content.get("version") != VERSION:
        raise StorageError(
            f"{path} has format version {content.get('version')!r}, and this saem reads version {VERSION}; "
            "read it with the saem that wrote it (its version is under 'provenance'), or fit again"
        )
    return content


def _read_arrays(folder: Path, checksum: object) -> dict[str, np.ndarray]:
    path = folder / ARRAYS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"the saved fit in {folder} is not whole: {ARRAYS_FILE} cannot be read ({error})") from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise StorageError(
            f"the saved fit in {folder} is not whole: {ARRAYS_FILE} and {FIT_FILE} do not belong together "
            "(saving was interrupted, or a file was changed); save the fit again"
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(f"{path} is not a file of plain arrays: {error}") from error


def _plain(labels: pd.Series[Any]) -> np.ndarray:
    """Labels as an array that needs no pickle: numbers and dates as they are, all else as text."""
    values = labels.to_numpy()
    return values if values.dtype.kind in "biufM" else np.asarray([str(value) for value in values], dtype=str)


def _number(value: float) -> float | str:
    """JSON knows no nan and no infinity: these are written as text, which `float` reads."""
    value = float(value)
    return value if np.isfinite(value) else str(value)


def make_folder(folder: Path) -> None:
    """Make a folder for output, with its parents."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be made: {error.strerror}; choose another name") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
