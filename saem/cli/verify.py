"""`saem verify`: whether saved fits are at the maximum of the likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import optional, written_to
from saem.cli.saved import SavedFit, fits_in


def verify(
    folder: SavedFit,
    starts: Annotated[
        int | None, optional("Scattered starts from which other maxima are looked for (8).", "N", min=0)
    ] = None,
    seed: Annotated[int | None, optional("Same seed, same starts (0).", "N", min=0)] = None,
    output: Annotated[Path | None, written_to("Write verification.csv here.")] = None,
) -> None:
    """Judge anew whether saved fits are at the maximum of the likelihood: score, deficit, and what lies near.

    Ends with exit code 1 where one of them is not.
    """
    import pandas as pd

    from saem.cli.console import note, say, show
    from saem.errors import StorageError
    from saem.inference.verification import verify as verified
    from saem.system.display import table
    from saem.system.files import make_folder, write_csv

    given = {"starts": starts, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    fits = {name: fit for name, fit in fits_in(folder).items() if fit.posterior is None}
    if not fits:
        raise StorageError(f"there is no saved fit in {folder} that is no posterior")
    if output is not None:
        make_folder(output)
    parts, is_verified = [], True
    for name, fit in fits.items():
        found = verified(fit, **options)
        is_verified &= found.is_verified
        columns = ["estimate", "maximum", "shift", "score", "score_mcse"]
        body = [
            [str(parameter), *(f"{row[c]:.6g}" for c in columns[:2]), *(f"{row[c]:.3f}" for c in columns[2:])]
            for parameter, row in found.parameters.iterrows()
        ]
        note(f"{name}: {'verified' if found.is_verified else 'NOT VERIFIED'}")
        show(table(["parameter", "estimate", "maximum", "shift (SE)", "score (SE)", "MCSE"], body))
        say(found.message)
        for parameter, value in found.other.items():
            say(f"  {parameter} = {value:.6g}")
        parts.append(found.parameters.reset_index().assign(method=name, deficit=found.deficit, doubt=found.doubt))
    if output is not None:
        write_csv(pd.concat(parts, ignore_index=True), output / "verification.csv", index=False)
        note(f"written to {output}")
    if not is_verified:
        raise typer.Exit(1)
