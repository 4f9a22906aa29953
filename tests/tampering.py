"""Saved fits that were changed by somebody who knows how they are sealed."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from strategies import changed, texts

from saem.fitting.storage.content import sealed


class SavedFit:
    """A saved fit that is changed and put back: it is read once, whatever the number of changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        with np.load(folder / "arrays.npz", allow_pickle=True) as archive:
            self.own = {name: archive[name] for name in archive.files}
        self.changed: set[str] = set()

    @property
    def content(self) -> dict[str, Any]:
        """What `fit.json` holds, but for its seal."""
        content: dict[str, Any] = json.loads(self.files["fit.json"])
        content.pop("content_sha256", None)
        return content

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Their names may be given to others; the arrays themselves stay as they are."""
        return dict(self.own)

    def write(self, name: str, data: bytes) -> None:
        """Put bytes into a file, as somebody does who knows nothing of seals."""
        (self.folder / name).write_bytes(data)
        self.changed.add(name)

    def seal(self, content: dict[str, Any], archive: bytes | None = None) -> None:
        """Put these in place of what there was, and seal it all."""
        if archive is not None:
            self.write("arrays.npz", archive)
            content["arrays_sha256"] = hashlib.sha256(archive).hexdigest()
        self.write("fit.json", sealed(content).encode())

    def put_back(self) -> None:
        """All files are as they were."""
        for name in self.changed:
            (self.folder / name).write_bytes(self.files[name])
        self.changed.clear()


def archive_of(arrays: dict[str, np.ndarray]) -> bytes:
    """The file of the arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def tamper(
    folder: Path,
    content: Callable[[dict[str, Any]], Any] | None = None,
    arrays: Callable[[dict[str, np.ndarray]], Any] | None = None,
    archive: bytes | None = None,
) -> None:
    """Change what `fit.json` holds, the arrays, or the bytes of their file, and seal it all again."""
    fit = SavedFit(folder)
    kept, own = fit.content, fit.arrays
    if content is not None:
        content(kept)
    if arrays is not None:
        arrays(own)
        archive = archive_of(own)
    fit.seal(kept, archive)


# What strangers may hand over

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(-1e9, 1e9), texts,
        st.sampled_from(["../../x", "/tmp/x", "nan", "inf", "-inf", "converged", "mean", "a" * 200]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)  # fmt: skip


@st.composite
def tampered_content(draw: st.DrawFn, content: dict[str, Any]) -> None:
    """Change one or two values of `fit.json`, wherever they are."""
    for _ in range(draw(st.integers(1, 2))):
        here: Any = content
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(here[key], dict | list) and here[key] and draw(st.booleans()):
                here = here[key]
                continue
            act = draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat"]))
            if act == "remove":
                del here[key]
            elif act == "replace":
                here[key] = draw(json_values)
            elif isinstance(here, dict):
                here[draw(texts)] = here[key] if act == "repeat" else draw(json_values)
            else:
                here.insert(key, here[key] if act == "repeat" else draw(json_values))
            break


@st.composite
def tampered_arrays(draw: st.DrawFn, arrays: dict[str, np.ndarray]) -> None:
    """Change one or two arrays: their type, their shape, their values, or whether they are there."""
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(arrays)))
        array = arrays[name]
        act = draw(st.sampled_from(["shape", "type", "value", "remove", "add", "swap", "order"]))
        if act == "remove" and len(arrays) > 1:
            del arrays[name]
        elif act == "add":
            arrays[draw(st.sampled_from(["extra", "checkpoint/x", "sampler/energy", "chain_7", "label_9", "../x"]))] = (
                array
            )
        elif act == "swap":
            other = draw(st.sampled_from(sorted(arrays)))
            arrays[name], arrays[other] = arrays[other], array
        elif act == "type":
            kind = draw(st.sampled_from(["f4", "i8", "?", "U3", "c16", "O", "M8[ns]", "u1", "V4", ">f8"]))
            arrays[name] = np.zeros(array.shape, dtype=kind)
        elif act == "shape":
            shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
            arrays[name] = np.zeros(shape, dtype=array.dtype)
        elif act == "value" and array.size and array.dtype.kind in "fi":
            value = draw(st.sampled_from([np.nan, np.inf, -1.0, 1e300, 1e15, 0.0]))
            other = array.astype(float).copy()
            other.flat[draw(st.integers(0, array.size - 1))] = value
            with np.errstate(invalid="ignore"):
                arrays[name] = other.astype(array.dtype)
        elif act == "order" and array.ndim == 2:
            arrays[name] = np.asfortranarray(array)


@st.composite
def tampered_archives(draw: st.DrawFn, data: bytes) -> bytes:
    """Change the file of the arrays as a file: bytes, entries, and heads that promise what is not there."""
    if draw(st.booleans()):
        return changed(draw, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(entries)))
    head = draw(
        st.sampled_from(
            [
                "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
                "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
                "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
                "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
                "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (2,), }",
                "{'descr': '<f8', 'fortran_order': 3, 'shape': (1,), }",
                "{'descr': '<f8', 'shape': (1,), }",
                "[" * 900,
                "__import__('os')",
                "",
            ]
        )
    ).ljust(118)
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + draw(st.binary(max_size=16))
    entries[name] = draw(
        st.sampled_from([content, entries[name][:-8], entries[name] + b"more", b"", b"\x93NUMPY\x09\x00"])
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_BZIP2]))) as archive:
        for each, part in entries.items():
            archive.writestr(each, part)
    return buffer.getvalue()
