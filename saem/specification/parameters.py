"""The parameters of a model: their names, order, kinds and fixed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError, listing, nearest


@dataclass(frozen=True, eq=False)
class Parameters:
    """Named parameters in the order in which every array of the package holds them.

    Parameters
    ----------
    names : tuple of str
        Means, then random-effect SDs (by variance group, then term), correlations, residual SDs.
    kinds : tuple of str
        ``"mean"``, ``"sd"`` or ``"corr"`` for each name.
    fixed : (n,) ndarray of bool
        Whether the parameter is held at a value.
    fixed_values : (n,) ndarray of float
        That value; nan where the parameter is free.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    fixed: NDArray[np.bool_]
    fixed_values: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.fixed.flags.writeable = False
        self.fixed_values.flags.writeable = False

    @classmethod
    def build(cls, slots: Sequence[tuple[str, str]], fixed: Mapping[str, float]) -> Parameters:
        """Collect the parameters from all the places where they act.

        Parameters
        ----------
        slots : sequence of (name, kind)
            In the order of the arrays; a name that occurs again is the same, shared parameter.
        fixed : mapping of str to float
            Values of the fixed parameters.

        Returns
        -------
        Parameters
        """
        kinds: dict[str, str] = {}
        for name, kind in slots:
            if kinds.setdefault(name, kind) != kind:
                raise ModelError(
                    f"parameter {name!r} is used both as a {kinds[name]} and as a {kind}; "
                    "use two names and tie them by a constraint"
                )
        unknown = [name for name in fixed if name not in kinds]
        if unknown:
            raise ModelError(
                f"[fixed] names {listing(unknown)}{nearest(unknown[0], kinds)}, but the parameters are {listing(kinds)}"
            )
        if len(kinds) == len(fixed):
            raise ModelError("every parameter is in [fixed]; at least one must be free")
        for name, value in fixed.items():
            if kinds[name] == "sd" and not value >= 0.0:
                raise ModelError(f"[fixed] {name}: an SD must not be negative; got {value:g}")
            if kinds[name] == "corr" and not -1.0 < value < 1.0:
                raise ModelError(f"[fixed] {name}: a correlation must lie in (-1, 1); got {value:g}")
        return cls(
            names=tuple(kinds),
            kinds=tuple(kinds.values()),
            fixed=np.array([name in fixed for name in kinds], dtype=bool),
            fixed_values=np.array([fixed.get(name, np.nan) for name in kinds], dtype=float),
        )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a parameter in every array.

        Parameters
        ----------
        name : str
            Name of a parameter.

        Returns
        -------
        int

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
