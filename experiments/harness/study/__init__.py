"""What a simulation study is: a TOML file with the frame and the design, and a Python file with its functions.

The file is read by the driver alone: processes that run functions need not import what reads it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .cells import Cell

if TYPE_CHECKING:
    from .loading import STUDIES, load_study
    from .specification import Study

__all__ = ["STUDIES", "Cell", "Study", "load_study"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".loading", __name__), name)
