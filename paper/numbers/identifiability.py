"""Numbers of the section on identifiability: the example with three solutions, and estimates across the border."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from experiments.harness.performance import WHOLE_FIT
from experiments.studies.links import BORDER
from paper.digest import Digest
from paper.shared.designs import full_cells
from paper.shared.links import AT_BORDER, LINKED, product
from paper.shared.writing import Number, both, measured, percent, significant
from paper.theory.uniqueness import EXAMPLE, band

STUDY = "constraints"
MEASURES = {  # word of the key: form, measure, estimand
    "coverage": (percent, "coverage", "b21"),
    "coverage-effect": (percent, "coverage", "effect1"),
    "rmse": (both, "rmse", "b21"),
    "nearest": (both, "rmse", "b21_nearest"),
    "several": (percent, "several_solutions_rate", WHOLE_FIT),
}


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """The example; then `border.SIGMA2.REPLICATES.WORD` for every cell of the scene, with `border.SIGMA2.product`."""
    yield from example()
    digest = digests[STUDY]
    cells = [cell for cell in full_cells(STUDY) if cell["scene"] == AT_BORDER]
    for sigma2 in dict.fromkeys(cell["sigma2"] for cell in cells):
        yield Number(f"border.{sigma2:g}.product", significant(product(sigma2), 3), "theory: C (1 - 2^d)")
    for cell in cells:
        key = f"border.{cell['sigma2']:g}.{cell['replicates']}"
        for word, (form, measure, estimand) in MEASURES.items():
            yield measured(f"{key}.{word}", form, digest, measure, LINKED, estimand, **cell)


def example() -> Iterator[Number]:
    """What the closed forms say about the example of the text."""
    c, d = EXAMPLE
    low, high = band(c, d)
    found = {
        "from": (low, 6, "h(beta)"),
        "to": (high, 6, "h(-beta)"),
        "border": (BORDER / (1.0 - 2.0**d), 4, "C at the border, (4 / ln 2) / (1 - 2^d)"),
    }
    for word, (value, digits, source) in found.items():
        yield Number(f"example.{word}", significant(value, digits), f"theory: {source} at C = {c:g}, d = {d:g}")
