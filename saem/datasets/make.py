"""How the simulated tables were made: ``python -m saem.datasets.make [FOLDER]`` writes them again.

They are in the manner of real experiments, and the parameters here are the truth that a fit should find.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

SEED = 4  # by which each parameter is found within 2.5 standard errors: examples are no flukes
LOG2 = np.log(2.0)
Floats = NDArray[np.float64]


def peptide(rng: np.random.Generator) -> pd.DataFrame:
    """One site with the posed link: 60 replicates of each treatment."""
    return _peptide(rng, 60, lambda d, alpha2, b21, b22: np.exp(LOG2**2 / 2 * d) * (1 + 2**b22) / (1 + 2**b21), b21=0.5)


def peptide_conserved(rng: np.random.Generator) -> pd.DataFrame:
    """One site whose total amount is conserved: 30 replicates of each treatment."""
    return _peptide(rng, 30, _conserving, b21=0.0)


def _peptide(rng: np.random.Generator, replicates: int, g: Callable[..., float], b21: float) -> pd.DataFrame:
    """One site; `g` gives the effect of the treatment from the difference of the variances and the means."""
    mu, alpha2, b22, sigma = 10.0, -1.0, 1.2, 0.3
    sds = {"Ctrl": 0.4, "CCCP": 0.7}
    c2 = g(sds["CCCP"] ** 2 - sds["Ctrl"] ** 2, alpha2, b21, b22)
    means = {"Ctrl": (mu, mu + alpha2), "CCCP": (mu + c2 + b21, mu + c2 + alpha2 + b22)}
    rows = [
        (treatment, replicate, modification, round(mean + theta + sigma * rng.standard_normal(), 4))
        for treatment, sd in sds.items()
        for replicate, theta in enumerate(sd * rng.standard_normal(replicates), start=1)
        for modification, mean in zip(("unmodified", "modified"), means[treatment], strict=True)
    ]
    return _table(rows, "treatment replicate modification log2_intensity")


def _conserving(d: float, alpha2: float, b21: float, b22: float) -> float:
    """The effect of the treatment that keeps the expected total amount, d the difference of the variances."""
    return float(np.log2(np.exp(-(LOG2**2) / 2 * d) * (1 + 2**alpha2) / (2**b21 + 2 ** (alpha2 + b22))))


def peptides_wide(rng: np.random.Generator) -> pd.DataFrame:
    """60 sites, as a spreadsheet exports them; the total amount is conserved in 50, and falls by half in the rest."""
    import pandas as pd

    rows = []
    for site in range(60):
        mu, alpha2, b22 = rng.normal(24.0, 2.0), rng.normal(-1.5, 1.0), rng.normal(0.8, 0.5)
        sd1, sd2, sigma = rng.uniform(0.15, 0.35), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.25)
        c2 = _conserving(sd2**2 - sd1**2, alpha2, 0.0, b22) - (1.0 if site >= 50 else 0.0)
        row: dict[str, object] = {}
        for treatment, sd, means in (("Ctrl", sd1, (0.0, alpha2)), ("CCCP", sd2, (c2, c2 + alpha2 + b22))):
            for replicate in range(1, 9):
                theta = sd * rng.standard_normal()
                for form, mean in zip(("unmod", "mod"), means, strict=True):
                    x = mu + mean + theta + sigma * rng.standard_normal()
                    lost = rng.random() < 1.0 / (1.0 + np.exp(2.0 * (x - 19.5))) or rng.random() < 0.01
                    row[f"{treatment}_{replicate}_{form}"] = "" if lost else str(round(2.0**x))
        rows.append(row)
    wide = pd.DataFrame([rows[i] for i in rng.permutation(60)])
    letters = np.array(list("ADEFGILNPQSTVWY"))
    words = ["".join(rng.choice(letters, rng.integers(4, 9))) for _ in range(60)]
    wide.insert(0, "Protein", [f"PROT{i:03d}" for i in np.sort(rng.integers(1, 45, 60))])
    wide.insert(1, "Peptide", [f"{word[:3]}K{word[3:]}R" for word in words])
    wide.insert(2, "Site", [f"K{n}" for n in rng.integers(6, 480, 60)])
    return wide


def growth(rng: np.random.Generator) -> pd.DataFrame:
    """Logistic growth of 24 plants."""
    limits, middles = 180.0 * np.exp(0.2 * rng.standard_normal(24)), 28.0 + 4.0 * rng.standard_normal(24)
    rows = [
        (subject, time, round(limit / (1 + np.exp(-(time - middle) / 8.0)) + 4.0 * rng.standard_normal(), 1))
        for subject, (limit, middle) in enumerate(zip(limits, middles, strict=True), start=1)
        for time in (7, 14, 21, 28, 35, 42, 56, 70)
    ]
    return _table(rows, "subject time size")


def sleep(rng: np.random.Generator) -> pd.DataFrame:
    """Reaction times of 18 subjects on ten days, with correlated intercepts and slopes."""
    effects = rng.multivariate_normal([250.0, 10.0], [[24.0**2, 0.2 * 24.0 * 6.0], [0.2 * 24.0 * 6.0, 6.0**2]], 18)
    rows = [
        (f"S{subject:02d}", day, round(intercept + slope * day + 25.0 * rng.standard_normal(), 1))
        for subject, (intercept, slope) in enumerate(effects, start=1)
        for day in range(10)
    ]
    return _table(rows, "Subject Days Reaction")


def binary(rng: np.random.Generator) -> pd.DataFrame:
    """Infections of 150 patients at eight visits, with correlated intercepts and slopes of the logit."""
    effects = rng.multivariate_normal([0.0, 0.0], [[1.2**2, 0.15 * 1.2 * 0.4], [0.15 * 1.2 * 0.4, 0.4**2]], 150)
    rows = [
        (patient, arm, time, int(rng.random() < _expit(0.8 + b + (s - 0.3 - (0.4 if arm == "B" else 0.0)) * time)))
        for patient, (b, s) in enumerate(effects, start=1)
        for arm in ("AB"[patient % 2],)
        for time in range(8)
    ]
    return _table(rows, "id treatment time infected")


def herds(rng: np.random.Generator) -> pd.DataFrame:
    """New cases in 30 herds in four periods."""
    logits = (-1.0, -1.8, -2.0, -2.4)
    rows = [
        (f"H{herd:02d}", period, size, int(rng.binomial(size, _expit(logits[period - 1] + theta))))
        for herd, theta in enumerate(0.8 * rng.standard_normal(30), start=1)
        for period, size in enumerate(rng.integers(5, 30, 4), start=1)
    ]
    return _table(rows, "herd period size incidence")


def counts(rng: np.random.Generator) -> pd.DataFrame:
    """Counts of 50 units of each of two groups, with the mean 6 in both and unequal spread."""
    rows = [
        (group, unit, int(rng.poisson(np.exp(np.log(6.0) - sigma**2 / 2 + theta))))
        for group, sigma in (("control", 0.8), ("treated", 0.3))
        for unit, theta in enumerate(sigma * rng.standard_normal(50), start=1)
        for _ in range(4)
    ]
    return _table(rows, "group unit count")


def rates(rng: np.random.Generator) -> pd.DataFrame:
    """Counts of 80 units whose log-normal rates have the mean 2.5."""
    exposures = (0.5, 1.0, 2.0)
    rows = [
        (unit, exposure, int(rng.poisson(exposure * np.exp(np.log(2.5) - 0.6**2 / 2 + theta))))
        for unit, theta in enumerate(0.6 * rng.standard_normal(80), start=1)
        for exposure in exposures
    ]
    return _table(rows, "unit exposure count")


def times(rng: np.random.Generator) -> pd.DataFrame:
    """Times to an event of 12 patients in each of 30 centres, watched for 24 months at most."""
    rows = []
    for centre, b in enumerate(0.4 * rng.standard_normal(30), start=1):
        for patient in range(12):
            treatment = ("control", "treated")[patient % 2]
            time = 10.0 * np.exp(0.5 * (patient % 2) + b) * rng.weibull(1.5)
            watched = rng.uniform(6.0, 24.0)
            rows.append((centre, treatment, round(min(time, watched), 2), int(time <= watched)))
    return _table(rows, "centre treatment time status")


def ordinal(rng: np.random.Generator) -> pd.DataFrame:
    """Pain on a scale from 1 to 5 of 120 patients at five visits."""
    cuts = np.array([-2.0, -0.5, 0.8, 2.2])
    rows = [
        (patient, patient % 2, time, 1 + int(np.sum(rng.logistic(b - 0.25 * time - 0.9 * (patient % 2)) > cuts)))
        for patient, b in enumerate(1.3 * rng.standard_normal(120), start=1)
        for time in range(5)
    ]
    return _table(rows, "id treatment time pain")


def emax(rng: np.random.Generator) -> pd.DataFrame:
    """A sigmoid dose-response curve of 48 subjects at seven doses."""
    covariance = [[0.25**2, 0.3 * 0.25 * 0.5], [0.3 * 0.25 * 0.5, 0.5**2]]
    effects = np.exp(rng.multivariate_normal([np.log(30.0), np.log(200.0)], covariance, 48))
    bases = 5.0 * np.exp(0.2 * rng.standard_normal(48))
    rows = []
    for subject, (base, (top, middle)) in enumerate(zip(bases, effects, strict=True), start=1):
        for dose in (0, 25, 75, 150, 300, 600, 1200):
            mean = base + top * dose**1.6 / (middle**1.6 + dose**1.6)
            rows.append((subject, dose, round(mean * (1.0 + 0.1 * rng.standard_normal()), 2)))
    return _table(rows, "subject dose response")


def clearance(rng: np.random.Generator) -> pd.DataFrame:
    """Concentrations after a dose into the vein in two groups whose clearances have the same mean, 4 L/h."""
    rows = []
    for group, omega in (("control", 0.2), ("ill", 0.6)):
        for subject in range(1, 41):
            volume = 40.0 * np.exp(0.15 * rng.standard_normal())
            rate = 4.0 * np.exp(-(omega**2) / 2 + omega * rng.standard_normal()) / volume
            for time in (0.5, 1, 2, 4, 8, 12):
                median = 500.0 / volume * np.exp(-rate * time)
                rows.append((group, f"{group[0].upper()}{subject:02d}", 500, time, _lognormal(median, 0.1, rng)))
    return _table(rows, "group subject dose time concentration")


def assays(rng: np.random.Generator) -> pd.DataFrame:
    """Amounts of two kinds of samples, with the same mean of 20, each measured on four of twelve plates."""
    shifts = 0.2 * rng.standard_normal(12)
    rows = []
    for kind, sd in (("old", 0.3), ("new", 0.7)):
        for sample in range(1, 31):
            level = np.log(20.0) - sd**2 / 2 + sd * rng.standard_normal()
            for plate in sorted(rng.choice(12, 4, replace=False)):
                amount = level + shifts[plate] + 0.1 * rng.standard_normal()
                rows.append((kind, f"{kind[0].upper()}{sample:02d}", int(plate) + 1, round(amount, 4)))
    return _table(rows, "kind sample plate log_amount")


def _expit(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


def _lognormal(median: float, sd: float, rng: np.random.Generator) -> float:
    """A draw with four significant digits."""
    return float(f"{median * np.exp(sd * rng.standard_normal()):.4g}")


def _table(rows: Sequence[tuple[object, ...]], columns: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=columns.split())


SIMULATED: dict[str, Callable[[np.random.Generator], pd.DataFrame]] = {
    make.__name__: make
    for make in (
        peptide, peptide_conserved, peptides_wide, growth, sleep, binary, herds, counts, rates, times, ordinal, emax,
        clearance, assays,
    )
}  # fmt: skip


def made(name: str) -> pd.DataFrame:
    """A simulated table, made anew; each has a stream of its own, keyed by its name."""
    return SIMULATED[name](np.random.default_rng([SEED, *name.encode()]))


def main(folder: Path) -> None:
    """Write all simulated tables to a folder."""
    for name in SIMULATED:
        made(name).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
