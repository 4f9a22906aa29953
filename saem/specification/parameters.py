"""The parameters of a model: their names, order, domains and fixed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError, listing, nearest
from saem.specification.domains import Domain, Domains


@dataclass(frozen=True, eq=False)
class Parameters:
    """Named parameters in the order in which every array of the package holds them.

    Parameters
    ----------
    names : tuple of str
        Means, then random-effect SDs (by variance group, then term), correlations, residual SDs.
    domains : Domains
        Of each name (`saem.specification.domains`).
    fixed : (n,) ndarray of bool
        Whether the parameter is held at a value.
    fixed_values : (n,) ndarray of float
        That value; nan where the parameter is free.
    """

    names: tuple[str, ...]
    domains: Domains
    fixed: NDArray[np.bool_]
    fixed_values: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.fixed.flags.writeable = False
        self.fixed_values.flags.writeable = False

    @classmethod
    def build(cls, slots: Sequence[tuple[str, Domain]], fixed: Mapping[str, float]) -> Parameters:
        """Collect the parameters from all the places where they act.

        Parameters
        ----------
        slots : sequence of (name, Domain)
            In the order of the arrays; a name that occurs again is the same, shared parameter.
        fixed : mapping of str to float
            Values of the fixed parameters.
        """
        domains: dict[str, Domain] = {}
        for name, domain in slots:
            known = domains.setdefault(name, domain)
            if known != domain:
                raise ModelError(
                    f"parameter {name!r} is used both as {known.words} and as {domain.words}; "
                    "use two names and tie them by a constraint"
                )
        unknown = [name for name in fixed if name not in domains]
        if unknown:
            raise ModelError(
                f"[fixed] names {listing(unknown)}{nearest(unknown[0], domains)}, but the parameters are "
                f"{listing(domains)}"
            )
        if len(domains) == len(fixed):
            raise ModelError("every parameter is in [fixed]; at least one must be free")
        for name, value in fixed.items():
            domain = domains[name]
            at_end = np.isfinite(domain.high) and value in (domain.low, domain.high)
            if at_end or not domain.admits(value):
                raise ModelError(f"[fixed] {name}: {domain.words} must {_of_fixed(domain)}; got {value:g}")
        return cls(
            names=tuple(domains),
            domains=Domains(tuple(domains.values())),
            fixed=np.array([name in fixed for name in domains], dtype=bool),
            fixed_values=np.array([fixed.get(name, np.nan) for name in domains], dtype=float),
        )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a parameter in every array.

        Parameters
        ----------
        name : str
            Name of a parameter.

        Raises
        ------
        ModelError
            If there is no such parameter.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise ModelError(
                f"there is no parameter {name!r}{nearest(name, self.names)}; the parameters are {listing(self.names)}"
            ) from None


def _of_fixed(domain: Domain) -> str:
    """What a fixed value must satisfy: a correlation of one is no value to be held at."""
    return f"lie in ({domain.low:g}, {domain.high:g})" if np.isfinite(domain.high) else domain.range_in_words
