"""Loading a saved fit: every file read within bounds, checked as a whole, then put together."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.algorithms.bayes.posterior import Posterior
from saem.algorithms.engine.continuation import Checkpoint, Continuation
from saem.errors import SaemError, StorageError
from saem.families import Model
from saem.fitting.parts import declared
from saem.fitting.record import Record
from saem.fitting.storage.arrays import ARRAYS, ARRAYS_FILE, CHECKPOINT, DRAWS, OF_DRAWS, OF_EFFECTS, STATS, read_arrays
from saem.fitting.storage.arrays import MAX_BYTES as MAX_ARRAYS
from saem.fitting.storage.content import FIT_FILE, FitContent, PosteriorContent, read_content
from saem.fitting.storage.content import MAX_BYTES as MAX_CONTENT
from saem.fitting.storage.method import check_method
from saem.fitting.storage.table import TABLE_FILE, check_rows, read_rows
from saem.specification.domains import Domains, domain_named
from saem.specification.parameters import Parameters

if TYPE_CHECKING:
    import pandas as pd

_BOUNDED = ("random_effects", "random_effect_sds", *(DRAWS + name for name in OF_EFFECTS))
_AS_THEY_ARE = declared(Record).keys() & FitContent.model_fields.keys()  # some of them are put together below


def read(folder: Path) -> Record:
    """Read what was saved in a folder.

    Raises
    ------
    StorageError
        If the folder holds no fit, a fit that is not whole or was changed, or one of a newer format.
    """
    path = folder / FIT_FILE
    try:
        what = "" if path.is_file() else "does not exist" if not folder.exists() else f"holds no {FIT_FILE}"
    except OSError as error:  # a name that no file can have, or a folder that may not be entered
        what = f"cannot be read ({error.strerror})"
    if what:
        raise StorageError(f"no saved fit in {folder!s:.300}: it {what}; give the folder that was given to Fit.save")
    content = read_content(read_bytes(path, MAX_CONTENT), str(path))
    data = read_bytes(folder / ARRAYS_FILE, MAX_ARRAYS)
    if hashlib.sha256(data).hexdigest() != content.arrays_sha256:
        raise StorageError(
            f"the saved fit in {folder} is not whole: {ARRAYS_FILE} and {FIT_FILE} do not belong together "
            "(saving was interrupted, or a file was changed); save the fit again"
        )
    table = None if content.table_digest is None else read_bytes(folder / TABLE_FILE, MAX_ARRAYS)
    try:
        arrays = read_arrays(data, content)
    except StorageError as error:
        raise StorageError(f"{folder / ARRAYS_FILE} is not a file of plain arrays of this fit: {error}") from error
    try:
        return build(content, arrays, table, str(path))
    except SaemError as error:
        raise StorageError(f"the fit in {folder} cannot be read: {error}") from error


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file of at most so many bytes."""
    try:
        if not path.is_file():
            raise StorageError(
                f"the saved fit in {path.parent} is not whole: {path.name} cannot be read (no such file)"
            )
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise StorageError(
            f"the saved fit in {path.parent} is not whole: {path.name} cannot be read ({error.strerror})"
        ) from error
    if len(data) > most:
        raise StorageError(f"{path} is larger than {most // 2**20} MB, which no saved fit is")
    return data


def build(content: FitContent, arrays: dict[str, np.ndarray], table_data: bytes | None, source: str) -> Record:
    """Put a fit together from what was read.

    Raises
    ------
    SaemError
        When its parts do not belong together.
    """
    check_method(
        content.method,
        goes_on=content.continuation is not None,
        settings=None if content.continuation is None else content.continuation.method,
        is_posterior=content.posterior is not None,
        chains=len(arrays.get("chains", ())),
        drawn=content.drawn if content.term_names and "drawn" in content.model_fields_set else None,
    )
    model = Model.from_text(content.model, source=source)
    parameters = parameters_of(content, arrays, model)
    endless = [name for name in _BOUNDED if name in arrays and np.isinf(arrays[name]).any()]
    if endless:
        raise StorageError(f"there is an infinite number in {endless[0]!r}, where no fit has one")
    if len(arrays["cluster_group"]) and not _are_positions(arrays["cluster_group"], len(content.group_levels)):
        raise StorageError("cluster_group names variance groups that there are not")
    table = None
    if table_data is not None:
        table = read_rows(table_data, content)
        check_rows(model, table, parameters, content)
    given: dict[str, Any] = {name: getattr(content, name) for name in _AS_THEY_ARE}
    given |= {name: arrays[name] for name in ARRAYS if name in arrays}  # an earlier saem did not save them all
    given |= {"model": model, "parameters": parameters, "table": table}
    given["cluster_labels"] = labels_of(content, arrays)
    given["chain_paths"] = tuple(arrays[f"chain_{i}"] for i in range(len(arrays.get("chains", ()))))
    given["continuation"] = continuation_of(content, arrays)
    given["posterior"] = posterior_of(content.posterior, arrays)
    return Record(**given)


def parameters_of(content: FitContent, arrays: dict[str, np.ndarray], model: Model) -> Parameters:
    """The parameters of a fit, which are those of its model.

    Raises
    ------
    StorageError
        When they are not, or the estimates are not those of the arrays.
    """
    names, fixed, at = tuple(content.estimates), arrays["fixed"], arrays["fixed_values"]
    if model.parameter_names not in (None, names):
        raise StorageError("the parameters are not those of the model")
    terms_differ = model.knows_terms and content.term_names != model.term_names
    if content.constraint_names != tuple(model.constraints) or terms_differ:
        raise StorageError("the constraints or the terms of random effects are not those of the model")
    if content.cluster_columns != model.label_columns:
        raise StorageError("the columns of the clusters are not those of the model")
    if not np.array_equal(np.array(list(content.estimates.values())), arrays["values"], equal_nan=True):
        raise StorageError(f"the estimates of {FIT_FILE} are not those of {ARRAYS_FILE}")
    domains, values = Domains([domain_named(name) for name in content.parameter_kinds]), arrays["values"]
    if not (np.isfinite(values).all() and np.all(domains.room(values) >= 0.0)):
        raise StorageError("an estimate is no number that a parameter of its domain can be")
    covariance, mcse = arrays["covariance"], arrays["mcse"]
    if (np.diag(covariance) < 0.0).any() or (mcse < 0.0).any():
        raise StorageError("a variance or a Monte Carlo error is negative")
    rounding = 1e-9 * float(np.max(np.nan_to_num(np.diag(covariance)), initial=0.0))
    if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=rounding, equal_nan=True):
        raise StorageError("the covariance matrix of the estimates is not symmetric")
    held = {name: float(value) for name, value, is_fixed in zip(names, at, fixed, strict=True) if is_fixed}
    if held != {name: float(value) for name, value in model.fixed.items()}:
        raise StorageError("the fixed parameters are not those of the model")
    return Parameters(names, domains, fixed, at)


def labels_of(content: FitContent, arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    """The table of the clusters."""
    import pandas as pd

    try:
        return pd.DataFrame({name: arrays[f"label_{i}"] for i, name in enumerate(content.cluster_columns)})
    except (ValueError, TypeError, OverflowError) as error:  # a unit of time that pandas does not know
        raise StorageError(f"the labels of the clusters cannot be read ({error})") from error


def continuation_of(content: FitContent, arrays: dict[str, np.ndarray]) -> Continuation | None:
    """What the fit goes on from; None where it cannot, as when an earlier saem has saved it."""
    if content.continuation is None:
        return None
    kept = {name[len(CHECKPOINT) :]: value for name, value in arrays.items() if name.startswith(CHECKPOINT)}
    if "path_rows" in kept:
        length = kept.pop("path_rows")
        if length.shape or not 0 <= length <= len(arrays["path"]):
            raise StorageError("path_rows is not a number of rows of the path")
        kept["path"] = arrays["path"][: int(length)]
    checkpoint = Checkpoint(kept, content.continuation.numbers, content.continuation.texts)
    return Continuation(checkpoint, content.continuation.method)


def posterior_of(content: PosteriorContent | None, arrays: dict[str, np.ndarray]) -> Posterior | None:
    """The draws of a fit; None where there are none."""
    if content is None:
        return None
    given: dict[str, Any] = {name: arrays[DRAWS + name] for name in OF_DRAWS}
    given |= {name: arrays[DRAWS + name] for name in OF_EFFECTS if DRAWS + name in arrays}
    stats = {name[len(STATS) :]: values for name, values in arrays.items() if name.startswith(STATS)}
    return Posterior(**given, stats=stats, **dict(content))


def _are_positions(values: np.ndarray, count: int) -> bool:
    return bool(values.min() >= 0 and values.max() < count)
