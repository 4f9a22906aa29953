"""What functions of arrays gave lately, kept by content.

Replicates of a study, levels of a column and samples of a bootstrap have one design and many responses. What follows
from the design alone is found for the first of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
KEPT = 8  # results of a function
LARGEST = 2**18  # bytes of arguments: of larger ones the work outweighs what it takes to begin


class Content:
    """Arguments that are equal where their arrays have the same bytes, shapes and types."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        self.key = tuple(
            (part.tobytes(), part.shape, part.dtype.char) if isinstance(part, np.ndarray) else part
            for part in arguments
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Content) and self.key == other.key


def remembered(function: F) -> F:
    """Keep the last results of a function of arrays and numbers, which nobody may change; of large ones none is."""

    @lru_cache(maxsize=KEPT)
    def kept(content: Content) -> Any:
        return function(*content.arguments)

    @wraps(function)
    def look_up(*arguments: Any) -> Any:
        if sum(part.nbytes for part in arguments if isinstance(part, np.ndarray)) > LARGEST:
            return function(*arguments)
        return kept(Content(arguments))

    return cast("F", look_up)
