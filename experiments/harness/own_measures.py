"""The measures that a study's own `performance` gives: run, and checked before they stand beside the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError, listing, nearest

from .performance import MEASURES, WHOLE_FIT
from .study.asking import IMPORT, ask

if TYPE_CHECKING:
    import pandas as pd

    from .study import Study

OWN_COLUMNS = ("cell", "method", "estimand", "measure", "value", "mcse", "n")
KEYS = OWN_COLUMNS[:4]
NUMBERS = OWN_COLUMNS[4:]


def own_measures(study: Study, path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """What `performance` in a study's Python file makes of the rows; nothing where there is none.

    Raises
    ------
    ModelError
        When it fails, does not end, or returns what is no table of measures of this study.
    """
    import pandas as pd

    if not ask(path, study.run, IMPORT):
        return pd.DataFrame(columns=list(OWN_COLUMNS))
    known = {
        "cell": [cell.name for cell in study.design.all()],
        "method": list(study.methods),
        "estimand": [WHOLE_FIT, *study.estimands],
    }
    found: pd.DataFrame = ask(path, study.run, "performance", rows, known)
    return found


def checked(found: Any, known: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """The columns of a table of measures, if it is one.

    Parameters
    ----------
    found : object
        What a user's function returned.
    known : mapping of str to collection of str
        The names that there are, by column.

    Raises
    ------
    ModelError
        With what must be returned, to follow "must return".
    """
    import pandas as pd

    if not isinstance(found, pd.DataFrame):
        raise ModelError(f"a table with the columns {listing(OWN_COLUMNS, 7)}; got {type(found).__name__}")
    missing = [name for name in OWN_COLUMNS if name not in found]
    if missing:
        raise ModelError(f"a table with the columns {listing(OWN_COLUMNS, 7)}; it lacks {listing(missing, 7)}")
    twice = [name for name in OWN_COLUMNS if (found.columns == name).sum() > 1]
    if twice:
        raise ModelError(f"each column once; it has several called {twice[0]!r}")
    found = found[list(OWN_COLUMNS)].reset_index(drop=True)
    for name, names in known.items():
        check_known(name, found[name], names)
    for name in dict.fromkeys(found["measure"]):
        check_new(name)
    for name in NUMBERS:
        found[name] = numbers(name, found[name])
    again = found.duplicated(list(KEYS))
    if again.any():
        raise ModelError(
            "one value for each cell, method, estimand and measure; "
            f"{', '.join(map(repr, found.loc[again.idxmax(), list(KEYS)]))} has several"
        )
    return found


def check_known(column: str, given: pd.Series, names: Collection[str]) -> None:
    """Refuse names that the study does not have: no table would show them."""
    there = set(names)
    unknown = [name for name in dict.fromkeys(given) if not isinstance(name, str) or name not in there]
    if unknown:
        raise ModelError(
            f"names of this study in the column {column!r}, {listing(names)}; "
            f"got {unknown[0]!r:.60}{nearest(str(unknown[0]), list(names))}"
        )


def check_new(measure: Any) -> None:
    """Refuse what cannot stand above a column, and what would stand there twice."""
    if not isinstance(measure, str) or not measure.strip() or not measure.isprintable():
        raise ModelError(f"names in the column 'measure', without control characters; got {measure!r:.60}")
    if measure in MEASURES:
        raise ModelError(f"names of its own in the column 'measure'; {measure!r} is one of those that are always there")


def numbers(column: str, given: pd.Series) -> pd.Series:
    """A column as numbers, nan where there is none; errors and counts are not negative."""
    import pandas as pd

    is_number = pd.api.types.is_numeric_dtype(given) and not pd.api.types.is_complex_dtype(given)
    if not is_number and not (given.dtype == object and given.map(lambda x: x is None or is_real(x)).all()):
        raise ModelError(f"numbers, or nan, in the column {column!r}; it is of type {given.dtype}")
    values = pd.Series(given.to_numpy(float, na_value=float("nan")), index=given.index)
    if column != "value" and (values < 0.0).any():
        raise ModelError(f"no negative numbers in the column {column!r}; got {values.min():g}")
    return values.fillna(0.0).astype("int64") if column == "n" else values


def is_real(value: Any) -> bool:
    """Whether an entry of a column of objects is a number."""
    from numbers import Real

    return isinstance(value, Real)
