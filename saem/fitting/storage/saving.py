"""Saving a fit: what its parts declare, as arrays and as text."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import StorageError
from saem.fitting.parts import declared
from saem.fitting.record import Record
from saem.fitting.storage import arrays as in_arrays
from saem.fitting.storage.arrays import ARRAYS, ARRAYS_FILE, CHECKPOINT, DRAWS, OF_DRAWS, OF_EFFECTS, STATS
from saem.fitting.storage.content import FIT_FILE, FORMAT, METHOD, VERSION, number, sealed
from saem.fitting.storage.content import MAX_BYTES as MAX_CONTENT
from saem.fitting.storage.method import check_method
from saem.fitting.storage.table import TABLE_FILE, table_bytes
from saem.system.files import make_folder, replacing

if TYPE_CHECKING:
    import pandas as pd

NUMBERS, COUNTS = declared(Record, "float"), declared(Record, "int")
TEXTS, NAMES = declared(Record, "str"), declared(Record, "Names")
MAPPINGS = declared(Record, "Mapping[str, str]", "Mapping[str, Any]")


def save(fit: Record, folder: str | Path) -> None:
    """Write a fit to a folder, which is made if need be; other files in it are left alone.

    Each file is replaced in one step, the checksums last, so that an interrupted `save` is noticed by `load`.

    Raises
    ------
    StorageError
        When it cannot be written, or is larger than `load` would take.
    """
    folder = Path(folder)
    if not re.fullmatch(METHOD, fit.method):
        raise StorageError(
            "the name of a method must be letters a-z, digits and _, at most 64, for it becomes the name of a folder; "
            f"got {fit.method!r:.80}"
        )
    try:
        check_method(
            fit.method,
            goes_on=fit.continuation is not None,
            settings=None if fit.continuation is None else fit.continuation.settings,
            is_posterior=fit.posterior is not None,
            chains=len(fit.chains),
            drawn=fit.drawn if fit.term_names else None,
        )
    except StorageError as error:
        raise StorageError(f"this fit cannot be saved: {error}") from None
    arrays = _arrays(fit)
    if sum(array.nbytes for array in arrays.values()) > in_arrays.MAX_BYTES:
        raise StorageError(f"this fit cannot be saved: its arrays take more than {in_arrays.MAX_BYTES // 2**20} MB")
    buffer, table = io.BytesIO(), table_bytes(fit.table)
    np.savez_compressed(buffer, **arrays)
    digests = {
        "table_sha256": None if table is None else hashlib.sha256(table).hexdigest(),
        "arrays_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    text = sealed(_content(fit) | digests).encode()
    if len(text) > MAX_CONTENT:
        raise StorageError(f"this fit cannot be saved: {FIT_FILE} would take more than {MAX_CONTENT // 2**20} MB")
    make_folder(folder)
    if table is not None:
        with replacing(folder / TABLE_FILE) as path:
            path.write_bytes(table)
    with replacing(folder / ARRAYS_FILE) as path:
        path.write_bytes(buffer.getvalue())
    with replacing(folder / FIT_FILE) as path:
        path.write_bytes(text)


def _arrays(fit: Record) -> dict[str, Any]:
    arrays: dict[str, Any] = {name: getattr(fit, name) for name in ARRAYS}
    arrays |= {"fixed": fit.parameters.fixed, "fixed_values": fit.parameters.fixed_values}
    arrays |= {f"chain_{i}": path for i, path in enumerate(fit.chain_paths)}
    arrays |= {f"label_{i}": _plain(fit.cluster_labels[name]) for i, name in enumerate(fit.cluster_labels.columns)}
    if fit.continuation is not None:
        kept = dict(fit.continuation.checkpoint.arrays)
        if "path" in kept and np.array_equal(kept["path"], fit.path[: len(kept["path"])], equal_nan=True):
            kept["path_rows"] = np.array(len(kept.pop("path")))  # the largest of them, and not written twice
        arrays |= {CHECKPOINT + name: value for name, value in kept.items()}
    if fit.posterior is not None:
        names = OF_DRAWS + OF_EFFECTS if fit.posterior.effect_covariances.size else OF_DRAWS
        arrays |= {DRAWS + name: getattr(fit.posterior, name) for name in names}
        arrays |= {STATS + name: values for name, values in fit.posterior.stats.items()}
    return arrays


def _content(fit: Record) -> dict[str, Any]:
    names = fit.parameters.names
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "method": fit.method,
        "status": str(fit.status),
        "estimates": {name: number(value) for name, value in zip(names, fit.values.tolist(), strict=True)},
        "parameter_kinds": [domain.name for domain in fit.parameters.domains],
        **{name: number(getattr(fit, name)) for name in NUMBERS},
        **{name: int(getattr(fit, name)) for name in COUNTS},
        **{name: list(getattr(fit, name)) for name in NAMES},
        "cluster_columns": [str(name) for name in fit.cluster_labels.columns],
        "model": fit.model.to_toml(),
        **{name: getattr(fit, name) for name in TEXTS},
        **{name: dict(getattr(fit, name)) for name in MAPPINGS},
    }
    if fit.continuation is not None:
        content["continuation"] = {
            "method": fit.continuation.settings,
            "numbers": {name: number(value) for name, value in fit.continuation.checkpoint.numbers.items()},
            "texts": fit.continuation.checkpoint.texts,
        }
    if fit.posterior is not None:
        content["posterior"] = {
            "priors": dict(fit.posterior.priors),
            "determined": dict(fit.posterior.determined),
            "tune": fit.posterior.tune,
            "target_accept": fit.posterior.target_accept,
            "implied": {name: [number(end) for end in ends] for name, ends in fit.posterior.implied.items()},
        }
    return content


def _plain(labels: pd.Series[Any]) -> np.ndarray:
    """Labels as an array that needs no pickle: numbers and dates as they are, all else as text."""
    values = labels.to_numpy()
    is_plain = values.dtype.kind in "biuM" or values.dtype in ("f4", "f8")
    return values if is_plain else np.asarray([str(value) for value in values], dtype=str)
