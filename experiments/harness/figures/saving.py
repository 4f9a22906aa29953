"""Figures to files that are the same bytes at every run."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError
from saem.system.files import replacing

from .style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
DATE = datetime(2000, 1, 1, tzinfo=UTC)
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": DATE, "ModDate": DATE},
    "svg": {"Date": None},
}


def written(figure: Figure, form: str) -> bytes:
    """The content of a file: 'png', 'pdf' or 'svg'."""
    import matplotlib

    if form not in METADATA:
        raise ModelError(f"a figure is written as one of {', '.join(METADATA)}; got {form!r}")
    buffer = io.BytesIO()
    with matplotlib.rc_context(fname=STYLE):
        figure.savefig(buffer, format=form, metadata=METADATA[form])
    return buffer.getvalue()


def save(figure: Figure, folder: Path, name: str, formats: tuple[str, ...] = FORMATS) -> tuple[Path, ...]:
    """Write a figure to `folder/name.png`, for the screen, and `folder/name.pdf`, for print.

    Parameters
    ----------
    figure : Figure
    folder : Path
        Made if it is not there.
    name : str
    formats : tuple of str
        Of "png", "pdf" and "svg".

    Returns
    -------
    tuple of Path
        Files with a fixed date, so that the same figure is the same file.

    Raises
    ------
    StorageError
        When the folder cannot be written.
    """
    paths = []
    for form in formats:
        content = written(figure, form)
        path = folder / f"{name}.{form}"
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        paths.append(path)
    return tuple(paths)
