"""Saved fits that were changed by somebody who knows how they are sealed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from saem.storage.content import sealed


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content and arrays of a saved fit."""
    content = json.loads((folder / "fit.json").read_text())
    with np.load(folder / "arrays.npz", allow_pickle=True) as archive:
        return content, {name: archive[name] for name in archive.files}


def tamper(
    folder: Path,
    content: Callable[[dict[str, Any]], Any] | None = None,
    arrays: Callable[[dict[str, np.ndarray]], Any] | None = None,
    archive: bytes | None = None,
) -> None:
    """Change what `fit.json` holds, the arrays, or the bytes of their file, and seal it all again."""
    kept, own = read(folder)
    kept.pop("content_sha256", None)
    if content is not None:
        content(kept)
    if arrays is not None:
        arrays(own)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **own)
        archive = buffer.getvalue()
    if archive is not None:
        (folder / "arrays.npz").write_bytes(archive)
        kept["arrays_sha256"] = hashlib.sha256(archive).hexdigest()
    (folder / "fit.json").write_text(sealed(kept))
