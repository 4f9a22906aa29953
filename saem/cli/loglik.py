"""`saem loglik`: the log-likelihood of a saved fit, three ways."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import optional, written_to
from saem.cli.saved import SavedFit, fit_to_examine


class Way(StrEnum):
    """What --method takes."""

    EXACT = "exact"
    QUADRATURE = "quadrature"
    IMPORTANCE = "importance"
    ALL = "all"

    @property
    def ways(self) -> tuple[str, ...]:
        """The methods, in this order."""
        return ("exact", "quadrature", "importance") if self is Way.ALL else (self.value,)


def loglik(
    folder: SavedFit,
    method: Annotated[
        Way,
        typer.Option(help="exact (closed form), quadrature (adaptive Gauss-Hermite), importance (sampling), or all."),
    ] = Way.ALL,
    nodes: Annotated[
        int | None, optional("Of quadrature, for every random effect of a cluster (15).", "N", min=1)
    ] = None,
    draws: Annotated[int | None, optional("Of importance sampling, for every cluster (1000).", "N", min=2)] = None,
    seed: Annotated[int | None, optional("Same seed, same draws (0).", "N", min=0)] = None,
    output: Annotated[
        Path | None, written_to("Write loglik.csv and the parts of the clusters, clusters.csv, here.")
    ] = None,
) -> None:
    """Marginal log-likelihood of a saved fit at its estimates: closed form, quadrature, importance sampling."""
    import pandas as pd

    from saem.cli.console import note, show
    from saem.errors import ModelError, SaemError
    from saem.inference.log_likelihood import log_likelihood
    from saem.system.display import decimals, number, small, table
    from saem.system.files import make_folder, write_csv

    given = {"nodes": nodes, "draws": draws, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    for name, way in (("nodes", "quadrature"), ("draws", "importance"), ("seed", "importance")):
        if name in options and way not in method.ways:
            raise SaemError(f"--{name} belongs to --method {way}; leave it out")
    fit, found, refused = fit_to_examine(folder), {}, {}
    if output is not None:
        make_folder(output)
    for way in method.ways:
        try:
            found[way] = log_likelihood(fit, way, **options)
        except ModelError as error:  # by one method; the others may do
            refused[way] = error
    if not found:
        raise next(iter(refused.values()))
    places = max(3, decimals([each.mcse for each in found.values()]))
    rows = [
        [way, number(each.value, places), small(each.mcse), number(each.ess, 0), small(each.max_weight_share)]
        for way, each in found.items()
    ]
    show(table(["method", "log-likelihood", "MCSE", "fewest effective draws", "largest weight"], rows))
    for way, reason in refused.items():
        note(f"no log-likelihood by {way}: {reason}")
    if output is None:
        return
    columns = ["method", "loglik", "mcse", "ess", "max_weight_share"]
    values = [[way, each.value, each.mcse, each.ess, each.max_weight_share] for way, each in found.items()]
    write_csv(pd.DataFrame(values, columns=columns), output / "loglik.csv", index=False)
    parts = [each.contributions.assign(method=way) for way, each in found.items()]
    write_csv(pd.concat(parts, ignore_index=True), output / "clusters.csv", index=False)
    note(f"written to {output}")
