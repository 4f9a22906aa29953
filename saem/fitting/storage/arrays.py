"""The file `arrays.npz`: what arrays a fit has, and reading them without trust in their sizes.

The head of every array, its type and its shape, is read and checked before any content is: a file of a few kilobytes
can unpack to more than the memory holds.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from saem.errors import StorageError, listing
from saem.fitting.parts import HISTORY, declared
from saem.fitting.record import Record
from saem.fitting.storage.content import FitContent
from saem.system.display import count

ARRAYS_FILE = "arrays.npz"
MAX_BYTES = 2**30  # of all arrays, unpacked
MAX_ENTRIES = 10_000
MAX_HEADER = 4096
ARRAYS = declared(Record, "Floats", "Wholes")  # fields of a fit
CHECKPOINT = "checkpoint/"  # before the names of what a fit goes on from
DRAWS, STATS = "posterior/", "sampler/"  # before those of a posterior
OF_DRAWS = ("draws", "rhat", "ess_bulk", "ess_tail")
OF_EFFECTS = ("effect_draws", "effect_covariances", "effect_quantiles")  # where random effects were drawn

Shape = tuple[int | str, ...]  # a letter is a size that the file is free to choose, the same wherever it stands
FLOAT, WHOLE, TRUTH, LABEL, ANY = "f", "i", "b", "biufMU", "biuf"


class Head(NamedTuple):
    """The type and the shape of an array in a file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


def layout(content: FitContent) -> dict[str, tuple[str, list[Shape]]]:
    """The arrays that a fit must have, by name: kinds of values, and shapes of which one must be met."""
    n, m, q = len(content.estimates), len(content.constraint_names), len(content.term_names)
    clusters = content.n_clusters
    arrays: dict[str, tuple[str, list[Shape]]] = {
        "values": (FLOAT, [(n,)]),
        "covariance": (FLOAT, [(n, n)]),
        "mcse": (FLOAT, [(n,)]),
        "constraint_residuals": (FLOAT, [(m,)]),
        "multipliers": (FLOAT, [(m,)]),
        "path": (FLOAT, [("k", n)]),
        "solutions": (FLOAT, [("s", n)]),
        "solution_logliks": (FLOAT, [("s",)]),
        "random_effects": (FLOAT, [(clusters, q), (clusters, 0)]),
        "random_effect_sds": (FLOAT, [(clusters, q), (clusters, 0)]),
        "cluster_group": (WHOLE, [(clusters,), (0,)]),
        "fixed": (TRUTH, [(n,)]),
        "fixed_values": (FLOAT, [(n,)]),
    }
    arrays |= {f"label_{i}": (LABEL, [(clusters,)]) for i in range(len(content.cluster_columns))}
    if content.posterior is not None:
        arrays[f"{DRAWS}draws"] = (FLOAT, [("c", "d", n)])
        arrays |= {f"{DRAWS}{name}": (FLOAT, [(n,)]) for name in OF_DRAWS[1:]}
        arrays[f"{STATS}diverging"] = (ANY, [("c", "d")])
    return arrays


def optional(content: FitContent, heads: Mapping[str, Head]) -> dict[str, tuple[str, list[Shape]]]:
    """The arrays that a fit may have."""
    n = len(content.estimates)
    chains = heads["chains"].shape[0] if "chains" in heads and heads["chains"].shape else 0
    arrays: dict[str, tuple[str, list[Shape]]] = {
        "looks": (FLOAT, [("l", len(HISTORY))]),
        "chains": (FLOAT, [("h", n), (0, 0)]),
        "inner": (FLOAT, [(n,), (0,)]),
        "acceptance_rates": (FLOAT, [(content.n_clusters,), (0,)]),
    }
    arrays |= {f"chain_{i}": (FLOAT, [(f"chain {i}", n)]) for i in range(min(chains, MAX_ENTRIES))}
    if content.posterior is not None:
        arrays |= {name: (ANY, [("c", "d")]) for name in heads if name.startswith(STATS)}
        clusters, q = content.n_clusters, len(content.term_names)
        shapes: list[list[Shape]] = [[("c", "d", clusters, q), (0, 0, clusters, q)], [(clusters, q, q)]]
        shapes += [[(5, clusters, q)]]
        kinds = (ANY, FLOAT, FLOAT)
        arrays |= {DRAWS + name: each for name, each in zip(OF_EFFECTS, zip(kinds, shapes, strict=True), strict=True)}
    if content.continuation is not None:  # what they are is for the algorithm to say, which goes on from them
        own = [name for name in heads if name.startswith(CHECKPOINT)]
        arrays |= {name: (ANY, [tuple(f"{name} {k}" for k in range(len(heads[name].shape)))]) for name in own}
    return arrays


def check_heads(content: FitContent, heads: Mapping[str, Head]) -> None:
    """Refuse arrays that are not those of the fit.

    Raises
    ------
    StorageError
        Naming one that is missing or unknown, or has another type or shape.
    """
    wanted = layout(content)
    missing = [name for name in wanted if name not in heads]
    if missing:
        raise StorageError(f"the array {missing[0]!r} is missing")
    known = wanted | optional(content, heads)
    unknown = [name for name in heads if name not in known]
    if unknown:
        raise StorageError(f"there are arrays that are not of a fit: {listing(unknown, 3)}")
    absent = [name for name in known if name.startswith("chain_") and name not in heads]
    if absent:
        raise StorageError(f"the array {absent[0]!r} is missing")
    sizes: dict[str, int] = {}
    for name, (kinds, shapes) in known.items():
        if name in heads:
            _check_head(name, heads[name], kinds, shapes, sizes)
    for letter, what in (("k", "path"), ("s", "solutions"), ("c", "chains of draws"), ("d", "draws")):
        if sizes.get(letter) == 0:
            raise StorageError(f"there are no {what}")


def _check_head(name: str, head: Head, kinds: str, shapes: list[Shape], sizes: dict[str, int]) -> None:
    widths = (8,) if kinds in (FLOAT, WHOLE) else (4, 8) if head.dtype.kind == FLOAT else (head.dtype.itemsize,)
    if head.dtype.kind not in kinds or head.dtype.itemsize not in widths:  # pandas takes no float16 for a label
        raise StorageError(f"the array {name!r} has values of the type {head.dtype}")
    for shape in shapes:
        known = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in shape)
        if len(known) == len(head.shape) and all(
            isinstance(size, str) or size == found for size, found in zip(known, head.shape, strict=True)
        ):
            sizes |= {size: found for size, found in zip(shape, head.shape, strict=True) if isinstance(size, str)}
            return
    raise StorageError(f"the array {name!r} has the shape {head.shape}, and not that of the fit")


def read_arrays(data: bytes, content: FitContent) -> dict[str, np.ndarray]:
    """Read the arrays of a fit.

    Parameters
    ----------
    data : bytes
        Content of `arrays.npz`.
    content : FitContent
        Of the same fit.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    StorageError
        When it is no file of plain arrays, or they are not those of the fit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            if len(entries) > MAX_ENTRIES or len(set(names)) < len(names):
                raise StorageError(f"it has {count(len(entries), 'entry', 'entries')}, or one of them twice")
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise StorageError(f"its arrays take more than {MAX_BYTES // 2**20} MB")
            heads = {name: _head(archive, entry) for name, entry in zip(names, entries, strict=True)}
            check_heads(content, heads)
            return {name: _content(archive, entry) for name, entry in zip(names, entries, strict=True)}
    except (ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"it is not a file of plain arrays ({error})") from error


def _head(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Head:
    with archive.open(entry) as stream:
        return _read_head(stream, entry)[0]


def _read_head(stream: Any, entry: zipfile.ZipInfo) -> tuple[Head, bool]:
    """The head of an array, at the start of its entry, and whether it is stored by columns."""
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(stream, max_header_size=MAX_HEADER)
    except Exception as error:  # whatever a false head makes of Python's parser, by which numpy reads it
        raise StorageError(f"the array {entry.filename!r} has no head of an array ({type(error).__name__})") from error
    if dtype.kind not in LABEL or dtype.itemsize == 0 or not all(type(size) is int and size >= 0 for size in shape):
        raise StorageError(f"the array {entry.filename!r} does not hold plain numbers or texts, but {dtype}")
    head = Head(dtype, shape)
    if stream.tell() + head.size != entry.file_size:
        raise StorageError(f"the array {entry.filename!r} does not have the length that its shape {shape} says")
    return head, by_columns


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as stream:
        head, by_columns = _read_head(stream, entry)
        content = stream.read()
    if len(content) != head.size:
        raise StorageError(f"the array {entry.filename!r} is cut off")
    array = np.frombuffer(content, head.dtype).reshape(head.shape, order="F" if by_columns else "C")
    return np.array(array, dtype=head.dtype.newbyteorder("="), order="K")
