"""The examination of the real sites: what tables and numbers count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.studies.examine import POSTED
from paper.shared.methods import DIRECT

if TYPE_CHECKING:
    from paper.digest import Digest

SYMBOLS = {
    "mu": r"\mu",
    "c2": "c_2",
    "alpha2": r"\alpha_2",
    "b21": "b_{21}",
    "b22": "b_{22}",
    "sigma1": r"\sigma_1",
    "sigma2": r"\sigma_2",
    "sigma": r"\sigma",
}
LEVELS = (0.05, 0.01)  # of tests of a link
LAWS = {"p": r"$\chi^2$", "p_bootstrap": "bootstrap"}  # of their statistic
HELD = {"posted": "$b_{21}=b_{22}=0$", "log2": "$b_{21}=b_{22}=0$", "conservation": "$b_{21}=0$"}  # to test a link


def counted(digest: Digest, name: str) -> tuple[tuple[int, int, int], np.ndarray]:
    """How many sites have a standard error, a Wald and a profile interval; and the distances of their ends."""

    def ends(measure: str) -> set[str]:
        rows = digest.select(measure, DIRECT, name, link=POSTED)
        return set(rows.loc[np.isfinite(rows["value"]), "site"])

    wald, profile = ends("wald_lower") & ends("wald_upper"), ends("lower") & ends("upper")
    apart = digest.select("apart", DIRECT, name, link=POSTED)["value"].to_numpy()
    return (len(ends("se")), len(wald), len(profile)), apart
