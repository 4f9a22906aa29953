"""Errors and warnings that the package raises.

Every message names the object, the requirement and the value found, and says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

#: What the messages of the most frequent errors say -> the page of the documents that helps.
PAGES = {
    r"^missing or infinite values in": "docs/model-file.md#tables",
    r"^table must be a pandas DataFrame": "docs/model-file.md#tables",
    r"needs columns? '.*; the table has the columns": "docs/model-file.md#tables",
    r"^the response '.* (must be a number|holds numbers stored as text)": "docs/model-file.md#tables",
    r"^\d+ rows? have the level|^no row has the level": "docs/model-file.md#random-effects",
    r"^the column '.* of the variance groups must be constant": "docs/model-file.md#random-effects",
    r"^the residual standard deviation.* goes to zero": "docs/model-file.md#residual-error",
    r"^(  - )?(constraint '|the constraints ')": "docs/model-file.md#constraints",
    r"^(  - )?(a prior must|priors[.:])": "docs/model-file.md#priors",
    r"^the outcome of data row .* has the log-density": "docs/nonlinear.md#domains-and-starts",
    r"^there is no method '|^REML integrates": "docs/algorithms.md#methods",
    r" is not a valid model:| is not valid TOML": "docs/model-file.md",
}


class SaemError(ValueError):
    """Base of all errors that are caused by input; also a ``ValueError``.

    Attributes
    ----------
    page : str
        A page in the repository that tells more, ``docs/model-file.md#tables``; empty where there is none. It is also a
        note of the exception.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        found = (page for pattern, page in PAGES.items() if re.search(pattern, str(message), re.M))
        self.page = next(found, "")
        if self.page:
            self.add_note(f"See {self.page}")


class ModelError(SaemError):
    """A model file or a `Model` object is not valid.

    Attributes
    ----------
    problems : tuple of str
        One sentence for every mistake found, so that all can be corrected at once.
    """

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.problems)


class ExpressionError(ModelError):
    """A text is not an expression of the small language of model files."""


class ConstraintError(ModelError):
    """A constraint is contradictory, redundant, infeasible or involves no free parameter."""


class DataError(SaemError):
    """The table does not fit the model, or cannot be read."""


EXACT_FIT = (
    "the residual standard deviation goes to zero: the model fits the response exactly, so the likelihood is "
    "unbounded. There are too few rows for the parameters, or the response repeats; use fewer parameters"
)


def exact_fit(labels: Iterable[str]) -> str:
    """`EXACT_FIT` of the residual standard deviations with some labels, ``sigma_b (residual group 'b')``."""
    labels = list(labels)
    if not labels:
        return EXACT_FIT
    return EXACT_FIT.replace("deviation goes", f"deviation {' and '.join(labels)} goes", 1)


class FitError(SaemError):
    """A fit failed numerically."""


class MStepError(FitError):
    """An M-step failed.

    Attributes
    ----------
    infeasible : bool
        Whether the constraints could not be satisfied.
    unbounded : bool
        Whether the likelihood has no bound: a residual standard deviation goes to zero.
    """

    def __init__(self, message: str, infeasible: bool = False, unbounded: bool = False) -> None:
        super().__init__(message)
        self.infeasible = infeasible
        self.unbounded = unbounded

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.infeasible, self.unbounded)


class StorageError(SaemError):
    """A saved fit cannot be written or read."""


class SaemWarning(UserWarning):
    """Something that does not stop a fit but deserves to be looked at."""


class CacheWarning(UserWarning):
    """Compiled code cannot be kept, or what was kept is damaged: it costs time, and nothing else."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Suggest the candidate that `name` was probably meant to be.

    Parameters
    ----------
    name : str
        What was found.
    candidates : iterable of str
        What would have been valid.

    Returns
    -------
    str
        ``" (did you mean 'x'?)"``, or ``""`` when no candidate is similar.
    """
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    matches = get_close_matches(name.lower()[:200], list(by_lower), n=1, cutoff=0.6)
    return f" (did you mean {by_lower[matches[0]]!r}?)" if matches else ""


def listing(names: Iterable[str], limit: int = 8) -> str:
    """Names in quotes, separated by commas; the rest beyond `limit` is counted.

    Parameters
    ----------
    names : iterable of str
        What to list, in this order.
    limit : int
        How many to show.

    Returns
    -------
    str
        For instance ``"'a', 'b' and 3 more"``.
    """
    names = list(names)
    shown = ", ".join(repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
