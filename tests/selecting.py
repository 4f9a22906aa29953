"""Which cases of a test are run by `make test`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def few(cases: Iterable[Any], fast: Collection[Any], one_argument: bool = False) -> list[Any]:
    """All cases of a parametrised test, those marked as slow that are not among the fast ones.

    One case of each kind is enough to see that something broke; all of them tell what. A tuple is a value for each of
    several arguments, unless there is but one.
    """
    every = list(cases)
    unknown = [case for case in fast if case not in every]
    if unknown:
        raise ValueError(f"of the cases {every} there are none called {unknown}")

    def several(case: Any) -> Any:
        return case if isinstance(case, tuple) and not one_argument else (case,)

    return [case if case in fast else pytest.param(*several(case), marks=pytest.mark.slow) for case in every]
