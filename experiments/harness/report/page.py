"""From the results of a study to one self-contained page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError
from saem.system.files import replacing

from ..figures import draw
from ..figures.saving import written
from ..provenance import now
from .content import content_of

if TYPE_CHECKING:
    from ..results import Results

TEMPLATE = "report.html"


def write_report(results: Results, path: Path, *, replay: bool = True) -> Path:
    """Write the report of a study, also of one that still runs: one HTML page that needs no other file.

    It has the frame of the study (ADEMP: aims, data-generating mechanisms, estimands, methods, performance measures),
    how many replicates each cell has, the measures with their Monte Carlo standard errors on complete cases and on
    pairs, comparisons with the reference, statuses, failures with their messages, all figures, and what was run by
    which code on which machine. All text is escaped; there is no script, and nothing is loaded.

    Parameters
    ----------
    results : Results
    path : Path
        Of the page; its folder is made. A page that is there is replaced at once, when the new one is complete.
    replay : bool
        Whether to run one replicate again for the figure of traces, see `experiments.figures.draw_all`.

    Returns
    -------
    Path
        That of the page.

    Raises
    ------
    ModelError
        When the package jinja2 is not installed.
    StorageError
        When the page cannot be written.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise ModelError(
            "the report needs the package jinja2, which is not installed: pip install jinja2, or in a clone "
            "of saem '.[studies]'"
        ) from None
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawings, left_out = draw(results, replay=replay)
    figures: list[dict[str, Any]] = [
        {
            "name": one.name,
            "caption": one.caption,
            "image": base64.b64encode(written(one.figure, "png")).decode("ascii"),
            "width": round(96 * one.figure.get_figwidth() * 1.25),
        }
        for one in drawings
    ]
    page = environment.get_template(TEMPLATE).render(
        content_of(results) | {"figures": figures, "left_out": left_out, "written": now()}
    )
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode())
    return path
