"""Arguments that many functions of inference take, checked in one way."""

from __future__ import annotations

from saem.errors import SaemError


def whole(value: object, what: str, least: int, most: int | None = None) -> int:
    """A whole number within limits, Python's or NumPy's.

    Raises
    ------
    SaemError
        When it is none.
    """
    limits = f", {least} or larger" if most is None else f" from {least} to {most}"
    index = None if isinstance(value, bool) or not hasattr(value, "__index__") else int(value.__index__())
    if index is None or index < least or (most is not None and index > most):
        raise SaemError(f"{what} must be a whole number{limits}; got {value!r}")
    return index


def check_level(level: float) -> float:
    """The level of an interval.

    Raises
    ------
    SaemError
        When it does not lie between 0 and 1.
    """
    if not 0.0 < level < 1.0 or 0.5 + level / 2 == 1.0:
        raise SaemError(f"the level of an interval must lie between 0 and 1; got {level!r}")
    return float(level)
